// The state machine of the two yardsticks of retention, which differ in what they rank by only: nothing is evicted while
// the prompt is fed; at its end and after every later step each head keeps `tokens` of what it holds.
#pragma once

#include "core/policy/policy.h"

namespace attnscope {

struct RetentionBudget {
  std::uint32_t tokens = 0, sink = 0, recent = 0;  // sinks and recent tokens are inside the budget
};

/// Their common parameters: tokens, sink, recent, in this order; and presets of kept shares, `more` values appended.
std::vector<Parameter> budget_parameters(double sink, double recent);
std::vector<Preset> budget_presets(double sink, double recent, const std::vector<double>& more);
RetentionBudget retention_budget(const PolicyConfig& config);
std::uint32_t budget_resident_after(const PolicyConfig& config, std::uint32_t prompt, std::uint32_t decoded);

class BudgetRetention : public RetentionPolicy {
 public:
  explicit BudgetRetention(const RetentionBudget& budget) : budget_(budget) {}

  Status append(const LayerInput& input, std::span<const ResidentTokens> resident, const AppendEvent& event,
                std::span<std::vector<std::uint32_t>> evict) final;
  void forced(const ResidentTokens& resident, std::vector<KeySpan>& spans) const final;

 protected:
  /// By position, for one kv head: higher is kept; NaN and positions beyond the array rank lowest. Once an eviction.
  virtual Result<std::span<const double>> ranks(const LayerInput& input, std::uint32_t kv_head, std::uint32_t tokens, const AppendEvent& event) = 0;

 private:
  RetentionBudget budget_;
};

}  // namespace attnscope
