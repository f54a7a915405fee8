// random: the yardstick any retention policy has to beat.
#include "core/policy/budget_retention.h"
#include "core/policy/seeded.h"

namespace attnscope {

namespace random_retention {

constexpr std::size_t kSeed = 3;

PolicyDescriptor describe() {
  PolicyDescriptor d{};
  d.id = "random";
  d.title = "Random tokens";
  d.family = Family::retention;
  d.unit = DecisionUnit::kv_head;
  d.granularity = "token";
  d.phase = "decode";
  d.frees = Frees::memory;
  d.query_aware = QueryAware::no;
  d.sampled = true;
  d.yardstick = true;
  d.doc = "Sinks, a recent window and random tokens: each kv head draws one fixed order of all positions, so a larger budget keeps a superset.";
  d.source = "baseline";
  d.untimed = "everything: a yardstick";
  d.parameters = budget_parameters(4, 64);
  d.parameters.push_back({.name = "seed", .type = ParameterType::integer, .minimum = 0, .maximum = 1048576, .fallback = 0, .doc = "which order is drawn"});
  d.presets = budget_presets(4, 64, {0});
  return d;
}

class Policy final : public BudgetRetention {
 public:
  explicit Policy(const PolicyConfig& config) : BudgetRetention(retention_budget(config)), seed_(config.count(kSeed)) {}

 private:
  /// Drawn once a position: a decode step looks at all of them.
  Result<std::span<const double>> ranks(const LayerInput& input, std::uint32_t kv_head, std::uint32_t tokens, const AppendEvent&) override {
    if (drawn_.size() <= kv_head) drawn_.resize(kv_head + 1);
    std::vector<double>& drawn = drawn_[kv_head];
    const seeded::Stream order("retention/random", {seed_, input.layer, kv_head});
    while (drawn.size() < tokens) drawn.push_back(order.uniform(drawn.size()));
    return std::span<const double>(drawn);
  }

  std::uint32_t seed_;
  std::vector<std::vector<double>> drawn_;  // [kv heads][positions]
};

Result<std::unique_ptr<RetentionPolicy>> make(const PolicyConfig& config) { return std::unique_ptr<RetentionPolicy>(new Policy(config)); }

}  // namespace random_retention

PolicyEntry random_entry() {
  PolicyEntry entry{};
  entry.descriptor = random_retention::describe();
  entry.retention = random_retention::make;
  entry.resident_after = budget_resident_after;
  return entry;
}

}  // namespace attnscope
