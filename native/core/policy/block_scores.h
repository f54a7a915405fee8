// Block-sparse's estimate, block by block: means of 64 rows and their products. The policy and the kernel that times it share it.
#pragma once
#include <algorithm>
#include <span>

#include "core/attention.h"
#include "core/block_product.h"

namespace attnscope::block_sparse {

/// Tokens of a block, and rows of the product that are computed together.
inline constexpr std::uint32_t block_tokens = 64;

/// Mean of rows [64 block, 64 block + 64) that lie below `tokens`, [dim]: their sum divided by 64 also where there are fewer, as
/// the published code pads with zeros and takes the mean over them too. `sum`: scratch of dim values.
inline void pool_block(Rows rows, std::uint32_t block, std::uint32_t tokens, std::span<double> sum, float* mean) {
  const std::uint32_t begin = block * block_tokens, end = std::min(begin + block_tokens, tokens);
  std::fill(sum.begin(), sum.end(), 0.0);
  for (std::uint32_t i = begin; i < end; ++i)
    for (std::size_t c = 0; c < rows.dim; ++c) sum[c] += static_cast<double>(rows.row(i)[c]);
  for (std::size_t c = 0; c < rows.dim; ++c) mean[c] = static_cast<float>(sum[c] / block_tokens);
}

/// Pooled query times pooled key for up to 64 query blocks from `first` on: row r of `scores`, round_up(first + rows, 16) floats
/// used, begins with blocks [0, first + r]. What follows them is undefined.
inline void score_block_rows(const float* pooled_queries, const KeyPanels& pooled_keys, std::uint32_t first, std::uint32_t rows, float* scores,
                             std::size_t stride) {
  const std::size_t dim = pooled_keys.dim();
  block_product(pooled_queries + first * dim, dim, rows, pooled_keys.data(), round_up(first + rows, panel_width) / panel_width, dim, scores, stride, false);
}

}  // namespace attnscope::block_sparse
