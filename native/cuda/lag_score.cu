// LagKV's score of the tokens of every full partition (core/policy/lag_score.h says what it is and what NaN does). A block has one
// partition of one kv head: the channels' bounds over the partition that follows, the deviation of every token, the softmax over
// tokens; keys first, then values.
#include <cfloat>
#include <cmath>

#include "channels.h"
#include "indices.h"
#include "ops.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned warps = 8, threads = warps * warp_size;
constexpr float degenerate_range = 1e-12f;
/// Deviations of a partition stay in shared memory.
constexpr std::uint32_t longest_lag = 32768;

template <unsigned Lanes>
struct LagShared {
  static constexpr unsigned groups = threads / Lanes, channels = Lanes * chunk_elements;
  float low[channels], scale[channels];
  float part_low[groups][channels], part_high[groups][channels];
  float of_warp[2][warps];
  // Deviations follow: [lag].
};

/// Bounds of every channel over rows [first, first + lag) as offset and scale; both 0 where a channel says nothing. A bound is
/// NaN where the first row is, as a comparison with NaN never replaces what is there.
template <class T, unsigned Lanes>
ATTNSCOPE_DEVICE void find_bounds(LagShared<Lanes>& shared, const RowSource& source, std::uint32_t first, std::uint32_t lag) {
  using Shared = LagShared<Lanes>;
  const unsigned lane = thread_index() % Lanes, group = thread_index() / Lanes;
  float low[chunk_elements], high[chunk_elements];
  to_channels<T>(low, load_channels(source, first, lane));
#pragma unroll
  for (unsigned c = 0; c < chunk_elements; ++c) high[c] = low[c];
  for (std::uint32_t i = group; i < lag; i += Shared::groups) {
    float x[chunk_elements];
    to_channels<T>(x, load_channels(source, first + i, lane));
#pragma unroll
    for (unsigned c = 0; c < chunk_elements; ++c) {
      low[c] = x[c] < low[c] ? x[c] : low[c];
      high[c] = x[c] > high[c] ? x[c] : high[c];
    }
  }
#pragma unroll
  for (unsigned c = 0; c < chunk_elements; ++c) {
    shared.part_low[group][lane * chunk_elements + c] = low[c];
    shared.part_high[group][lane * chunk_elements + c] = high[c];
  }
  sync_block();
  for (unsigned c = thread_index(); c < Shared::channels; c += threads) {
    float least = shared.part_low[0][c], most = shared.part_high[0][c];
    for (unsigned g = 1; g < Shared::groups; ++g) {
      least = shared.part_low[g][c] < least ? shared.part_low[g][c] : least;
      most = shared.part_high[g][c] > most ? shared.part_high[g][c] : most;
    }
    const float range = most - least;
    const bool says = range >= degenerate_range && range <= FLT_MAX;
    shared.low[c] = says ? least : 0;
    shared.scale[c] = says ? 1 / range : 0;
  }
  sync_block();
}

/// Deviation (ddof 1) over channels of every row of [first, first + lag).
template <class T, unsigned Lanes>
ATTNSCOPE_DEVICE void find_deviations(const LagShared<Lanes>& shared, float* deviation, const RowSource& source, std::uint32_t first, std::uint32_t lag) {
  const unsigned lane = thread_index() % Lanes, group = thread_index() / Lanes;
  float low[chunk_elements], scale[chunk_elements], count = 0;
#pragma unroll
  for (unsigned c = 0; c < chunk_elements; ++c) {
    low[c] = shared.low[lane * chunk_elements + c];
    scale[c] = shared.scale[lane * chunk_elements + c];
    count += scale[c] != 0;
  }
  count = warp_sum<Lanes>(count);
  for (std::uint32_t begin = 0; begin < lag; begin += LagShared<Lanes>::groups) {
    const std::uint32_t i = begin + group;
    float z[chunk_elements], sum = 0, squares = 0;
    to_channels<T>(z, load_channels(source, first + lesser(i, lag - 1), lane));
#pragma unroll
    for (unsigned c = 0; c < chunk_elements; ++c) {
      z[c] = (z[c] - low[c]) * scale[c];  // 0 in a channel that says nothing, or NaN if the value is not finite: then the mean is NaN
      sum += z[c];
    }
    const float mean = warp_sum<Lanes>(sum) / count;
#pragma unroll
    for (unsigned c = 0; c < chunk_elements; ++c) squares += scale[c] != 0 ? (z[c] - mean) * (z[c] - mean) : 0;
    squares = warp_sum<Lanes>(squares);
    if (lane == 0 && i < lag) deviation[i] = count < 2 ? NAN : sqrtf(squares / (count - 1));
  }
  sync_block();
}

/// score[i] = (add ? score[i] : 0) + weight * softmax(deviation)[i]; uniform where no deviation is a number.
template <unsigned Lanes>
ATTNSCOPE_DEVICE void add_softmax(LagShared<Lanes>& shared, const float* deviation, std::uint32_t lag, float weight, bool add, float* score) {
  float top = -INFINITY, sum = 0;
  for (std::uint32_t i = thread_index(); i < lag; i += threads) top = fmaxf(top, deviation[i]);  // fmaxf passes over NaN
  top = warp_max(top);
  if (lane_index() == 0) shared.of_warp[0][warp_index()] = top;
  sync_block();
#pragma unroll
  for (unsigned w = 0; w < warps; ++w) top = fmaxf(top, shared.of_warp[0][w]);
  for (std::uint32_t i = thread_index(); i < lag; i += threads) {
    const float e = expf(deviation[i] - top);
    sum += e == e ? e : 0;
  }
  sum = warp_sum(sum);
  if (lane_index() == 0) shared.of_warp[1][warp_index()] = sum;
  sync_block();
  float total = 0;
#pragma unroll
  for (unsigned w = 0; w < warps; ++w) total += shared.of_warp[1][w];
  const bool known = top > -INFINITY && top < INFINITY;
  for (std::uint32_t i = thread_index(); i < lag; i += threads) {
    const float p = known ? expf(deviation[i] - top) / total : 1 / static_cast<float>(lag);
    score[i] = (add ? score[i] : 0) + weight * p;
  }
}

template <class T, unsigned Lanes>
ATTNSCOPE_KERNEL(threads) lag_scores(LagArgs args, std::uint32_t partitions, bool k_chunks, bool v_chunks) {
  auto& shared = *reinterpret_cast<LagShared<Lanes>*>(shared_memory());
  auto* deviation = reinterpret_cast<float*>(&shared + 1);
  const std::uint32_t partition = block_x(), head = block_y(), first = args.sink + partition * args.lag;
  float* score = args.score + (std::uint64_t{head} * partitions + partition) * args.lag;
  for (unsigned part = 0; part < 2; ++part) {
    const bool keys = part == 0;
    const RowSource source = rows_of(keys ? args.k : args.v, head, args.head_dim, keys ? k_chunks : v_chunks);
    find_bounds<T>(shared, source, first + args.lag, args.lag);
    find_deviations<T>(shared, deviation, source, first, args.lag);
    add_softmax(shared, deviation, args.lag, keys ? 1 : args.value_weight, !keys, score);
    sync_block();  // nobody reads deviations any more
  }
}

}  // namespace

Outcome run_lag_score(const LagArgs& args, Stream stream) {
  if (args.lag == 0 || args.lag > longest_lag) return "E_KERNEL_SHAPE lag is 0 or more than 32768 tokens";
  const std::uint32_t partitions = args.partitions();
  return for_lanes(args.dtype, args.head_dim, [&](auto element, auto lanes) -> Outcome {
    constexpr unsigned Lanes = decltype(lanes)::value;
    return launch(lag_scores<decltype(element), Lanes>, Grid{partitions, args.kv_heads}, threads, sizeof(LagShared<Lanes>) + args.lag * sizeof(float), stream, args, partitions,
                  whole_chunks(args.k, args.head_dim), whole_chunks(args.v, args.head_dim));
  });
}

}  // namespace attnscope::gpu
