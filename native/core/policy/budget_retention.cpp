#include "core/policy/budget_retention.h"

#include <cmath>
#include <limits>

#include "core/policy/keep_top.h"
#include "core/policy/resident_ends.h"

namespace attnscope {

std::vector<Parameter> budget_parameters(double sink, double recent) {
  return {
      {.name = "tokens", .type = ParameterType::integer, .unit = "tokens", .minimum = 1, .maximum = 1048576, .fallback = 1024,
       .doc = "tokens a head keeps in all", .logarithmic = true, .scales = true},
      {.name = "sink", .type = ParameterType::integer, .unit = "tokens", .minimum = 0, .maximum = 1024, .fallback = sink,
       .doc = "first tokens, kept inside the budget before anything else"},
      {.name = "recent", .type = ParameterType::integer, .unit = "tokens", .minimum = 0, .maximum = 65536, .fallback = recent,
       .doc = "last tokens, kept inside what the sinks leave of the budget"},
  };
}

std::vector<Preset> budget_presets(double sink, double recent, const std::vector<double>& more) {
  constexpr const char* share = "ladder of kept shares";
  std::vector<Preset> presets;
  const auto add = [&](const char* name, double tokens) {
    presets.push_back({name, share, {tokens, sink, recent}, 2048});
    presets.back().values.insert(presets.back().values.end(), more.begin(), more.end());
  };
  add("keep-50%", 1024);
  add("keep-25%", 512);
  add("keep-12.5%", 256);
  add("keep-6.25%", 128);
  return presets;
}

RetentionBudget retention_budget(const PolicyConfig& config) {
  RetentionBudget budget{config.count(0), config.count(1), config.count(2)};
  budget.sink = std::min(budget.sink, budget.tokens);
  budget.recent = std::min(budget.recent, budget.tokens - budget.sink);
  return budget;
}

std::uint32_t budget_resident_after(const PolicyConfig& config, std::uint32_t prompt, std::uint32_t decoded) {
  return std::min(prompt + decoded, config.count(0));
}

Status BudgetRetention::append(const LayerInput& input, std::span<const ResidentTokens> resident, const AppendEvent& event,
                               std::span<std::vector<std::uint32_t>> evict) {
  for (auto& slots : evict) slots.clear();
  if ((event.prefill && !event.prefill_ends) || resident_slots(resident) <= budget_.tokens) return success();
  std::vector<double> scores;
  std::vector<std::uint8_t> kept;
  for (std::size_t h = 0; h < resident.size(); ++h) {
    const std::size_t n = resident[h].size();
    if (n <= budget_.tokens) continue;
    const std::span<const std::uint32_t> open = resident[h].positions.subspan(budget_.sink, n - budget_.sink - budget_.recent);
    const auto ranks = this->ranks(input, static_cast<std::uint32_t>(h), resident[h].positions.back() + 1, event);
    if (!ranks) return ranks.error();
    const std::span<const double> known = ranks.value();
    const auto rank_of = [&](std::size_t i) {
      constexpr double unknown = -std::numeric_limits<double>::infinity();
      const double score = open[i] < known.size() ? known[open[i]] : unknown;
      return std::isnan(score) ? unknown : score;
    };
    if (n == budget_.tokens + 1) {
      // A decode step: one comes, the lowest goes; of equals the last.
      std::size_t lowest = 0;
      double least = rank_of(0);
      for (std::size_t i = 1; i < open.size(); ++i)
        if (const double score = rank_of(i); score <= least) least = score, lowest = i;
      evict[h].push_back(static_cast<std::uint32_t>(budget_.sink + lowest));
      continue;
    }
    scores.resize(open.size());
    kept.resize(open.size());
    for (std::size_t i = 0; i < open.size(); ++i) scores[i] = rank_of(i);
    keep_top<double>(scores, budget_.tokens - budget_.sink - budget_.recent, kept);
    dropped_slots(kept, budget_.sink, evict[h]);
  }
  return success();
}

void BudgetRetention::forced(const ResidentTokens& resident, std::vector<KeySpan>& spans) const {
  resident_ends(resident.size(), budget_.sink, before_last(resident.size(), budget_.recent), spans);
}

}  // namespace attnscope
