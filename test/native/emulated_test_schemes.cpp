// Execution schemes on the CUDA kernels under emulation, where copies happen as late as a GPU could do them: whoever reads too early reads
// what was there before.
#include "host/device/scheme_run.h"

#include <algorithm>
#include <cstring>

#include "emulated_device.h"
#include "emulated_inputs.h"
#include "host/kernels/cpu_device.h"
#include "random_model.h"

using namespace attnscope;
using check::largest_difference;

namespace {

SchemeResult run(KernelDevice& device, const Plan& plan, const SchemePlan& scheme) {
  Cancellation cancellation;
  auto result = run_scheme(device, plan, scheme, cancellation);
  CHECK(result.ok());
  if (result) return result.take();
  std::printf("  %s: %s\n", result.error().code.c_str(), result.error().message.c_str());
  return {};
}

}  // namespace

TEST("MOM and its kin: no copy comes too late, offloaded by layer and by head, to the host and to disk, with a policy too") {
  using memory::Offload;
  using Store = SchemePlan::Store;
  ModelPlan model = random_model::tiny();
  model.layers = 3, model.heads = 4, model.kv_heads = 2, model.head_dim = 16, model.hidden_size = 32, model.feed_forward_size = 32, model.vocab_size = 40;
  const random_model::Checkpoint checkpoint(model);
  const auto emulated = open_emulated_device(), cpu = open_cpu_device(1);
  Plan plan = checkpoint.plan(40, 1024, 1);
  plan.vectors = DType::bf16;
  plan.decode_steps = 1;
  plan.forced = {1};
  struct Offloaded { Offload::Unit unit; bool reload; Store store; };
  struct Case {
    std::uint32_t chunk;
    const char* policy;
    std::vector<Offloaded> offloaded;
  };
  const Case cases[] = {{0, nullptr, {{Offload::Unit::layer, true, Store::host}, {Offload::Unit::layer, false, Store::disk}}},
                        {24, nullptr, {{Offload::Unit::head, false, Store::host}}},
                        {24, "streaming-llm:sink=2,recent=20", {{Offload::Unit::layer, false, Store::host}}}};
  double worst = 0;
  for (const Case& c : cases) {
    SchemePlan scheme;
    scheme.compute = DType::bf16;
    scheme.scheme.chunk_tokens = c.chunk;
    scheme.scheme.logits.rows = memory::LogitsMode::Rows::last;
    scheme.scheme.mini = {memory::MiniSequence::Mode::by_size, 20, 8, {}};
    if (c.policy != nullptr) {
      auto parsed = parse_policy(c.policy);
      CHECK(parsed.ok());
      scheme.retention = parsed.take();
    }
    plan.device.weights = DevicePlan::Weights::resident;
    const SchemeResult resident = run(*emulated, plan, scheme), there = run(*cpu, plan, scheme);
    CHECK(!resident.last_logits.empty() && !resident.step_logits.empty());
    worst = std::max({worst, largest_difference(resident.last_logits, there.last_logits), largest_difference(resident.step_logits, there.step_logits)});
    for (const Offloaded& o : c.offloaded) {
      scheme.scheme.offload = {o.unit, o.reload};
      scheme.store = o.store;
      plan.device.weights = o.reload ? DevicePlan::Weights::streamed : DevicePlan::Weights::resident;
      const SchemeResult got = run(*emulated, plan, scheme);
      CHECK(got.last_logits == resident.last_logits);
      CHECK(got.step_logits == resident.step_logits);
      CHECK(got.to_device.bytes > 0 && got.to_device.busy < 0);  // copies run beside the kernels: their time is not known
    }
  }
  CHECK(worst < 3e-2);
  std::printf("     largest difference from the CPU's device %.3g\n", worst);
}
