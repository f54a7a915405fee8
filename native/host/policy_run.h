// A policy inside the model: prefill and decode with it active, compared with the dense run on the same tokens. Errors
// measured here are propagated: each layer sees what the policy did in the layers before it.
#pragma once
#include <functional>
#include <optional>

#include "core/replay/trace.h"
#include "host/plan.h"
#include "host/capture_sink.h"
#include "host/cancellation.h"

namespace attnscope {

struct PolicyRunPlan {
  Plan base;                               // reduce.enabled false, nothing stored
  std::vector<PolicyChoice> policies;
  std::vector<std::int32_t> assignment;    // [layers * heads] index into policies, -1: dense
  Schedule schedule;
  bool compare = true;                     // false: the policy alone, greedily
  std::vector<std::uint32_t> stop_ids;
  struct Head { std::uint32_t layer, head; };
  std::vector<Head> traces;
};

/// Refuses assignments that cannot run: yardsticks that need the future, retention policies that differ within a kv
/// head's group, families that differ within a layer (dense excepted).
Status validate(const PolicyRunPlan& plan);

/// Rows are the queries at positions >= context - 1 whose next token is known or chosen.
struct PolicyRunResult {
  bool cancelled = false;
  std::vector<std::uint32_t> position, id, policy_top1, dense_top1;
  std::vector<std::uint8_t> forced;
  std::vector<float> policy_log_probability, dense_log_probability, kl;
  std::vector<float> residual_error;       // [layers][rows]
  std::vector<std::uint32_t> resident_tokens;  // [layers][kv heads]
  struct Summary {
    double delta_nll, kl_mean, kl_p99, top1_agreement, perplexity_ratio;
    double dense_seconds, policy_seconds, kept_bytes, dense_bytes, peak_bytes, prefill_cells, prefill_kernel_cells;
  } summary{};
  struct Trace { std::uint32_t layer, head; HeadTrace trace; };
  std::vector<Trace> traces;
  /// Of a run on a device: what it was, the most memory held at once, and of what (see CaptureSummary).
  struct Device {
    std::string name, driver, products, compute;
    bool streamed_weights = false;
    std::uint64_t peak_bytes = 0, peak_pinned_bytes = 0;
    std::vector<std::pair<std::string, std::uint64_t>> bytes_at_peak;  // by category
  };
  std::optional<Device> device;
};

using PolicyProgress = std::function<void(const RunProgress&)>;
/// Where plan.base.device says: on the CPU, or see device/policy_device.h.
Result<PolicyRunResult> run_policy(const PolicyRunPlan& plan, Cancellation& cancellation, const PolicyProgress& progress);

}  // namespace attnscope
