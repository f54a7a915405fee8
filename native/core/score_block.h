// One block of the score matrix, small enough for the cache: the unit both passes and the tiles work on.
#pragma once
#include <algorithm>
#include <cstddef>

#include "attention.h"
#include "block_product.h"

namespace attnscope {

/// 64 queries x 256 keys: 82 KB of scores beside 128 KB of key panels (head_dim 128) fit a 512 KB L2 cache.
inline constexpr std::size_t query_block = 64;
inline constexpr std::size_t key_block = 256;
/// Room after every row that pass 2 keeps zero: reading the block along a diagonal runs up to query_block past a row's end.
inline constexpr std::size_t score_margin = query_block;
inline constexpr std::size_t score_stride = key_block + score_margin;
/// One row of margin in front of the block, for the same reason.
inline constexpr std::size_t score_floats = score_margin + query_block * score_stride;

static_assert(KeyPanels::width == panel_width);

/// Where a block lies on the map. `keys` is a multiple of 16 and may run past the last key a query sees.
struct ScoreBlock {
  std::uint32_t first_query = 0, first_key = 0;
  std::size_t rows = 0, keys = 0;
  float* data = nullptr;  // [rows][score_stride]
  float* row(std::size_t r) const { return data + r * score_stride; }
};

/// Copies queries times `scale` to [count][dim]: scaling q once is cheaper than scaling every score.
void scale_queries(Rows queries, float scale, float* out);

/// Scores of the block, -infinity where a key is not visible: from scaled queries (the block's first row at `queries`) and
/// the panels that begin with the block's first key.
void compute_scores(const float* queries, const float* panels, std::size_t dim, Visibility visibility, const ScoreBlock& block);

/// Calls visit(first_key, keys) for every run of up to key_block keys that some query of [first_query, end_query) sees;
/// first_key is a multiple of 16.
template <class Visit>
void for_visible_keys(std::uint32_t first_query, std::uint32_t end_query, Visibility visibility, Visit visit) {
  const std::uint32_t begin = visibility.first_key(first_query) / panel_width * panel_width;
  for (std::uint32_t k = begin; k < end_query; k += key_block)
    visit(k, std::min(key_block, round_up(end_query - k, panel_width)));
}

/// Calls visit(rows, first) for every block of the input's queries, `rows` being the input of those from its row `first` on. Blocks
/// start at multiples of query_block, so that large cells are not split between blocks without need.
template <class Visit>
void for_query_blocks(const HeadInput& input, Visit visit) {
  for (std::size_t first = 0; first < input.queries.count;) {
    const std::size_t query = input.first_query + first, n = std::min(input.queries.count - first, query_block - query % query_block);
    HeadInput rows = input;
    rows.queries = input.queries.slice(first, n);
    rows.first_query = static_cast<std::uint32_t>(query);
    visit(rows, first);
    first += n;
  }
}

}  // namespace attnscope
