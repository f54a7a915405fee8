// Sums and maxima of a block of the map over the cells of a grid. Used by the pyramid's base and by the tiles.
#pragma once
#include <algorithm>
#include <cstdint>

#include "block_product.h"
#include "score_block.h"
#include "simd.h"

namespace attnscope {

/// Cells of `cell` x `cell` tokens counted from (row, column); no token of a pooled block lies before it.
struct CellOrigin {
  std::uint32_t row = 0, column = 0, cell = 1;
};

struct CellValue {
  float sum = 0, max = 0;
};

/// Column sums and maxima over rows [begin, end) of a block, for its first `keys` columns (rounded up to 32).
inline void reduce_rows_of_block(const ScoreBlock& block, std::size_t begin, std::size_t end, std::size_t keys, float* sum, float* max) {
  constexpr std::size_t unroll = 4;  // two cache lines of every row at a time
  for (std::size_t k = 0; k < keys; k += unroll * simd::lanes) {
    simd::f32x8 s[unroll], m[unroll];
    for (std::size_t v = 0; v < unroll; ++v) s[v] = m[v] = simd::load(block.row(begin) + k + v * simd::lanes);
    for (std::size_t r = begin + 1; r < end; ++r)
#pragma GCC unroll 4
      for (std::size_t v = 0; v < unroll; ++v) {
        const simd::f32x8 p = simd::load(block.row(r) + k + v * simd::lanes);
        s[v] += p;
        m[v] = simd::max(m[v], p);
      }
    for (std::size_t v = 0; v < unroll; ++v) {
      simd::store(sum + k + v * simd::lanes, s[v]);
      simd::store(max + k + v * simd::lanes, m[v]);
    }
  }
}

/// Sum of sum[begin, end) and maximum of max[begin, end).
inline CellValue pool_columns(const float* sum, const float* max, std::size_t begin, std::size_t end) {
  CellValue value;
  if ((begin | end) % simd::lanes == 0) {
    simd::f32x8 s = simd::load(sum + begin), m = simd::load(max + begin);
    for (std::size_t k = begin + simd::lanes; k < end; k += simd::lanes) {
      s += simd::load(sum + k);
      m = simd::max(m, simd::load(max + k));
    }
    return {simd::horizontal_sum(s), simd::horizontal_max(m)};
  }
  for (std::size_t k = begin; k < end; ++k) {
    value.sum += sum[k];
    value.max = std::max(value.max, max[k]);
  }
  return value;
}

/// Pools the first `keys` columns of a block of p (0 where masked, and up to 32 columns further where keys is ragged) and
/// calls add_cell(cell_row, cell_column, CellValue) for every cell touched. `column_sums`, key_block floats, receives the sum
/// of every column over all rows.
template <class AddCell>
void pool_cells(const ScoreBlock& block, std::size_t keys, CellOrigin origin, float* column_sums, AddCell add_cell) {
  alignas(64) float sum[key_block], max[key_block];
  const std::size_t row0 = block.first_query - origin.row, column0 = block.first_key - origin.column, cell = origin.cell;
  for (std::size_t begin = 0; begin < block.rows;) {
    const std::size_t cell_row = (row0 + begin) / cell;
    const std::size_t end = std::min(block.rows, (cell_row + 1) * cell - row0);
    reduce_rows_of_block(block, begin, end, keys, sum, max);
    for (std::size_t k = 0; k < keys; ++k) column_sums[k] = begin == 0 ? sum[k] : column_sums[k] + sum[k];
    for (std::size_t k = 0; k < keys;) {
      const std::size_t cell_column = (column0 + k) / cell;
      const std::size_t end_key = std::min(keys, (cell_column + 1) * cell - column0);
      add_cell(cell_row, cell_column, pool_columns(sum, max, k, end_key));
      k = end_key;
    }
    begin = end;
  }
}

}  // namespace attnscope
