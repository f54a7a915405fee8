#include "host/kernels/cpu_row_block.h"

#include <algorithm>
#include <cmath>

#include "core/online_softmax.h"

namespace attnscope::cpu {
namespace {

using simd::f32x8;

/// The running softmax of the queries of two vectors over the keys of a batch: scores become exp(score - maximum).
void softmax_columns(float* scores, std::size_t keys, float* maximum, double* sum, float* shrink) {
  constexpr std::size_t columns = 2;  // one cache line of every key
  f32x8 top[columns], shift[columns], total[columns] = {};
  for (std::size_t v = 0; v < columns; ++v) top[v] = simd::load(maximum + v * simd::lanes);
  for (std::size_t k = 0; k < keys; ++k)
    for (std::size_t v = 0; v < columns; ++v) top[v] = simd::max(top[v], simd::load(scores + k * block_rows + v * simd::lanes));
  for (std::size_t v = 0; v < columns; ++v) {
    // A query that has seen no key yet stays at -infinity: shifting by 0 then gives p = 0, not NaN.
    const simd::i32x8 none = top[v] == simd::splat(minus_infinity);
    shift[v] = simd::as_float(simd::as_int(top[v]) & ~none);
    simd::store(shrink + v * simd::lanes, simd::exp(simd::load(maximum + v * simd::lanes) - shift[v]));
    simd::store(maximum + v * simd::lanes, top[v]);
  }
  for (std::size_t k = 0; k < keys; ++k)
    for (std::size_t v = 0; v < columns; ++v) {
      float* at = scores + k * block_rows + v * simd::lanes;
      const f32x8 p = simd::exp(simd::load(at) - shift[v]);
      simd::store(at, p);
      total[v] += p;
    }
  for (std::size_t v = 0; v < columns; ++v)
    for (std::size_t lane = 0; lane < simd::lanes; ++lane) {
      const std::size_t q = v * simd::lanes + lane;
      sum[q] = sum[q] * static_cast<double>(shrink[q]) + static_cast<double>(total[v][lane]);
    }
}

/// Scores of `count` keys on one panel of queries.
void score_panel(const float* const* keys, std::size_t count, const float* panel, std::size_t dim, float* scores) {
  std::size_t k = 0;
  for (; k + held_keys <= count; k += held_keys) score_keys<held_keys>(keys + k, panel, dim, scores + k * block_rows);
  for (; k < count; ++k) score_keys<1>(keys + k, panel, dim, scores + k * block_rows);
}

/// `rows` rows of the output, all columns.
template <std::size_t R>
void add_rows(const float* p, const float* const* values, std::size_t count, const float* shrink, float* out, std::size_t width) {
  std::size_t column = 0;
  for (; column + 2 * wide_lanes <= width; column += 2 * wide_lanes) add_values<R, 2>(p, {}, values, count, column, shrink, out, width);
  if (column < width) add_values<R, 1>(p, {}, values, count, column, shrink, out, width);
}

}  // namespace

RowBlock::RowBlock(Scratch& scratch, std::size_t dim, std::size_t value_width)
    : dim_(dim), width_(value_width), queries_(scratch.floats(slot_queries, block_rows * dim)),
      scores_(scratch.floats(slot_scores, batch_keys * block_rows)), output_(scratch.floats(slot_output, block_rows * value_width)),
      row_(scratch.floats(slot_rows, dim)) {}

void RowBlock::begin(const SourceRows& source, std::size_t first, std::size_t rows, std::uint32_t first_query, float scale) {
  rows_ = rows;
  first_query_ = static_cast<std::uint32_t>(first_query + first);
  std::fill_n(queries_, block_rows * dim_, 0.0f);
  for (std::size_t r = 0; r < rows; ++r) {
    source.read(first + r, row_, dim_);
    float* lane = queries_ + r / panel_queries * panel_queries * dim_ + r % panel_queries;
    for (std::size_t c = 0; c < dim_; ++c) lane[c * panel_queries] = row_[c] * scale;
  }
  std::fill_n(output_, block_rows * width_, 0.0f);
  std::fill_n(maximum_, block_rows, minus_infinity);
  std::fill_n(sum_, block_rows, 0.0);
}

void RowBlock::mask(std::span<const std::uint32_t> positions, const ElementRule& rule) {
  for (std::size_t k = 0; k < positions.size(); ++k) {
    const std::uint32_t key = positions[k];
    float* row = scores_ + k * block_rows;
    if (key > first_query_) std::fill_n(row, std::min<std::size_t>(key - first_query_, block_rows), minus_infinity);
    if (!rule.windowed || key < rule.sink) continue;
    const std::size_t end = std::size_t{key} + rule.local;  // the first query that no longer sees it
    if (end < first_query_ + block_rows) std::fill(row + (end > first_query_ ? end - first_query_ : 0), row + block_rows, minus_infinity);
  }
}

void RowBlock::attend(const float* keys, std::size_t key_stride, const float* values, std::size_t value_stride,
                      std::span<const std::uint32_t> positions, const ElementRule& rule) {
  const std::size_t count = positions.size();
  std::uint32_t last = 0;
  for (std::size_t k = 0; k < count; ++k) {
    key_[k] = keys + positions[k] * key_stride;
    value_[k] = values + positions[k] * value_stride;
    last = std::max(last, positions[k]);
  }
  // Behind the last key that one of the first queries sees nothing is computed for them: half of the tile on the diagonal.
  const auto seen_by = [&](std::size_t query) {
    std::size_t n = count;
    if (last > first_query_ + query)
      while (n > 0 && positions[n - 1] > first_query_ + query) --n;
    return n;
  };
  for (std::size_t q = 0; q < rows_; q += panel_queries)
    score_panel(key_, seen_by(q + panel_queries - 1), queries_ + q * dim_, dim_, scores_ + q);
  if (last > first_query_ || rule.windowed) mask(positions, rule);
  constexpr std::size_t softmax_queries = 2 * simd::lanes;
  for (std::size_t q = 0; q < rows_; q += softmax_queries)
    softmax_columns(scores_ + q, seen_by(q + softmax_queries - 1), maximum_ + q, sum_ + q, shrink_ + q);
  for (std::size_t q = 0; q < rows_; q += held_rows)
    add_rows<held_rows>(scores_ + q, value_, seen_by(q + held_rows - 1), shrink_ + q, output_ + q * width_, width_);
}

const float* RowBlock::finish(std::size_t r, float* lse) {
  float* row = output_ + r * width_;
  const bool empty = sum_[r] == 0;
  const float inverse = empty ? 0.0f : static_cast<float>(1.0 / sum_[r]);
  for (std::size_t c = 0; c < width_; ++c) row[c] *= inverse;
  if (lse != nullptr) *lse = empty ? minus_infinity : static_cast<float>(maximum_[r] + std::log(sum_[r]));
  return row;
}

}  // namespace attnscope::cpu
