#include "attention.h"

#include <cmath>
#include <limits>

#include "score_block.h"
#include "simd.h"

namespace attnscope {
namespace {

using simd::f32x8;

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

/// Rows whose running softmax is kept at a time: each block of values is packed once per that many queries.
constexpr std::size_t row_chunk = 512;
/// Fewer rows than this read values where they lie: packing would cost more than it saves.
constexpr std::size_t packing_rows = 6;

enum Slot { slot_queries, slot_scores, slot_output, slot_values };

/// The running softmax of a row: exp(score - maximum) summed over the keys seen so far.
struct RowState {
  float maximum = minus_infinity;
  double sum = 0;
};

/// Turns a row of scores into exp(score - maximum), updates the row's state and returns by what earlier output shrinks.
float online_softmax(float* scores, std::size_t keys, RowState& state) {
  f32x8 top = simd::splat(minus_infinity);
  for (std::size_t k = 0; k < keys; k += simd::lanes) top = simd::max(top, simd::load(scores + k));
  const float maximum = std::max(state.maximum, simd::horizontal_max(top));
  // A row that has seen no visible key yet stays at -infinity: shifting by 0 then gives p = 0, not NaN.
  const float shift = maximum == minus_infinity ? 0.0f : maximum;

  f32x8 sum = simd::splat(0.0f);
  for (std::size_t k = 0; k < keys; k += simd::lanes) {
    const f32x8 p = simd::exp(simd::load(scores + k) - simd::splat(shift));
    simd::store(scores + k, p);
    sum += p;
  }
  const float shrink = state.maximum == minus_infinity ? 0.0f : std::exp(state.maximum - shift);
  state.sum = state.sum * shrink + simd::horizontal_sum(sum);
  state.maximum = maximum;
  return shrink;
}

/// Rows [first, first + count) of `values` as panels of 16 columns, each [count padded][16]; padding is zero.
void pack_values(Rows values, std::size_t first, std::size_t padded, float* out) {
  const std::size_t count = std::min(padded, values.count - first);
  for (std::size_t c = 0; c < values.dim; c += panel_width) {
    const std::size_t width = std::min(panel_width, values.dim - c);
    for (std::size_t k = 0; k < count; ++k, out += panel_width) {
      std::copy_n(values.row(first + k) + c, width, out);
      std::fill(out + width, out + panel_width, 0.0f);
    }
    std::fill_n(out, (padded - count) * panel_width, 0.0f);
    out += (padded - count) * panel_width;
  }
}

/// out += sum over k of p[k] * values[k] for V vectors of columns from `column` on, held in registers.
template <int V>
void add_weighted_columns(const float* p, Rows values, std::size_t column, float* out) {
  f32x8 acc[V];
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) acc[v] = simd::load(out + column + v * simd::lanes);
  for (std::size_t k = 0; k < values.count; ++k) {
    const f32x8 weight = simd::splat(p[k]);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) acc[v] += weight * simd::load(values.row(k) + column + v * simd::lanes);
  }
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) simd::store(out + column + v * simd::lanes, acc[v]);
}

/// The decode path: values are read once, where they lie.
void add_weighted_rows(const float* p, Rows values, float* out) {
  std::size_t column = 0;
  for (; column + 8 * simd::lanes <= values.dim; column += 8 * simd::lanes) add_weighted_columns<8>(p, values, column, out);
  for (; column + simd::lanes <= values.dim; column += simd::lanes) add_weighted_columns<1>(p, values, column, out);
  if (column == values.dim) return;
  for (std::size_t k = 0; k < values.count; ++k)
    for (std::size_t c = column; c < values.dim; ++c) out[c] += p[k] * values.row(k)[c];
}

/// One chunk of at most row_chunk queries: key blocks outside, so that each block of values is packed once for all of them.
void forward_chunk(const HeadInput& input, Rows values, MutableRows out, std::span<float> lse, Scratch& scratch) {
  const std::size_t rows = input.queries.count, dim = input.keys->dim();
  const std::size_t width = round_up(values.dim, panel_width);
  const bool packed = rows >= packing_rows;
  float* queries = scratch.floats(slot_queries, rows * dim);
  float* output = scratch.floats(slot_output, rows * width);
  float* packed_values = scratch.floats(slot_values, packed ? key_block * width : 0);
  ScoreBlock block;
  block.data = scratch.floats(slot_scores, score_floats) + score_margin;
  RowState state[row_chunk];

  scale_queries(input.queries, input.scale, queries);
  std::fill_n(output, rows * width, 0.0f);
  const auto end_query = static_cast<std::uint32_t>(input.first_query + rows);

  for_visible_keys(input.first_query, end_query, input.visibility, [&](std::uint32_t first_key, std::size_t keys) {
    if (packed) pack_values(values, first_key, keys, packed_values);
    for (std::size_t r = 0; r < rows; r += query_block) {
      block.first_query = static_cast<std::uint32_t>(input.first_query + r);
      block.rows = std::min(query_block, rows - r);
      const auto last_query = static_cast<std::uint32_t>(block.first_query + block.rows - 1);
      if (last_query < first_key || input.visibility.first_key(block.first_query) >= first_key + keys) continue;
      block.first_key = first_key;
      block.keys = std::min(keys, round_up(last_query + 1 - first_key, panel_width));

      compute_scores(queries + r * dim, input.keys->panel(first_key / panel_width), dim, input.visibility, block);
      for (std::size_t i = 0; i < block.rows; ++i) {
        float* row_output = output + (r + i) * width;
        const float shrink = online_softmax(block.row(i), block.keys, state[r + i]);
        if (shrink != 1.0f)
          for (std::size_t c = 0; c < width; ++c) row_output[c] *= shrink;
        if (!packed)
          add_weighted_rows(block.row(i), values.slice(first_key, std::min(block.keys, values.count - first_key)), row_output);
      }
      if (packed)
        for (std::size_t p = 0; p < width / panel_width; ++p)
          block_product(block.data, score_stride, block.rows, packed_values + p * keys * panel_width, 1, block.keys,
                        output + r * width + p * panel_width, width, true);
    }
  });

  for (std::size_t r = 0; r < rows; ++r) {
    const auto inverse = static_cast<float>(1.0 / state[r].sum);
    for (std::size_t c = 0; c < values.dim; ++c) out.row(r)[c] = output[r * width + c] * inverse;
    lse[r] = static_cast<float>(state[r].maximum + std::log(state[r].sum));
  }
}

}  // namespace

void attention_forward(const HeadInput& input, Rows values, MutableRows out, std::span<float> lse, Scratch& scratch) {
  for (std::size_t r = 0; r < input.queries.count; r += row_chunk) {
    const std::size_t n = std::min(row_chunk, input.queries.count - r);
    HeadInput chunk = input;
    chunk.queries = input.queries.slice(r, n);
    chunk.first_query = static_cast<std::uint32_t>(input.first_query + r);
    forward_chunk(chunk, values, out.slice(r, n), lse.subspan(r, n), scratch);
  }
}

}  // namespace attnscope
