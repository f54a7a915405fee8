// oracle-mass: what a cache could keep at best if it knew the attention to come.
#include "core/policy/budget_retention.h"

namespace attnscope {

namespace oracle_mass {

PolicyDescriptor describe() {
  PolicyDescriptor d{};
  d.id = "oracle-mass";
  d.title = "Oracle by future mass";
  d.family = Family::retention;
  d.unit = DecisionUnit::query_head;
  d.granularity = "token";
  d.phase = "decode";
  d.frees = Frees::memory;
  d.query_aware = QueryAware::every_step;
  d.needs_future = true;
  d.yardstick = true;
  d.doc = "Keeps the tokens that receive most attention from the evaluated rows to come. No other set of as many tokens, chosen at that moment and kept, "
          "has a higher recall over those rows; over many evictions it is greedy.";
  d.source = "yardstick; the optimal-pruning curve of kvpress notebooks/expected_attention.ipynb";
  d.untimed = "everything: a yardstick";
  d.parameters = budget_parameters(0, 0);
  d.presets = budget_presets(0, 0, {});
  return d;
}

class Policy final : public BudgetRetention {
 public:
  explicit Policy(const PolicyConfig& config) : BudgetRetention(retention_budget(config)) {}

 private:
  Result<std::span<const double>> ranks(const LayerInput&, std::uint32_t, std::uint32_t, const AppendEvent& event) override {
    if (!event.future.empty()) return event.future;
    return Error{"E_POLICY_FUTURE", "oracle-mass ranks tokens by the attention of rows to come, which a running model does not know; "
                                    "replay it on a capture instead."};
  }
};

Result<std::unique_ptr<RetentionPolicy>> make(const PolicyConfig& config) { return std::unique_ptr<RetentionPolicy>(new Policy(config)); }

}  // namespace oracle_mass

PolicyEntry oracle_mass_entry() {
  PolicyEntry entry{};
  entry.descriptor = oracle_mass::describe();
  entry.retention = oracle_mass::make;
  entry.resident_after = budget_resident_after;
  return entry;
}

}  // namespace attnscope
