#include "score_block.h"

#include <limits>

namespace attnscope {

void scale_queries(Rows queries, float scale, float* out) {
  for (std::size_t r = 0; r < queries.count; ++r)
    for (std::size_t c = 0; c < queries.dim; ++c) out[r * queries.dim + c] = queries.row(r)[c] * scale;
}

namespace {

void mask_invisible(Visibility visibility, const ScoreBlock& block) {
  constexpr float masked = -std::numeric_limits<float>::infinity();
  const std::size_t end_key = block.first_key + block.keys;
  const auto last_query = static_cast<std::uint32_t>(block.first_query + block.rows - 1);
  const bool all_visible = end_key <= std::size_t{block.first_query} + 1 && visibility.first_key(last_query) <= block.first_key;
  if (all_visible) return;
  for (std::size_t r = 0; r < block.rows; ++r) {
    const auto query = static_cast<std::uint32_t>(block.first_query + r);
    const std::size_t first = std::clamp<std::size_t>(visibility.first_key(query), block.first_key, end_key) - block.first_key;
    const std::size_t end = std::clamp<std::size_t>(std::size_t{query} + 1, block.first_key, end_key) - block.first_key;
    std::fill(block.row(r), block.row(r) + first, masked);
    std::fill(block.row(r) + std::max(first, end), block.row(r) + block.keys, masked);
  }
}

}  // namespace

void compute_scores(const float* queries, const float* panels, std::size_t dim, Visibility visibility, const ScoreBlock& block) {
  block_product(queries, dim, block.rows, panels, block.keys / panel_width, dim, block.data, score_stride, false);
  mask_invisible(visibility, block);
}

}  // namespace attnscope
