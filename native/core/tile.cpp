#include "tile.h"

#include <cmath>
#include <limits>
#include <vector>

#include "cell_pool.h"
#include "score_block.h"
#include "simd.h"

namespace attnscope {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// The part of [first, first + count) that lies in [low, high).
TokenRange clip(std::uint32_t first, std::uint32_t count, std::uint64_t low, std::uint64_t high) {
  const std::uint64_t begin = std::max<std::uint64_t>(first, low), end = std::min(std::uint64_t{first} + count, high);
  if (begin >= end) return {};
  return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
}

/// Converts rows [range.begin, range.end) of a block whose first row is `first`.
std::vector<float> decode_rows(DType dtype, const void* data, std::uint32_t first, TokenRange range, std::uint32_t dim) {
  std::vector<float> rows(std::size_t{range.size()} * dim);
  const auto* bytes = static_cast<const unsigned char*>(data);
  to_float(dtype, bytes + std::size_t{range.begin - first} * dim * size_of(dtype), rows.size(), rows.data());
  return rows;
}

/// The pairs of a tile that one call covers, clipped to the grid.
struct Part {
  TokenRange queries, keys;
  std::vector<float> q, k;  // [queries][dim], [keys][dim]
  std::size_t dim = 0;
  std::span<const float> lse;  // of the clipped queries
  float scale = 1;
  Visibility visibility;

  const float* query(std::uint32_t i) const { return q.data() + (i - queries.begin) * dim; }
  const float* key(std::uint32_t j) const { return k.data() + (j - keys.begin) * dim; }
};

struct Cells {
  const TileGrid& grid;
  std::span<float> sum, max;
  std::span<std::uint32_t> count;

  void add(std::size_t row, std::size_t column, CellValue value) const {
    const std::size_t i = row * grid.edge + column;
    sum[i] += value.sum;
    max[i] = std::max(max[i], value.max);
  }
};

double dot_fp64(const float* a, const float* b, std::size_t dim) {
  double sum = 0;
  for (std::size_t c = 0; c < dim; ++c) sum += static_cast<double>(a[c]) * b[c];
  return sum;
}

/// Cells of one token are the map itself, shown as exact: dot product and exponential are taken in fp64. An fp32 dot product
/// of 128 terms is off by up to 1e-5 where scores reach 30, and the exponential makes that a relative error.
void add_exact(const Part& part, const Cells& cells) {
  for (std::uint32_t i = part.queries.begin; i < part.queries.end; ++i) {
    const double lse = part.lse[i - part.queries.begin];
    const std::uint32_t end = std::min(part.keys.end, i + 1);
    for (std::uint32_t j = std::max(part.keys.begin, part.visibility.first_key(i)); j < end; ++j) {
      const auto p = static_cast<float>(std::exp(dot_fp64(part.query(i), part.key(j), part.dim) * part.scale - lse));
      cells.add(i - cells.grid.row0, j - cells.grid.column0, {p, p});
    }
  }
}

/// Larger cells are pooled from fp32 blocks, as the pyramid is.
void add_pooled(const Part& part, const Cells& cells) {
  const KeyPanels panels({part.k.data(), part.keys.size(), part.dim, part.dim});
  std::vector<float> queries(query_block * part.dim), scores(score_floats), column_sums(key_block);
  const CellOrigin origin{cells.grid.row0, cells.grid.column0, cells.grid.cell};
  ScoreBlock block;
  block.data = scores.data() + score_margin;

  for (std::uint32_t i = part.queries.begin; i < part.queries.end; i += query_block) {
    const std::uint32_t end = std::min<std::uint32_t>(part.queries.end, i + query_block), end_key = std::min(part.keys.end, end);
    block.first_query = i;
    block.rows = end - i;
    scale_queries({part.query(i), block.rows, part.dim, part.dim}, part.scale, queries.data());
    const std::uint32_t first = std::max(part.keys.begin, part.visibility.first_key(i));
    const std::uint32_t begin = part.keys.begin + (first - part.keys.begin) / panel_width * panel_width;
    for (std::uint32_t j = begin; j < end_key; j += key_block) {
      const std::size_t keys = std::min<std::size_t>(key_block, end_key - j);
      block.first_key = j;
      block.keys = round_up(keys, panel_width);
      compute_scores(queries.data(), panels.panel((j - part.keys.begin) / panel_width), part.dim, part.visibility, block);
      for (std::size_t r = 0; r < block.rows; ++r) {
        const simd::f32x8 lse = simd::splat(part.lse[i - part.queries.begin + r]);
        float* row = block.row(r);
        for (std::size_t k = 0; k < block.keys; k += simd::lanes) simd::store(row + k, simd::exp(simd::load(row + k) - lse));
      }
      pool_cells(block, keys, origin, column_sums.data(),
                 [&](std::size_t row, std::size_t column, CellValue value) { cells.add(row, column, value); });
    }
  }
}

/// The cells that tokens [range.begin, range.end) fall into, counted from `origin`.
TokenRange cells_of(TokenRange range, std::uint32_t origin, std::uint32_t cell) {
  return {(range.begin - origin) / cell, (range.end - origin + cell - 1) / cell};
}

/// Adds the visible pairs of queries x keys, both inside the grid, to the cells they fall into.
void add_counts(const TileGrid& grid, TokenRange queries, TokenRange keys, Visibility visibility, std::span<std::uint32_t> count) {
  const TokenRange rows = cells_of(queries, grid.row0, grid.cell), columns = cells_of(keys, grid.column0, grid.cell);
  const auto tokens = [&](TokenRange range, std::uint32_t origin, std::uint32_t index) {
    const std::uint32_t begin = origin + index * grid.cell;
    return TokenRange{std::max(range.begin, begin), std::min(range.end, begin + grid.cell)};
  };
  for (std::uint32_t r = rows.begin; r < rows.end; ++r)
    for (std::uint32_t c = columns.begin; c < columns.end; ++c)
      count[std::size_t{r} * grid.edge + c] += static_cast<std::uint32_t>(
          visible_pairs(tokens(queries, grid.row0, r), tokens(keys, grid.column0, c), visibility));
}

std::uint64_t end_of(std::uint32_t origin, const TileGrid& grid) { return origin + std::uint64_t{grid.edge} * grid.cell; }

}  // namespace

void tile_accumulate(const TileGrid& grid, DType dtype, const void* q, std::uint32_t first_query, std::uint32_t n_queries,
                     const void* k, std::uint32_t first_key, std::uint32_t n_keys, std::uint32_t dim,
                     std::span<const float> lse, float scale, Visibility visibility,
                     std::span<float> sum, std::span<float> max, std::span<std::uint32_t> count) {
  Part part;
  part.keys = clip(first_key, n_keys, grid.column0, end_of(grid.column0, grid));
  // Queries before the first key see none of these keys.
  part.queries = clip(first_query, n_queries, std::max(grid.row0, part.keys.begin), end_of(grid.row0, grid));
  if (part.keys.size() == 0 || part.queries.size() == 0) return;
  part.q = decode_rows(dtype, q, first_query, part.queries, dim);
  part.k = decode_rows(dtype, k, first_key, part.keys, dim);
  part.dim = dim;
  part.lse = lse.subspan(part.queries.begin - first_query, part.queries.size());
  part.scale = scale;
  part.visibility = visibility;

  const Cells cells{grid, sum, max, count};
  grid.cell == 1 ? add_exact(part, cells) : add_pooled(part, cells);
  add_counts(grid, part.queries, part.keys, visibility, count);
}

void tile_finish(std::span<float> sum_to_mean, std::span<float> max, std::span<const std::uint32_t> count) {
  for (std::size_t i = 0; i < count.size(); ++i) {
    sum_to_mean[i] = count[i] == 0 ? nan : sum_to_mean[i] / static_cast<float>(count[i]);
    if (count[i] == 0) max[i] = nan;
  }
}

void tile_merge(std::span<float> mean, std::span<float> max, std::span<std::uint32_t> count,
                std::span<const float> mean2, std::span<const float> max2, std::span<const std::uint32_t> count2) {
  for (std::size_t i = 0; i < count.size(); ++i) {
    if (count2[i] == 0) continue;
    if (count[i] == 0) {
      mean[i] = mean2[i];
      max[i] = max2[i];
    } else {
      const double n = count[i], n2 = count2[i];
      mean[i] = static_cast<float>((mean[i] * n + mean2[i] * n2) / (n + n2));
      max[i] = std::max(max[i], max2[i]);
    }
    count[i] += count2[i];
  }
}

void tile_counts(const TileGrid& grid, TokenRange rows, Visibility visibility, std::span<std::uint32_t> count) {
  std::fill(count.begin(), count.end(), 0u);
  const TokenRange queries = clip(rows.begin, rows.size(), grid.row0, end_of(grid.row0, grid));
  const TokenRange keys = clip(0, rows.end, grid.column0, end_of(grid.column0, grid));
  if (queries.size() != 0 && keys.size() != 0) add_counts(grid, queries, keys, visibility, count);
}

double attention_value(DType dtype, const void* q, const void* k, std::uint32_t dim, float scale, float lse) {
  const std::vector<float> query = decode_rows(dtype, q, 0, {0, 1}, dim), key = decode_rows(dtype, k, 0, {0, 1}, dim);
  return std::exp(dot_fp64(query.data(), key.data(), dim) * scale - lse);
}

}  // namespace attnscope
