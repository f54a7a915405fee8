#include "core/replay/mask_tile.h"

#include "core/replay/plan_zones.h"
#include "core/replay/spans.h"

namespace attnscope {
namespace masks {

/// Pair counts of a grid's cells while it is filled.
class CellCounts {
 public:
  explicit CellCounts(const TileGrid& grid)
      : grid_(grid), end_row_(end_of(grid.row0, grid)), end_column_(end_of(grid.column0, grid)),
        visible(std::size_t{grid.edge} * grid.edge), kept(visible.size()), forced(visible.size()) {}

  std::uint32_t first_row() const { return grid_.row0; }
  std::uint32_t end_row() const { return end_row_; }
  std::uint32_t first_column() const { return grid_.column0; }
  std::uint32_t end_column() const { return end_column_; }

  /// Tokens [begin, end) of cell row r, at most up to `limit`.
  TokenRange rows_of(std::uint32_t r, std::uint32_t limit) const { return part(grid_.row0, r, end_row_, limit); }
  TokenRange columns_of(std::uint32_t c) const { return part(grid_.column0, c, end_column_, end_column_); }

  /// Calls add(cell index, run of keys) for the cells of cell row r that a run of keys falls into.
  template <class Add>
  void for_cells(std::uint32_t r, KeySpan keys, Add add) const {
    keys = {std::max(keys.begin, grid_.column0), std::min(keys.end, end_column_)};
    while (keys.begin < keys.end) {
      const std::uint32_t c = (keys.begin - grid_.column0) / grid_.cell;
      const std::uint32_t end = std::min(keys.end, columns_of(c).end);
      add(std::size_t{r} * grid_.edge + c, KeySpan{keys.begin, end});
      keys.begin = end;
    }
  }

  void write(MaskTile& out) const {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    out.kept.assign(visible.size(), nan);
    out.forced.assign(visible.size(), nan);
    out.complete.assign(visible.size(), 0);
    for (std::size_t i = 0; i < visible.size(); ++i) {
      if (visible[i] == 0) continue;
      out.kept[i] = static_cast<float>(static_cast<double>(kept[i]) / static_cast<double>(visible[i]));
      out.forced[i] = static_cast<float>(static_cast<double>(forced[i]) / static_cast<double>(visible[i]));
    }
  }

 private:
  static std::uint32_t end_of(std::uint32_t origin, const TileGrid& grid) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(origin + std::uint64_t{grid.edge} * grid.cell, ~std::uint32_t{0}));
  }
  TokenRange part(std::uint32_t origin, std::uint32_t index, std::uint32_t end, std::uint32_t limit) const {
    const std::uint64_t begin = origin + std::uint64_t{index} * grid_.cell, stop = std::min<std::uint64_t>(begin + grid_.cell, std::min(end, limit));
    if (begin >= stop) return {};
    return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(stop)};
  }

  TileGrid grid_;
  std::uint32_t end_row_, end_column_;

 public:
  std::vector<std::uint64_t> visible, kept, forced;  // [edge][edge]
};

/// All visible pairs of rows below `limit`, cell by cell.
template <class Add>
void for_visible_cells(const CellCounts& cells, const TileGrid& grid, std::uint32_t limit, Visibility visibility, Add add) {
  for (std::uint32_t r = 0; r < grid.edge; ++r) {
    const TokenRange rows = cells.rows_of(r, limit);
    if (rows.size() == 0) break;
    for (std::uint32_t c = 0; c < grid.edge; ++c) {
      const std::uint64_t pairs = visible_pairs(rows, cells.columns_of(c), visibility);
      if (pairs != 0) add(std::size_t{r} * grid.edge + c, pairs);
    }
  }
}

/// Rows of `rows` that see some key of `columns`: those from columns.begin on, until the window has passed.
std::uint32_t rows_that_see(TokenRange rows, TokenRange columns, Visibility visibility) {
  if (columns.size() == 0) return 0;
  const std::uint32_t begin = std::max(rows.begin, columns.begin);
  std::uint64_t end = rows.end;
  if (visibility.window != 0) end = std::min<std::uint64_t>(end, std::uint64_t{columns.end} - 1 + visibility.window);
  return end > begin ? static_cast<std::uint32_t>(end - begin) : 0;
}

}  // namespace masks

void mask_tile(const PrefillPlan& plan, const TileGrid& grid, Visibility visibility, MaskTile& out) {
  masks::CellCounts cells(grid);
  masks::for_visible_cells(cells, grid, plan.tokens, visibility, [&](std::size_t i, std::uint64_t pairs) { cells.visible[i] = pairs; });

  std::vector<PlanZone> zones;
  const std::uint32_t end_row = std::min(cells.end_row(), plan.tokens);
  for (std::uint32_t b = cells.first_row() / PrefillPlan::block; b < plan.row_blocks() && plan_block_rows(plan, b).begin < end_row; ++b) {
    plan_zones(plan, b, cells.first_column(), cells.end_column(), zones);
    const TokenRange block{std::max(plan_block_rows(plan, b).begin, cells.first_row()), std::min(plan_block_rows(plan, b).end, end_row)};
    for (TokenRange rows = {block.begin, 0}; rows.begin < block.end; rows.begin = rows.end) {
      const std::uint32_t r = (rows.begin - grid.row0) / grid.cell;
      rows.end = std::min(block.end, cells.rows_of(r, end_row).end);
      for (const PlanZone& zone : zones)
        cells.for_cells(r, zone.keys, [&](std::size_t i, KeySpan keys) {
          cells.kept[i] += pairs_within(rows, keys, visibility, zone.kept);
          cells.forced[i] += pairs_within(rows, keys, visibility, std::min(zone.kept, zone.forced));
        });
    }
  }
  cells.write(out);
  for (std::size_t i = 0; i < cells.visible.size(); ++i) out.complete[i] = cells.visible[i] != 0;
}

void mask_tile(const HeadTrace& trace, const TileGrid& grid, Visibility visibility, std::uint32_t dense_before, MaskTile& out) {
  masks::CellCounts cells(grid);
  std::vector<std::uint32_t> looked_at(cells.visible.size());
  masks::for_visible_cells(cells, grid, std::min(dense_before, trace.tokens), visibility,
                           [&](std::size_t i, std::uint64_t pairs) { cells.visible[i] = cells.kept[i] = pairs; });

  const std::uint32_t first = std::max(dense_before, cells.first_row()), last = std::min(cells.end_row(), trace.tokens);
  const auto begin = std::lower_bound(trace.rows.begin(), trace.rows.end(), first);
  for (auto at = begin; at != trace.rows.end() && *at < last; ++at) {
    const auto t = static_cast<std::size_t>(at - trace.rows.begin());
    const std::uint32_t r = (*at - grid.row0) / grid.cell;
    const auto count = [&](std::vector<std::uint64_t>& pairs) {
      return [&](std::size_t i, KeySpan keys) { pairs[i] += keys.end - keys.begin; };
    };
    cells.for_cells(r, {visibility.first_key(*at), *at + 1}, [&](std::size_t i, KeySpan keys) {
      cells.visible[i] += keys.end - keys.begin;
      ++looked_at[i];
    });
    for (const KeySpan& s : spans_touching(trace.kept(t), cells.first_column(), cells.end_column())) cells.for_cells(r, s, count(cells.kept));
    for (const KeySpan& s : spans_touching(trace.forced_of(t), cells.first_column(), cells.end_column())) cells.for_cells(r, s, count(cells.forced));
  }

  cells.write(out);
  for (std::uint32_t r = 0; r < grid.edge; ++r) {
    const TokenRange rows = cells.rows_of(r, trace.tokens);
    // Rows that are dense without having been evaluated count as looked at.
    const TokenRange open{std::max(rows.begin, std::min(dense_before, rows.end)), rows.end};
    for (std::uint32_t c = 0; c < grid.edge && rows.size() != 0; ++c) {
      const std::size_t i = std::size_t{r} * grid.edge + c;
      out.complete[i] = cells.visible[i] != 0 && looked_at[i] == masks::rows_that_see(open, cells.columns_of(c), visibility);
    }
  }
}

}  // namespace attnscope
