// Policies inside a tiny model on the CUDA sources under emulation, one of each family, against the same run on the CPU's device: the same
// precisions, other orders of addition.
#include <algorithm>
#include <cmath>

#include "check.h"
#include "emulated_device.h"
#include "host/device/policy_device.h"
#include "host/kernels/cpu_device.h"
#include "random_model.h"

using namespace attnscope;
using check::largest_difference;

namespace {

PolicyRunResult run_on(KernelDevice& device, const PolicyRunPlan& plan) {
  Cancellation cancellation;
  DeviceRunOptions options;
  options.compute = plan.base.vectors;
  options.block_rows = 64;
  auto result = run_policy_on(device, plan, cancellation, {}, options);
  CHECK(result.ok());
  if (result) return result.take();
  std::printf("  %s: %s\n", result.error().code.c_str(), result.error().message.c_str());
  return {};
}

}  // namespace

TEST("policies of every family: logits and cache sizes as on the CPU's device") {
  ModelPlan model = random_model::tiny();
  model.heads = 4, model.kv_heads = 2, model.head_dim = 16, model.hidden_size = 32, model.feed_forward_size = 32, model.vocab_size = 40;
  const random_model::Checkpoint checkpoint(model);
  struct Case {
    const char* policies[2];  // of heads 0 and 1, and of heads 2 and 3
    DType vectors;
    Schedule schedule;
    DevicePlan::Weights weights;
  };
  // None of these chooses by a score that differs in its last bits.
  const Case cases[] = {{{"a-shape:n_init=5,n_local=30", "vertical-slash:v=150,s=150"}, DType::f16, {0, 0, 0}, DevicePlan::Weights::streamed},
                        {{"streaming-llm:recent=25", nullptr}, DType::bf16, {0, 50, 0}, DevicePlan::Weights::resident},
                        {{"random:tokens=30", nullptr}, DType::f16, {75, 0, 0}, DevicePlan::Weights::resident}};
  for (const Case& c : cases) {
    PolicyRunPlan plan;
    plan.base = checkpoint.plan(77, 1024, 1);
    plan.base.reduce.enabled = false;
    plan.base.store = {};
    plan.base.vectors = c.vectors;
    plan.base.device.weights = c.weights;
    plan.base.decode_steps = 2;
    plan.schedule = c.schedule;
    for (const char* policy : c.policies) {
      auto parsed = parse_policy(policy == nullptr ? "dense" : policy);
      CHECK(parsed.ok());
      if (!parsed) return;
      plan.policies.push_back(parsed.take());
    }
    for (std::uint32_t layer = 0; layer < model.layers; ++layer)
      for (const std::int32_t id : {0, 0, 1, 1}) plan.assignment.push_back(c.policies[id] == nullptr ? -1 : id);
    const auto cpu = open_cpu_device(1), emulated = open_emulated_device();
    plan.compare = true;
    const PolicyRunResult beside_dense = run_on(*cpu, plan);
    plan.compare = false;
    const PolicyRunResult expected = run_on(*cpu, plan), got = run_on(*emulated, plan);
    CHECK(!got.policy_log_probability.empty());
    const double difference = largest_difference(got.policy_log_probability, expected.policy_log_probability);
    CHECK(got.id == expected.id);
    CHECK(difference < (c.vectors == DType::bf16 ? 3e-2 : 4e-3));
    CHECK(beside_dense.summary.kl_mean > 1e-2);  // what is left out shows far above that
    CHECK(got.resident_tokens == expected.resident_tokens);
    CHECK_EQUAL(got.summary.prefill_kernel_cells, expected.summary.prefill_kernel_cells);
    std::printf("     %s: largest difference of a log-probability %.1e, KL from the dense run %.2g\n", c.policies[0], difference, beside_dense.summary.kl_mean);
  }
}
