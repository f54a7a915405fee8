#include "host/policy_run.h"

#include <algorithm>
#include <cstring>

#include "host/device/open_device.h"
#include "host/device/policy_device.h"
#include "host/failure.h"
#include "host/policy_cpu.h"
#include "host/policy_drive.h"
#include "host/weights.h"

namespace attnscope {
namespace {

template <class... Parts>
Error refuse_assignment(std::uint32_t layer, const Parts&... why) {
  return failure("E_POLICY_ASSIGNMENT", "layer ", layer, " ", why...);
}

/// Heads without policies, and heads given the policy "dense", stand beside any family.
bool stands_aside(const PolicyRunPlan& plan, std::int32_t id) {
  return id < 0 || std::strcmp(plan.policies[id].entry->descriptor.id, "dense") == 0;
}

Status validate_layer(const PolicyRunPlan& plan, std::uint32_t layer) {
  const ModelPlan& model = plan.base.model;
  const std::int32_t* ids = plan.assignment.data() + std::size_t(layer) * model.heads;
  std::int32_t acting = -1;
  for (std::uint32_t head = 0; head < model.heads; ++head) {
    if (stands_aside(plan, ids[head])) continue;
    if (acting < 0) acting = ids[head];
    const PolicyDescriptor &a = plan.policies[acting].entry->descriptor, &b = plan.policies[ids[head]].entry->descriptor;
    if (a.family != b.family)
      return refuse_assignment(layer, "mixes ", a.id, " and ", b.id, ", which act at different points of a run; give its heads policies of one family");
  }
  if (acting < 0 || plan.policies[acting].entry->descriptor.family != Family::retention) return success();
  for (std::uint32_t head = 0; head < model.heads; ++head) {
    const std::uint32_t first = head / plan.base.group() * plan.base.group();
    const bool same = ids[head] == ids[first] || (stands_aside(plan, ids[head]) && stands_aside(plan, ids[first]));
    if (!same)
      return refuse_assignment(layer, "gives heads ", first, " and ", head, " different retention policies, but they share a KV cache; give all ",
                               plan.base.group(), " heads of a kv head the same one");
  }
  return success();
}

/// Bytes that a run holds at once and that grow with the tokens: see working_bytes in capture.cpp.
std::uint64_t working_bytes(const PolicyRunPlan& plan) {
  const ModelPlan& m = plan.base.model;
  const std::uint64_t context = context_of(plan), total = plan.base.total_tokens(), query_width = std::uint64_t(m.heads) * m.head_dim;
  const std::uint64_t kv_width = std::uint64_t(m.kv_heads) * m.head_dim, runs = plan.compare ? 2 : 1;
  const std::uint64_t fed_apart = plan.schedule.chunk > 0 ? 2 * kv_width : 0;
  const std::uint64_t prompt = context * (m.hidden_size + query_width + fed_apart) * 4;
  const std::uint64_t cache = m.layers * total * kv_width * (2 * size_of(plan.base.vectors) + 4);  // keys, values, key panels
  const std::uint64_t expanded = plan.base.vectors == DType::f32 ? 0 : 2 * total * kv_width * 4;
  return prompt + runs * (cache + expanded);
}

Status check_memory(const PolicyRunPlan& plan) {
  auto trial = Buffer<std::uint8_t>::allocate(working_bytes(plan), "the run's activations and KV caches");
  if (!trial) return trial.error();
  asm volatile("" : : "r"(trial.value().data()) : "memory");  // an allocation nobody looks at may be optimised away
  return success();
}

}  // namespace

Status validate(const PolicyRunPlan& plan) {
  ATTNSCOPE_TRY(validate(plan.base));
  const ModelPlan& model = plan.base.model;
  const std::size_t heads = std::size_t(model.layers) * model.heads;
  if (plan.assignment.size() != heads)
    return failure("E_PLAN_INVALID", "plan field assignment holds ", plan.assignment.size(), " values for ", heads, " heads");
  for (std::int32_t id : plan.assignment)
    if (id < -1 || id >= static_cast<std::int64_t>(plan.policies.size()))
      return failure("E_PLAN_INVALID", "plan field assignment names policy ", id, " of ", plan.policies.size(), "; -1 means dense");
  for (const auto& head : plan.traces)
    if (head.layer >= model.layers || head.head >= model.heads)
      return failure("E_PLAN_INVALID", "plan field traces names layer ", head.layer, ", head ", head.head, "; the model has ", model.layers, " layers of ",
                     model.heads, " heads");
  if (context_of(plan) == plan.base.total_tokens())
    return failure("E_PLAN_INVALID", "plan field decode.steps is 0 and the whole prompt is context, so no token follows; decode at least one step or shorten schedule.context");
  if (!plan.compare && !plan.base.forced.empty())
    return failure("E_PLAN_INVALID", "plan field decode.forced is given, but mode generate chooses its tokens itself; leave it empty or compare");
  for (const PolicyChoice& choice : plan.policies)
    if (choice.entry->descriptor.needs_future)
      return failure("E_POLICY_REPLAY_ONLY", "policy ", choice.entry->descriptor.id,
                     " looks at attention that is still to come, which a run cannot know; replay it over a capture");
  for (std::uint32_t layer = 0; layer < model.layers; ++layer) ATTNSCOPE_TRY(validate_layer(plan, layer));
  return success();
}

Result<PolicyRunResult> run_policy(const PolicyRunPlan& plan, Cancellation& cancellation, const PolicyProgress& report) {
  ATTNSCOPE_TRY(validate(plan));
  if (plan.base.device.name != "cpu") {
    auto device = open_device(plan.base.device.name, plan.base.threads);
    if (!device) return device.error();
    return run_policy_on(*device.value(), plan, cancellation, report);
  }
  ATTNSCOPE_TRY(check_memory(plan));
  PhaseClock clock;
  PolicyProgressSink sink(report);
  ProgressReporter progress(sink);
  ThreadPool pool(plan.base.threads, &cancellation, [&] { progress.heartbeat(); });
  progress.begin(Phase::load, 0, 1, 1);
  auto weights = Weights::open(plan.base);
  if (!weights) return weights.error();
  auto model = make_model(plan.base.model, weights.value(), pool);
  if (!model) return model.error();

  const PolicyMachine machine{pool, *model.value(), sink, progress, clock};
  return drive_policy(plan, [&] { return make_cpu_policy_backend(plan.base, machine); }, pool, progress);
}

}  // namespace attnscope
