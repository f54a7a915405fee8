#include <algorithm>

#include "host/device/policy_device.h"
#include "host/failure.h"
#include "host/policy_drive.h"
#include "host/weights.h"

namespace attnscope {
namespace {

constexpr std::uint32_t kLargestBlock = 4096;

/// Whether a layer has a policy, and one that looks at decoded tokens.
struct LayersWatched {
  std::uint64_t any = 0, in_steps = 0;
  explicit LayersWatched(const PolicyRunPlan& plan) {
    const std::uint32_t heads = plan.base.model.heads;
    for (std::uint32_t layer = 0; layer < plan.base.model.layers; ++layer) {
      bool watched = false, stepped = false;
      for (std::uint32_t head = 0; head < heads; ++head) {
        const std::int32_t id = plan.assignment[std::size_t(layer) * heads + head];
        if (id < 0) continue;
        watched = true;
        stepped = stepped || plan.policies[id].entry->descriptor.family != Family::prefill;
      }
      any += watched;
      in_steps += stepped;
    }
  }
};

struct TokenWidths {
  std::uint64_t context, total, query, kv;
  explicit TokenWidths(const PolicyRunPlan& plan)
      : context(context_of(plan)), total(plan.base.total_tokens()), query(std::uint64_t(plan.base.model.heads) * plan.base.model.head_dim),
        kv(std::uint64_t(plan.base.model.kv_heads) * plan.base.model.head_dim) {}
};

/// What a run holds on the device beside weights and the model's scratch, when it holds the most: caches that keep everything, the prompt's rows.
std::uint64_t beside_the_model(const PolicyRunPlan& plan, std::uint64_t block_rows) {
  const ModelPlan& m = plan.base.model;
  const TokenWidths w(plan);
  const std::uint64_t element = size_of(plan.base.vectors), runs = plan.compare ? 2 : 1;
  const std::uint64_t caches = runs * m.layers * w.total * 2 * w.kv * element, waiting = (plan.schedule.chunk > 0 ? w.context : block_rows) * 2 * w.kv * element;
  // A layer that loses tokens is copied; lists of keys of a block of rows may be as large.
  const std::uint64_t copies = 2 * w.total * 2 * w.kv * element;
  return caches + waiting + copies + w.context * (m.hidden_size * sizeof(float) + w.query * element) + block_rows * w.query * sizeof(float) +
         runs * m.vocab_size * sizeof(float);
}

/// Of the host: queries and waiting keys and values of a layer, and what policies look at, in fp32. See check_memory in policy_run.cpp.
Status check_host_memory(const PolicyRunPlan& plan) {
  const TokenWidths w(plan);
  const LayersWatched watched(plan);
  const std::uint64_t mirrors = std::max<std::uint64_t>(watched.in_steps, std::min<std::uint64_t>(watched.any, 1));
  const std::uint64_t rows = watched.any > 0 ? w.context * (w.query + (plan.schedule.chunk > 0 ? 2 * w.kv : 0)) * 4 : 0;
  auto trial = Buffer<std::uint8_t>::allocate(rows + mirrors * w.total * 2 * w.kv * 4, "what policies look at");
  if (!trial) return trial.error();
  asm volatile("" : : "r"(trial.value().data()) : "memory");  // an allocation nobody looks at may be optimised away
  return success();
}

PolicyRunResult::Device device_of(KernelDevice& device, const DeviceMemory& memory, const DeviceModel& model) {
  const DeviceFacts& facts = device.facts();
  const char* compute = model.compute() == DType::f32 ? "f32" : model.compute() == DType::f16 ? "f16" : "bf16";
  PolicyRunResult::Device used{facts.name, facts.driver, facts.products, compute, model.streams_weights(), memory.peak(), memory.pinned_peak(), {}};
  for (std::size_t i = 0; i < kMemoryCategories; ++i) used.bytes_at_peak.emplace_back(name_of(static_cast<MemoryCategory>(i)), memory.at_peak()[i]);
  return used;
}

}  // namespace

Result<PolicyRunResult> run_policy_on(KernelDevice& device, const PolicyRunPlan& plan, Cancellation& cancellation, const PolicyProgress& report,
                                      const DeviceRunOptions& options) {
  ATTNSCOPE_TRY(validate(plan));
  ATTNSCOPE_TRY(check_host_memory(plan));
  PhaseClock clock;
  PolicyProgressSink sink(report);
  ProgressReporter progress(sink);
  ThreadPool pool(plan.base.threads, &cancellation, [&] { progress.heartbeat(); });
  progress.begin(Phase::load, 0, 1, 1);
  auto weights = Weights::open(plan.base);
  if (!weights) return weights.error();

  DeviceModelOptions of_model;
  of_model.weights = plan.base.device.weights;
  of_model.compute = options.compute;
  // Row blocks of 64 are never cut.
  of_model.block_rows = (std::min(options.block_rows != 0 ? options.block_rows : kLargestBlock, context_of(plan)) + 63) / 64 * 64;
  of_model.other_bytes = beside_the_model(plan, of_model.block_rows);
  DeviceMemory memory(device, plan.base.device.memory_bytes);
  auto model = open_device_model(plan.base, weights.value(), device, memory, of_model);
  if (!model) return model.error();

  const EmitContext run{plan.base, pool, sink, progress, clock};
  const PolicyDevice on{device, memory, *model.value(), run};
  auto result = drive_policy(plan, [&] { return make_device_policy_backend(plan.base, on); }, pool, progress);
  if (result) result.value().device = device_of(device, memory, *model.value());
  return result;
}

}  // namespace attnscope
