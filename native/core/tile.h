// Any tile of the attention map at any zoom, recomputed from stored q, k and LSE. What the viewer calls between the
// pyramid's base and single tokens.
#pragma once
#include <span>

#include "dtype.h"
#include "views.h"

namespace attnscope {

/// A square of edge x edge cells of `cell` x `cell` tokens whose first row and column are tokens row0 and column0.
struct TileGrid {
  std::uint32_t edge = 256, cell = 1, row0 = 0, column0 = 0;
};

/// Adds p over the visible pairs of the given query and key blocks (consecutive positions) to sum and count, raises max.
/// sum, max, count: [edge][edge], initialised by the caller to 0, 0, 0. q, k: [n][dim] in `dtype`. lse: [n_queries].
void tile_accumulate(const TileGrid& grid, DType dtype, const void* q, std::uint32_t first_query, std::uint32_t n_queries,
                     const void* k, std::uint32_t first_key, std::uint32_t n_keys, std::uint32_t dim,
                     std::span<const float> lse, float scale, Visibility visibility,
                     std::span<float> sum, std::span<float> max, std::span<std::uint32_t> count);

/// Turns sums into means; cells with count 0 become NaN in both arrays.
void tile_finish(std::span<float> sum_to_mean, std::span<float> max, std::span<const std::uint32_t> count);

/// Merges a second tile of the same grid into the first (prefill rows and decode rows of a straddling cell): means
/// weighted by counts, maxima by max; NaN with count 0 is neutral.
void tile_merge(std::span<float> mean, std::span<float> max, std::span<std::uint32_t> count,
                std::span<const float> mean2, std::span<const float> max2, std::span<const std::uint32_t> count2);

/// Visible pairs of every cell of the grid for query rows in `rows` and keys below `rows.end`: [edge][edge].
void tile_counts(const TileGrid& grid, TokenRange rows, Visibility visibility, std::span<std::uint32_t> count);

/// One value of the map in fp64 from stored vectors: exp(q.k * scale - lse).
double attention_value(DType dtype, const void* q, const void* k, std::uint32_t dim, float scale, float lse);

}  // namespace attnscope
