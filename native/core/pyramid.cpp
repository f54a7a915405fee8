// From a head's accumulators to what is stored: levels, thumbnails, tiles and the overview row.
#include <algorithm>
#include <limits>

#include "reduce.h"

namespace attnscope {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Sums and maxima of one level; what means are made from.
struct Sums {
  std::uint32_t cell = 1, cells = 0;
  std::vector<double> sum;
  std::vector<float> max;
};

Sums parent_of(const Sums& child) {
  Sums parent{child.cell * 2, (child.cells + 1) / 2, {}, {}};
  parent.sum.resize(std::size_t{parent.cells} * parent.cells);
  parent.max.resize(parent.sum.size());
  for (std::size_t r = 0; r < child.cells; ++r)
    for (std::size_t c = 0; c < child.cells; ++c) {
      const std::size_t from = r * child.cells + c, to = r / 2 * parent.cells + c / 2;
      parent.sum[to] += child.sum[from];
      parent.max[to] = std::max(parent.max[to], child.max[from]);
    }
  return parent;
}

PyramidLevel finish(const Sums& sums, TokenRange rows, Visibility visibility) {
  PyramidLevel level{sums.cell, sums.cells, std::vector<float>(sums.sum.size(), nan), std::vector<float>(sums.sum.size(), nan)};
  for (std::uint32_t r = 0; r < sums.cells; ++r) {
    const TokenRange cell_rows{std::max(rows.begin, r * sums.cell), std::min(rows.end, (r + 1) * sums.cell)};
    if (cell_rows.begin >= cell_rows.end) continue;
    for (std::uint32_t c = 0; c <= r; ++c) {
      const std::uint64_t pairs = visible_pairs(cell_rows, {c * sums.cell, (c + 1) * sums.cell}, visibility);
      if (pairs == 0) continue;
      const std::size_t i = std::size_t{r} * sums.cells + c;
      level.mean[i] = static_cast<float>(sums.sum[i] / static_cast<double>(pairs));
      level.max[i] = sums.max[i];
    }
  }
  return level;
}

Sums base_of(const HeadReduction& reduction) { return {reduction.config.cell, reduction.cells, reduction.cell_sum, reduction.cell_max}; }

}  // namespace

std::vector<PyramidLevel> build_pyramid(const HeadReduction& reduction, Visibility visibility, std::uint32_t tile_edge) {
  std::vector<PyramidLevel> levels;
  Sums sums = base_of(reduction);
  levels.push_back(finish(sums, reduction.rows, visibility));
  while (sums.cells > tile_edge) {
    sums = parent_of(sums);
    levels.push_back(finish(sums, reduction.rows, visibility));
  }
  std::reverse(levels.begin(), levels.end());
  return levels;
}

PyramidLevel build_thumbnail(const HeadReduction& reduction, Visibility visibility, std::uint32_t edge) {
  Sums sums = base_of(reduction);
  while (sums.cells > edge) sums = parent_of(sums);
  const PyramidLevel level = finish(sums, reduction.rows, visibility);
  PyramidLevel thumbnail{level.cell, edge, std::vector<float>(std::size_t{edge} * edge), std::vector<float>(std::size_t{edge} * edge)};
  copy_tile(level, edge, 0, 0, thumbnail.mean, thumbnail.max);
  return thumbnail;
}

void copy_tile(const PyramidLevel& level, std::uint32_t edge, std::uint32_t tile_row, std::uint32_t tile_col,
               std::span<float> mean, std::span<float> max) {
  for (std::size_t r = 0; r < edge; ++r)
    for (std::size_t c = 0; c < edge; ++c) {
      const std::size_t row = std::size_t{tile_row} * edge + r, column = std::size_t{tile_col} * edge + c, to = r * edge + c;
      const bool inside = row < level.cells && column < level.cells;
      mean[to] = inside ? level.mean[row * level.cells + column] : nan;
      max[to] = inside ? level.max[row * level.cells + column] : nan;
    }
}

HeadSummary summarize(const HeadReduction& reduction, std::uint32_t first_row) {
  const RowStats& rows = reduction.row_stats;
  const std::size_t begin = std::max(reduction.rows.begin, first_row) - reduction.rows.begin, end = reduction.rows.size();
  const auto mean = [&](const auto& column) {
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += column[i];
    return begin < end ? static_cast<float>(sum / static_cast<double>(end - begin)) : nan;
  };
  return {mean(rows.entropy), mean(rows.sink_mass), mean(rows.local_mass), mean(rows.top1_mass), mean(rows.previous_mass),
          mean(rows.coverage_90), mean(rows.coverage_95), mean(rows.coverage_99)};
}

}  // namespace attnscope
