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
  d.parameters = budget_parameters(4, 64);
  d.parameters.push_back({.name = "seed", .type = ParameterType::integer, .minimum = 0, .maximum = 1048576, .fallback = 0, .doc = "which order is drawn"});
  d.presets = budget_presets(4, 64, {0});
  return d;
}

class Policy final : public BudgetRetention {
 public:
  explicit Policy(const PolicyConfig& config) : BudgetRetention(retention_budget(config)), seed_(config.count(kSeed)) {}

 private:
  Status prepare(const LayerInput& input, const AppendEvent&) override {
    if (!order_.empty()) return success();
    for (std::uint32_t h = 0; h < input.kv_heads; ++h) order_.emplace_back("retention/random", std::initializer_list<std::uint64_t>{seed_, input.layer, h});
    return success();
  }

  double rank(std::uint32_t kv_head, std::uint32_t position, const AppendEvent&) const override { return order_[kv_head].uniform(position); }

  std::uint32_t seed_;
  std::vector<seeded::Stream> order_;  // [kv heads]
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
