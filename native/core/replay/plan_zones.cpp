#include "core/replay/plan_zones.h"

namespace attnscope {
namespace zones {

/// Where limits change along the keys of a row block.
struct ZoneLimits {
  std::uint32_t sink, local, forced_columns, forced_distances, diagonal;
  bool windowed;

  ZoneLimits(const PrefillPlan& plan, std::uint32_t block)
      : sink(plan.sink), local(plan.local), forced_columns(plan.forced_columns), forced_distances(plan.forced_distances),
        diagonal(PlanZone::unlimited), windowed(plan.windowed) {
    if (plan.forced_diagonal_tiles) diagonal = (block == 0 ? 0 : block - 1) * PrefillPlan::block;
  }

  /// Splits a run of keys where a limit changes.
  void add(KeySpan keys, bool in_tile, std::vector<PlanZone>& out) const {
    while (keys.begin < keys.end) {
      std::uint32_t end = keys.end;
      for (const std::uint32_t edge : {windowed && in_tile ? sink : 0u, forced_columns, diagonal})
        if (edge > keys.begin && edge < end) end = edge;
      PlanZone zone;
      zone.keys = {keys.begin, end};
      zone.kept = windowed && in_tile && keys.begin >= sink ? local : PlanZone::unlimited;
      zone.forced = keys.begin < forced_columns || keys.begin >= diagonal ? PlanZone::unlimited : forced_distances;
      if (!out.empty() && out.back().keys.end == zone.keys.begin && out.back().kept == zone.kept && out.back().forced == zone.forced)
        out.back().keys.end = end;
      else
        out.push_back(zone);
      keys.begin = end;
    }
  }
};

}  // namespace zones

void plan_zones(const PrefillPlan& plan, std::uint32_t block, std::uint32_t begin, std::uint32_t end, std::vector<PlanZone>& out) {
  out.clear();
  const zones::ZoneLimits limits(plan, block);
  end = std::min(end, plan_block_rows(plan, block).end);
  if (begin >= end) return;
  const auto tiles = plan_tiles(plan, block), columns = plan_columns(plan, block);
  auto column = std::lower_bound(columns.begin(), columns.end(), begin);
  const std::uint32_t before = begin < PrefillPlan::block ? 0 : begin - PrefillPlan::block + 1;
  std::uint32_t covered = begin;  // keys below it are done
  const auto columns_until = [&](std::uint32_t key) {
    for (; column != columns.end() && *column < key; ++column) {
      if (*column < covered) continue;
      limits.add({*column, *column + 1}, false, out);
      covered = *column + 1;
    }
  };
  for (auto tile = std::lower_bound(tiles.begin(), tiles.end(), before); tile != tiles.end() && *tile < end; ++tile) {
    const KeySpan keys{std::max(*tile, covered), std::min(end, *tile + PrefillPlan::block)};
    if (keys.begin >= keys.end) continue;
    columns_until(keys.begin);
    limits.add({std::max(keys.begin, covered), keys.end}, true, out);
    covered = keys.end;
  }
  columns_until(end);
}

std::uint64_t pairs_within(TokenRange rows, KeySpan keys, Visibility visibility, std::uint32_t limit) {
  if (limit == 0) return 0;
  if (limit != PlanZone::unlimited && (visibility.window == 0 || limit < visibility.window)) visibility.window = limit;
  if (visibility.window == 0 && keys.end <= rows.begin + 1) return std::uint64_t{rows.size()} * (keys.end - keys.begin);
  return visible_pairs(rows, {keys.begin, keys.end}, visibility);
}

std::uint64_t attended_pairs(const PrefillPlan& plan, std::uint32_t block, Visibility visibility, std::vector<PlanZone>& scratch) {
  const TokenRange rows = plan_block_rows(plan, block);
  plan_zones(plan, block, 0, rows.end, scratch);
  std::uint64_t pairs = 0;
  for (const PlanZone& zone : scratch) pairs += pairs_within(rows, zone.keys, visibility, zone.kept);
  return pairs;
}

}  // namespace attnscope
