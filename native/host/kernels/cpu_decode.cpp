// Attention of one new token. Lists are cut into ranges of keys, each attended to by one thread for all query heads that share
// it, so a key and its value are read once a group; the ranges' results are merged in order.
#include <algorithm>
#include <cmath>

#include "core/block_product.h"
#include "core/online_softmax.h"
#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_product.h"
#include "host/kernels/cpu_rows.h"

namespace attnscope::cpu {
namespace {

/// Keys scored between two rounds of the running softmax.
constexpr std::size_t step_keys = 128;
/// Query heads that share loads of a key or a value: 4 x 4 sums stay in registers.
constexpr std::size_t held_heads = 4, held_step = 4;

/// scores[h][0, K) for H query heads and K keys: products along the channels, `width` of them padded with zeros.
template <std::size_t H, std::size_t K>
void dot_rows(const float* const* keys, const float* queries, std::size_t width, float* scores) {
  wide sum[H][K] = {};
  for (std::size_t c = 0; c < width; c += wide_lanes) {
    wide key[K];
#pragma GCC unroll 8
    for (std::size_t k = 0; k < K; ++k) key[k] = load_wide(keys[k] + c);
#pragma GCC unroll 8
    for (std::size_t h = 0; h < H; ++h) {
      const wide query = load_wide(queries + h * width + c);
#pragma GCC unroll 8
      for (std::size_t k = 0; k < K; ++k) sum[h][k] += query * key[k];
    }
  }
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h)
#pragma GCC unroll 8
    for (std::size_t k = 0; k < K; ++k) scores[h * step_keys + k] = sum_lanes(sum[h][k]);
}

template <std::size_t H>
void attend_heads(const float* const* keys, const float* const* values, std::size_t count, const float* log_weight, const float* queries,
                  std::size_t width, float* scores, RowState* state, float* out) {
  std::size_t k = 0;
  for (; k + held_step <= count; k += held_step) dot_rows<H, held_step>(keys + k, queries, width, scores + k);
  for (; k < count; ++k) dot_rows<H, 1>(keys + k, queries, width, scores + k);
  float shrink[H];
  for (std::size_t h = 0; h < H; ++h) {
    float* row = scores + h * step_keys;
    if (log_weight != nullptr)
      for (std::size_t i = 0; i < count; ++i) row[i] += log_weight[i];
    const std::size_t padded = round_up(count, simd::lanes);
    std::fill(row + count, row + padded, minus_infinity);
    shrink[h] = online_softmax(row, padded, state[h]);
  }
  constexpr WeightStride at{1, step_keys};
  constexpr std::size_t vectors = H == 1 ? 8 : 4;
  std::size_t column = 0;
  for (; column + vectors * wide_lanes <= width; column += vectors * wide_lanes)
    add_values<H, vectors>(scores, at, values, count, column, shrink, out, width);
  for (; column < width; column += wide_lanes) add_values<H, 1>(scores, at, values, count, column, shrink, out, width);
}

using AttendHeads = void (*)(const float* const*, const float* const*, std::size_t, const float*, const float*, std::size_t, float*, RowState*, float*);
constexpr AttendHeads attend_some[held_heads + 1] = {nullptr, attend_heads<1>, attend_heads<2>, attend_heads<3>, attend_heads<4>};

/// How the work is cut. Depends on the shapes alone, so results do not depend on the threads.
struct Ranges {
  std::size_t lists = 0, group = 0, width = 0;  // query heads of a list; channels padded to whole vectors
  std::size_t keys = 0;                         // of a range, at most
  std::size_t most = 0;                         // ranges of the longest list

  explicit Ranges(const DecodeArgs& args)
      : lists(args.list == nullptr || args.lists == 0 ? args.kv_heads : args.lists), group(args.heads / lists), width(round_up(args.head_dim, wide_lanes)) {
    std::size_t total = 0, longest = 0;
    for (std::size_t i = 0; i < lists; ++i) {
      const std::size_t count = count_of(args, i);
      total += count;
      longest = std::max(longest, count);
    }
    // Sixteen ranges in all keep threads evenly busy; below 128 keys waking a thread costs more than it saves.
    keys = std::clamp<std::size_t>(round_up(total / 16, step_keys), step_keys, 16 * step_keys);
    most = (longest + keys - 1) / keys;
  }
  static std::size_t count_of(const DecodeArgs& args, std::size_t list) { return args.list == nullptr ? args.keys : args.list_count[list]; }
};

/// What a range of keys adds to one query head: [group] states and rows of a partial result.
struct Partial {
  RowState* state;
  float* out;
};

/// The keys [begin, end) of a list, step by step.
void attend_range(Context& context, const DecodeArgs& args, const Ranges& ranges, std::size_t list, std::size_t begin, std::size_t end, unsigned worker,
                  Partial partial) {
  const std::size_t width = ranges.width, dim = args.head_dim, head0 = list * ranges.group, kv = head0 / (args.heads / args.kv_heads);
  Scratch& scratch = context.scratch[worker];
  float* queries = scratch.floats(slot_queries, ranges.group * width);
  float* scores = scratch.floats(slot_scores, held_heads * step_keys);
  for (std::size_t h = 0; h < ranges.group; ++h) {
    source_rows(args.q, args.dtype, head0 + h, dim).read(0, queries + h * width, width);
    for (std::size_t c = 0; c < dim; ++c) queries[h * width + c] *= args.scale;
    partial.state[h] = {};
  }
  std::fill_n(partial.out, ranges.group * width, 0.0f);

  const SourceRows key_rows = source_rows(args.k, args.dtype, kv, dim), value_rows = source_rows(args.v, args.dtype, kv, dim);
  const bool in_place = key_rows.in_place(wide_lanes);
  float* key_copy = scratch.floats(slot_keys, in_place ? 0 : step_keys * width);
  float* value_copy = scratch.floats(slot_values, in_place ? 0 : step_keys * width);
  const float *keys[step_keys], *values[step_keys];
  for (std::size_t step = begin; step < end; step += step_keys) {
    const std::size_t count = std::min(step_keys, end - step);
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t row = args.list == nullptr ? step + k : args.list[list * args.list_capacity + step + k];
      if (in_place) {
        keys[k] = key_rows.rows(0).data + row * key_rows.stride;
        values[k] = value_rows.rows(0).data + row * value_rows.stride;
      } else {
        key_rows.read(row, key_copy + k * width, width);
        value_rows.read(row, value_copy + k * width, width);
        keys[k] = key_copy + k * width;
        values[k] = value_copy + k * width;
      }
    }
    const float* log_weight = args.log_weight == nullptr ? nullptr : args.log_weight + list * args.list_capacity + step;
    for (std::size_t h = 0; h < ranges.group; h += held_heads)
      attend_some[std::min(held_heads, ranges.group - h)](keys, values, count, log_weight, queries + h * width, width, scores, partial.state + h,
                                                         partial.out + h * width);
  }
}

/// Joins the ranges of one query head.
void join(const DecodeArgs& args, const Ranges& ranges, std::size_t head, std::size_t count, const RowState* states, const float* outs) {
  const std::size_t width = ranges.width;
  float* out = args.out + head * args.head_dim;
  float top = minus_infinity;
  for (std::size_t i = 0; i < count; ++i) top = std::max(top, states[i * ranges.group].maximum);
  double sum = 0;
  std::fill_n(out, args.head_dim, 0.0f);
  for (std::size_t i = 0; i < count && top != minus_infinity; ++i) {
    const double weight = std::exp(static_cast<double>(states[i * ranges.group].maximum) - top);
    sum += weight * states[i * ranges.group].sum;
    for (std::size_t c = 0; c < args.head_dim; ++c) out[c] += static_cast<float>(weight) * outs[i * ranges.group * width + c];
  }
  if (sum > 0)
    for (std::size_t c = 0; c < args.head_dim; ++c) out[c] = static_cast<float>(out[c] / sum);
  if (args.lse != nullptr) args.lse[head] = sum > 0 ? static_cast<float>(top + std::log(sum)) : minus_infinity;
}

}  // namespace

Outcome decode(Context& context, const DecodeArgs& args) {
  const Ranges ranges(args);
  const std::size_t all = ranges.lists * ranges.most;
  float* outs = context.floats(shared_partial, all * ranges.group * ranges.width);
  if (outs == nullptr && all != 0) return out_of_memory;
  std::vector<RowState> states(all * ranges.group);
  context.pool.parallel_for(all, [&](std::size_t task, unsigned worker) {
    const std::size_t list = task / ranges.most, begin = task % ranges.most * ranges.keys;
    const std::size_t end = std::min(begin + ranges.keys, Ranges::count_of(args, list));
    if (begin < end)
      attend_range(context, args, ranges, list, begin, end, worker,
                   {states.data() + task * ranges.group, outs + task * ranges.group * ranges.width});
  });
  for (std::size_t head = 0; head < args.heads; ++head) {
    const std::size_t list = head / ranges.group, first = list * ranges.most * ranges.group + head % ranges.group;
    const std::size_t count = (Ranges::count_of(args, list) + ranges.keys - 1) / ranges.keys;
    join(args, ranges, head, count, states.data() + first, outs + first * ranges.width);
  }
  return nullptr;
}

}  // namespace attnscope::cpu
