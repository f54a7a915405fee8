#include "core/replay/strip.h"

#include <algorithm>

#include "core/replay/span_sums.h"
#include "core/replay/value_product.h"
#include "core/score_block.h"

namespace attnscope {
namespace strips {

enum Slot { slot_queries, slot_values, slot_product };

/// exp(score - lse) on [first, end) of a run of `keys` scores, 0 elsewhere.
void exponentiate(float* scores, std::size_t keys, std::size_t first, std::size_t end, float lse) {
  const simd::f32x8 shift = simd::splat(lse);
  for (std::size_t k = 0; k < keys; k += simd::lanes) simd::store(scores + k, simd::exp(simd::load(scores + k) - shift));
  std::fill(scores, scores + std::min(first, keys), 0.0f);
  std::fill(scores + std::max(first, end), scores + std::max({keys, first, end}), 0.0f);
}

}  // namespace strips

// Rows are a whole number of panels and never a power of two apart: 64 rows at the same key would share a cache set.
Strip::Strip(std::vector<std::uint32_t> rows, std::uint32_t tokens, std::uint32_t dim)
    : rows_(std::move(rows)), tokens_(tokens), dim_(dim), stride_(round_up(tokens, panel_width) + panel_width),
      p_(rows_.size() * stride_), out_(rows_.size() * dim), total_(rows_.size()) {}

std::size_t Strip::compute(std::size_t count, Rows queries, std::span<const float> lse, const KeyPanels& keys, Rows values, float scale,
                           Visibility visibility, Scratch& scratch) {
  const std::size_t end = std::min(rows_.size(), done_ + count), width = round_up(dim_, panel_width);
  const bool with_values = values.count != 0;
  float* scaled = scratch.floats(strips::slot_queries, query_block * dim_);
  float* panels = scratch.floats(strips::slot_values, value_block * width);
  float* product = scratch.floats(strips::slot_product, query_block * width);
  std::vector<double> sums(query_block * width);
  std::uint32_t block_keys[value_block];

  while (done_ < end) {
    const std::size_t first_row = done_, rows = std::min(query_block, end - done_);
    scale_queries(queries.slice(first_row, rows), scale, scaled);
    std::fill(sums.begin(), sums.end(), 0.0);
    const std::uint32_t end_key = rows_[first_row + rows - 1] + 1;
    std::uint32_t key = visibility.first_key(rows_[first_row]) / panel_width * panel_width;
    for (std::size_t active = first_row; key < end_key; key += value_block) {
      const std::size_t n = std::min<std::size_t>(value_block, end_key - key), padded = round_up(n, panel_width);
      // Rows are ascending: those that end before this block come first and need no more.
      while (rows_[active] < key) ++active;
      const std::size_t live = first_row + rows - active;
      float* p = p_.data() + active * stride_ + key;
      block_product(scaled + (active - first_row) * dim_, dim_, live, keys.panel(key / panel_width), padded / panel_width, dim_, p, stride_, false);
      for (std::size_t r = 0; r < live; ++r) {
        const std::uint32_t row = rows_[active + r], first = visibility.first_key(row);
        const std::size_t from = first > key ? first - key : 0, to = std::min<std::size_t>(padded, row + 1 - key);
        strips::exponentiate(p + r * stride_, padded, from, to, lse[active + r]);
        total_[active + r] += sum_run(p + r * stride_, 0, to);
      }
      if (!with_values) continue;
      for (std::size_t k = 0; k < n; ++k) block_keys[k] = key + static_cast<std::uint32_t>(k);
      gather_values(values, block_keys, n, panels);
      add_value_product(p, stride_, live, panels, n, width, product, sums.data() + (active - first_row) * width);
    }
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < dim_; ++c) out_[(first_row + r) * dim_ + c] = static_cast<float>(sums[r * width + c]);
    done_ += rows;
  }
  return rows_.size() - done_;
}

}  // namespace attnscope
