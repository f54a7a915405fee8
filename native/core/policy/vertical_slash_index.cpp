#include <algorithm>

#include "core/policy/plan_builder.h"
#include "core/policy/vertical_slash.h"
#include "core/policy/vertical_slash_walk.h"

namespace attnscope::vertical_slash {
namespace {

/// [tokens]: the largest distance at or below x, or no_distance. With it a row block costs one step a tile instead of one a distance
/// (6,096 of them in 512 row blocks at 32K).
std::vector<std::uint32_t> largest_at_or_below(std::span<const std::uint32_t> distances, std::uint32_t tokens) {
  std::vector<std::uint32_t> below(tokens, no_distance);
  for (std::uint32_t t : distances) below[t] = t;
  for (std::uint32_t x = 1; x < tokens; ++x)
    if (below[x] == no_distance) below[x] = below[x - 1];
  return below;
}

/// [tokens + 1]: how many columns lie below x.
std::vector<std::uint32_t> count_below(std::span<const std::uint32_t> columns, std::uint32_t tokens) {
  std::vector<std::uint32_t> count(tokens + std::size_t{1});
  for (std::uint32_t j : columns) ++count[j + 1];
  for (std::uint32_t x = 0; x < tokens; ++x) count[x + 1] += count[x];
  return count;
}

struct Append {
  std::span<const std::uint32_t> all_columns;
  PrefillPlan& plan;
  void tiles(std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t key = begin; key < end; key += PrefillPlan::block) plan.tile.push_back(key);
  }
  void columns(std::uint32_t first, std::uint32_t end) { plan.column.insert(plan.column.end(), all_columns.begin() + first, all_columns.begin() + end); }
};

}  // namespace

void convert_indices(std::span<const std::uint32_t> columns, std::span<const std::uint32_t> distances, PrefillPlan& plan) {
  const std::vector<std::uint32_t> below = largest_at_or_below(distances, plan.tokens), count = count_below(columns, plan.tokens);
  const auto distance_at_or_below = [&](std::uint32_t x) { return below[x]; };
  const auto columns_below = [&](std::uint32_t x) { return count[x]; };
  Append append{columns, plan};
  for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
    walk_row_block(m, plan.tokens, distance_at_or_below, columns_below, append);
    finish_row_block(plan);
  }
}

}  // namespace attnscope::vertical_slash
