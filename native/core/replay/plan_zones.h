// A prefill plan's row block as runs of keys with two limits on the distance query - key: which pairs are attended to, and
// which of them were forced. Costs, traces and masks of a plan all come from these.
#pragma once
#include <span>
#include <vector>

#include "core/policy/policy.h"
#include "core/replay/spans.h"

namespace attnscope {

/// Pairs of the zone with query - key < kept are attended to, those below min(kept, forced) were forced.
struct PlanZone {
  static constexpr std::uint32_t unlimited = ~std::uint32_t{0};
  KeySpan keys;
  std::uint32_t kept = unlimited, forced = 0;
};

inline TokenRange plan_block_rows(const PrefillPlan& plan, std::uint32_t block) {
  const std::uint32_t begin = block * PrefillPlan::block;
  return {begin, std::min(plan.tokens, begin + PrefillPlan::block)};
}
inline std::span<const std::uint32_t> plan_tiles(const PrefillPlan& plan, std::uint32_t block) {
  return std::span(plan.tile).subspan(plan.tile_offset[block], plan.tile_offset[block + 1] - plan.tile_offset[block]);
}
inline std::span<const std::uint32_t> plan_columns(const PrefillPlan& plan, std::uint32_t block) {
  return std::span(plan.column).subspan(plan.column_offset[block], plan.column_offset[block + 1] - plan.column_offset[block]);
}

/// Zones of a row block that reach into [begin, end), ascending and disjoint, none past the block's last query; the list is
/// replaced. Columns inside a tile count once, as part of the tile.
void plan_zones(const PrefillPlan& plan, std::uint32_t block, std::uint32_t begin, std::uint32_t end, std::vector<PlanZone>& zones);

/// Visible pairs of rows x keys with query - key < limit.
std::uint64_t pairs_within(TokenRange rows, KeySpan keys, Visibility visibility, std::uint32_t limit);

/// Pairs of a row block that are attended to.
std::uint64_t attended_pairs(const PrefillPlan& plan, std::uint32_t block, Visibility visibility, std::vector<PlanZone>& scratch);

}  // namespace attnscope
