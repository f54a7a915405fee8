// The running softmax of a row over blocks of keys, and the weighted sum of values that goes with it: what attention over
// all keys and attention over some of them share.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "block_product.h"
#include "simd.h"
#include "views.h"

namespace attnscope {

inline constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

/// Fewer rows than this read values where they lie: packing would cost more than it saves.
inline constexpr std::size_t packing_rows = 6;

/// The running softmax of a row: exp(score - maximum) summed over the keys seen so far.
struct RowState {
  float maximum = minus_infinity;
  double sum = 0;
};

/// Turns a row of scores into exp(score - maximum), updates the row's state and returns by what earlier output shrinks.
inline float online_softmax(float* scores, std::size_t keys, RowState& state) {
  using simd::f32x8;
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

/// value(k) for k < count, [dim] each, as panels of 16 columns, [count padded][16] each; padding is zero.
template <class Value>
void pack_values(Value value, std::size_t count, std::size_t padded, std::size_t dim, float* out) {
  for (std::size_t c = 0; c < dim; c += panel_width) {
    const std::size_t width = std::min(panel_width, dim - c);
    for (std::size_t k = 0; k < count; ++k, out += panel_width) {
      std::copy_n(value(k) + c, width, out);
      std::fill(out + width, out + panel_width, 0.0f);
    }
    std::fill_n(out, (padded - count) * panel_width, 0.0f);
    out += (padded - count) * panel_width;
  }
}

/// out += sum over k < count of p[k] * value(k) for V vectors of columns from `column` on, held in registers.
template <int V, class Value>
void add_weighted_columns(const float* p, Value value, std::size_t count, std::size_t column, float* out) {
  using simd::f32x8;
  f32x8 acc[V];
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) acc[v] = simd::load(out + column + v * simd::lanes);
  for (std::size_t k = 0; k < count; ++k) {
    const f32x8 weight = simd::splat(p[k]);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) acc[v] += weight * simd::load(value(k) + column + v * simd::lanes);
  }
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) simd::store(out + column + v * simd::lanes, acc[v]);
}

/// The path of few rows: values are read once, where they lie.
template <class Value>
void add_weighted_rows(const float* p, Value value, std::size_t count, std::size_t dim, float* out) {
  std::size_t column = 0;
  for (; column + 8 * simd::lanes <= dim; column += 8 * simd::lanes) add_weighted_columns<8>(p, value, count, column, out);
  for (; column + simd::lanes <= dim; column += simd::lanes) add_weighted_columns<1>(p, value, count, column, out);
  if (column == dim) return;
  for (std::size_t k = 0; k < count; ++k)
    for (std::size_t c = column; c < dim; ++c) out[c] += p[k] * value(k)[c];
}

}  // namespace attnscope
