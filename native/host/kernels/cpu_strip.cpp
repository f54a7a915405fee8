// Vertical-slash, phase 1: the softmax of the last queries summed by column and by distance. Scores of a range of keys lie
// [key][query], so a column is one row of them, and a distance the same place of rows that move by one.
#include <algorithm>
#include <cmath>

#include "core/online_softmax.h"
#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_product.h"
#include "host/kernels/cpu_rows.h"

namespace attnscope::cpu {
namespace {

using simd::f32x8;

/// Keys of a range: whole ones overlap only their neighbours in distances, so those of even number are summed side by side.
constexpr std::size_t range_keys = 512;
constexpr std::size_t vectors = block_rows / simd::lanes;

/// The strip of one head in work. `p` is [tokens padded to ranges][64 queries], then by range the maximum and sum of each query.
struct Strip {
  const StripArgs& args;
  std::uint32_t head, rows, first_query;
  std::size_t ranges;
  float *p, *maximum, *sum;  // [ranges][range_keys][64], [ranges][64], [ranges][64]
};

std::size_t ranges_of(const StripArgs& args) { return (args.tokens + range_keys - 1) / range_keys; }
std::size_t strip_floats(const StripArgs& args) { return ranges_of(args) * (range_keys + 2) * block_rows; }

/// Scaled queries as panels of [dim][panel_queries], zero where there is none.
void pack_queries(const Strip& strip, Scratch& scratch, float* panels) {
  const std::size_t dim = strip.args.head_dim;
  const SourceRows rows = source_rows(strip.args.q, strip.args.dtype, strip.head, dim);
  float* row = scratch.floats(slot_rows, dim);
  std::fill_n(panels, block_rows * dim, 0.0f);
  for (std::size_t r = 0; r < strip.rows; ++r) {
    rows.read(strip.first_query + r, row, dim);
    float* lane = panels + r / panel_queries * panel_queries * dim + r % panel_queries;
    for (std::size_t c = 0; c < dim; ++c) lane[c * panel_queries] = row[c] * strip.args.scale;
  }
}

/// exp(score - maximum of the range) of one range of keys, with its maxima and sums.
void score_range(const Strip& strip, std::size_t range, Scratch& scratch) {
  const std::size_t dim = strip.args.head_dim, begin = range * range_keys, count = std::min<std::size_t>(range_keys, strip.args.tokens - begin);
  float* panels = scratch.floats(slot_queries, block_rows * dim);
  pack_queries(strip, scratch, panels);
  const SourceRows source = source_rows(strip.args.k, strip.args.dtype, strip.head / (strip.args.heads / strip.args.kv_heads), dim);
  float* copy = scratch.floats(slot_keys, source.in_place(1) ? 0 : range_keys * dim);
  const float* keys[range_keys];
  for (std::size_t k = 0; k < count; ++k) {
    keys[k] = source.in_place(1) ? source.rows(0).data + (begin + k) * source.stride : copy + k * dim;
    if (!source.in_place(1)) source.read(begin + k, copy + k * dim, dim);
  }
  float* p = strip.p + begin * block_rows;
  for (std::size_t q = 0; q < block_rows; q += panel_queries) {
    std::size_t k = 0;
    for (; k + held_keys <= count; k += held_keys) score_keys<held_keys>(keys + k, panels + q * dim, dim, p + k * block_rows + q);
    for (; k < count; ++k) score_keys<1>(keys + k, panels + q * dim, dim, p + k * block_rows + q);
  }
  for (std::size_t k = 0; k < count; ++k)  // keys after a query
    if (begin + k > strip.first_query) std::fill_n(p + k * block_rows, begin + k - strip.first_query, minus_infinity);

  for (std::size_t v = 0; v < vectors; ++v) {
    float* column = p + v * simd::lanes;
    f32x8 top = simd::splat(minus_infinity), total = simd::splat(0.0f);
    for (std::size_t k = 0; k < count; ++k) top = simd::max(top, simd::load(column + k * block_rows));
    const f32x8 shift = simd::as_float(simd::as_int(top) & ~(top == simd::splat(minus_infinity)));
    for (std::size_t k = 0; k < count; ++k) {
      const f32x8 e = simd::exp(simd::load(column + k * block_rows) - shift);
      simd::store(column + k * block_rows, e);
      total += e;
    }
    simd::store(strip.maximum + range * block_rows + v * simd::lanes, top);
    simd::store(strip.sum + range * block_rows + v * simd::lanes, total);
  }
}

/// By range and query exp(maximum of the range - maximum) / sum, in place of the maxima: what turns p into probabilities.
void normalise(const Strip& strip) {
  for (std::size_t r = 0; r < block_rows; ++r) {
    float top = minus_infinity;
    for (std::size_t i = 0; i < strip.ranges; ++i) top = std::max(top, strip.maximum[i * block_rows + r]);
    double sum = 0;
    for (std::size_t i = 0; i < strip.ranges; ++i)
      sum += std::exp(static_cast<double>(strip.maximum[i * block_rows + r]) - top) * static_cast<double>(strip.sum[i * block_rows + r]);
    for (std::size_t i = 0; i < strip.ranges; ++i) {
      float& factor = strip.maximum[i * block_rows + r];
      factor = r < strip.rows ? static_cast<float>(std::exp(static_cast<double>(factor) - top) / sum) : 0.0f;
    }
  }
}

/// Adds a range to the sums of columns and of distances.
void sum_range(const Strip& strip, std::size_t range, Scratch& scratch) {
  // A row lands one distance before the last one's. Sixteen sums taken in turn keep every row on whole cache lines: each
  // moves by 16 distances from row to row, and no load waits for a store that overlaps it by half.
  constexpr std::size_t turns = 16, length = range_keys + block_rows - turns;
  const std::size_t begin = range * range_keys, count = std::min<std::size_t>(range_keys, strip.args.tokens - begin);
  float* turn_sums = scratch.floats(slot_sums, turns * length);
  std::fill_n(turn_sums, turns * length, 0.0f);
  float* column_score = strip.args.column_score + std::size_t{strip.head} * strip.args.tokens;
  float* distance_score = strip.args.distance_score + std::size_t{strip.head} * strip.args.tokens;
  f32x8 factor[vectors];
  for (std::size_t v = 0; v < vectors; ++v) factor[v] = simd::load(strip.maximum + range * block_rows + v * simd::lanes);

  for (std::size_t k = 0; k < count; ++k) {
    const float* row = strip.p + (begin + k) * block_rows;
    float* sums = turn_sums + k % turns * length + (range_keys / turns - 1 - k / turns) * turns;
    f32x8 column = simd::splat(0.0f);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) {
      const f32x8 p = simd::load(row + v * simd::lanes) * factor[v];
      column += p;
      simd::store(sums + v * simd::lanes, simd::load(sums + v * simd::lanes) + p);
    }
    column_score[begin + k] = simd::horizontal_sum(column);
  }
  // Place i of turn j holds distance first_query - (begin + range_keys - turns + j) + i.
  const std::int64_t last = static_cast<std::int64_t>(strip.first_query) - static_cast<std::int64_t>(begin + range_keys - turns);
  for (std::size_t j = 0; j < turns; ++j)
    for (std::size_t i = 0; i < length; ++i) {
      const std::int64_t distance = last - static_cast<std::int64_t>(j) + static_cast<std::int64_t>(i);
      if (distance >= 0 && distance < static_cast<std::int64_t>(strip.args.tokens)) distance_score[distance] += turn_sums[j * length + i];
    }
}

/// One head; `each(count, work)` runs work(index, worker), side by side or not.
template <class Each>
void strip_head(const Strip& strip, Context& context, Each each) {
  std::fill_n(strip.args.distance_score + std::size_t{strip.head} * strip.args.tokens, strip.args.tokens, 0.0f);
  each(strip.ranges, [&](std::size_t range, unsigned worker) { score_range(strip, range, context.scratch[worker]); });
  normalise(strip);
  for (const std::size_t parity : {std::size_t{0}, std::size_t{1}})
    each((strip.ranges + 1 - parity) / 2, [&](std::size_t i, unsigned worker) { sum_range(strip, 2 * i + parity, context.scratch[worker]); });
}

}  // namespace

std::size_t strip_workspace(const Context& context, const StripArgs& args) {
  return std::min<std::size_t>(context.pool.threads(), args.heads) * strip_floats(args) * sizeof(float);
}

Outcome strip(Context& context, const StripArgs& args) {
  const std::uint32_t rows = std::min<std::uint32_t>(block_rows, args.tokens);
  const auto make = [&](std::size_t head, std::size_t place) {
    float* p = static_cast<float*>(args.workspace) + place * strip_floats(args);
    const std::size_t ranges = ranges_of(args);
    float* maximum = p + ranges * range_keys * block_rows;
    return Strip{args, static_cast<std::uint32_t>(head), rows, args.tokens - rows, ranges, p, maximum, maximum + ranges * block_rows};
  };
  // A thread a head where there are enough of them, all threads on one head otherwise; the sums are the same.
  if (args.heads >= 2 * context.pool.threads()) {
    context.pool.parallel_for(args.heads, [&](std::size_t head, unsigned worker) {
      strip_head(make(head, worker), context, [&](std::size_t count, auto work) {
        for (std::size_t i = 0; i < count; ++i) work(i, worker);
      });
    });
    return nullptr;
  }
  for (std::size_t head = 0; head < args.heads; ++head)
    strip_head(make(head, 0), context, [&](std::size_t count, auto work) { context.pool.parallel_for(count, work); });
  return nullptr;
}

}  // namespace attnscope::cpu
