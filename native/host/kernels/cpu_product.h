// The two matrix products of the CPU's attention kernels. Keys and values are read where they lie, through one pointer a row:
// a key is the operand that is broadcast, a value the one that is loaded, so neither is ever packed, whatever keys a tile, a
// list or a window names. Scores lie [key][query]: the softmax over keys runs down columns, without sums across lanes.
#pragma once
#include <cstddef>

#include "core/simd.h"

namespace attnscope::cpu {

/// Queries of a row block, and floats between the scores of one key and those of the next.
inline constexpr std::size_t block_rows = 64;

// A register block is some rows by two vectors: 16 accumulators of 32 registers with AVX-512, 12 or 8 of 16 without. Both
// products then run at 95 % of the multiply-add rate of a core (EPYC 9004, 117 GFLOP/s), from the L2 cache and further out.
#if defined(__AVX512F__)
using wide = float __attribute__((vector_size(64)));
inline constexpr std::size_t held_keys = 8, held_rows = 8;
#else
using wide = simd::f32x8;
inline constexpr std::size_t held_keys = 6, held_rows = 4;
#endif
inline constexpr std::size_t wide_lanes = sizeof(wide) / sizeof(float);
/// Columns of a panel of queries: two vectors.
inline constexpr std::size_t panel_queries = 2 * wide_lanes;
static_assert(block_rows % panel_queries == 0 && panel_queries % held_rows == 0);

ATTNSCOPE_INLINE wide load_wide(const float* p) {
  wide v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
ATTNSCOPE_INLINE void store_wide(float* p, wide v) { std::memcpy(p, &v, sizeof v); }
ATTNSCOPE_INLINE float sum_lanes(wide v) {
#if defined(__AVX512F__)
  return simd::horizontal_sum(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
#else
  return simd::horizontal_sum(v);
#endif
}

/// scores[r][q] = sum over c of keys[r][c] * panel[c][q] for R keys and panel_queries queries; panel is [dim][panel_queries].
/// Each score is summed over c in ascending order, whatever keys stand beside it.
template <std::size_t R>
ATTNSCOPE_INLINE void score_keys(const float* const* keys, const float* panel, std::size_t dim, float* scores) {
  const float* key[R];
  for (std::size_t r = 0; r < R; ++r) key[r] = keys[r];
  wide sum[R][2] = {};
  for (std::size_t c = 0; c < dim; ++c) {
    const wide low = load_wide(panel + c * panel_queries), high = load_wide(panel + c * panel_queries + wide_lanes);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < R; ++r) {
      sum[r][0] += key[r][c] * low;
      sum[r][1] += key[r][c] * high;
    }
  }
#pragma GCC unroll 16
  for (std::size_t r = 0; r < R; ++r) {
    store_wide(scores + r * block_rows, sum[r][0]);
    store_wide(scores + r * block_rows + wide_lanes, sum[r][1]);
  }
}

/// Where the weight of row r and key k lies: p[k * key + r * row].
struct WeightStride {
  std::size_t key = block_rows, row = 1;
};

/// out[r][c] = shrink[r] * out[r][c] + sum over k < count of p(r, k) * values[k][c] for R rows and V vectors of columns.
template <std::size_t R, std::size_t V>
ATTNSCOPE_INLINE void add_values(const float* p, WeightStride at, const float* const* values, std::size_t count, std::size_t column, const float* shrink,
                                 float* out, std::size_t out_stride) {
  wide sum[R][V];
#pragma GCC unroll 16
  for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) sum[r][v] = shrink[r] * load_wide(out + r * out_stride + column + v * wide_lanes);
  for (std::size_t k = 0; k < count; ++k) {
    const float* value = values[k] + column;
    wide x[V];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) x[v] = load_wide(value + v * wide_lanes);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) sum[r][v] += p[k * at.key + r * at.row] * x[v];
  }
#pragma GCC unroll 16
  for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) store_wide(out + r * out_stride + column + v * wide_lanes, sum[r][v]);
}

}  // namespace attnscope::cpu
