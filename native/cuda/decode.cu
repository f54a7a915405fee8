// Attention of one new token a head over listed keys or all of them. Keys are split over blocks; every block reads each K and
// V row once for all query heads of a list and leaves output and log-sum-exp of its range, which merge.cu joins.
#include <cmath>

#include "channels.h"
#include "constants.h"
#include "indices.h"
#include "ops.h"
#include "scatter_sum.h"
#include "shapes.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned warps = 4;

/// What the host decides: `queries` heads share the rows of a list, `per_pass` of them (or fewer, in the last pass) in a block.
struct DecodePlan {
  std::uint32_t lists = 1, queries = 1, per_pass = 1, passes = 1, splits = 1;
  bool shared_list = false, k_chunks = false, v_chunks = false;
  float *out = nullptr, *lse = nullptr;  // [splits][heads][head_dim] and [splits][heads]
};

DecodePlan plan_of(const DecodeArgs& args) {
  DecodePlan plan;
  const std::uint32_t group = args.kv_heads > 0 ? args.heads / args.kv_heads : 0;
  plan.shared_list = args.list == nullptr || args.lists == args.kv_heads;
  plan.lists = plan.shared_list ? args.kv_heads : args.heads;
  plan.queries = plan.shared_list ? group : 1;
  while (plan.per_pass < plan.queries && plan.per_pass < 8) plan.per_pass *= 2;
  plan.passes = ceil_div(plan.queries, plan.per_pass);
  const std::uint64_t longest = args.list != nullptr && args.list_capacity < args.keys ? args.list_capacity : args.keys;
  // 1,024 blocks: about two for every one that 132 multiprocessors hold at a time. A block of fewer than 256 keys waits for memory only.
  plan.splits = parts_for(static_cast<std::uint32_t>(longest), plan.lists * plan.passes, 1024, 256);
  plan.k_chunks = whole_chunks(args.k, args.head_dim);
  plan.v_chunks = whole_chunks(args.v, args.head_dim);
  return plan;
}

/// Lanes of a group hold eight channels each of the same rows; Keys rows are in flight. Scores of (query, key) pairs are summed
/// over the group and spread over its lanes: a lane takes the exponential of `held` of them, all of one query.
template <unsigned Lanes, unsigned Queries>
struct DecodeShape {
  static constexpr unsigned keys = Queries <= 2 ? 8 : 4;
  static constexpr unsigned groups_of_warp = warp_size / Lanes, groups = warps * groups_of_warp;
  static constexpr unsigned pairs = keys * Queries;
  static constexpr unsigned held = pairs > Lanes ? pairs / Lanes : 1;
  static constexpr unsigned repeats = pairs > Lanes ? 1 : Lanes / pairs;  // lanes that hold the same pair
  static constexpr unsigned lanes_of_query = Lanes / Queries;
  static constexpr unsigned keys_of_block = groups * keys;
  static constexpr unsigned channels = Lanes * chunk_elements;
  /// What a group leaves: top and sum of every query, then its outputs.
  static constexpr unsigned group_floats = Queries * (2 + channels);
  static constexpr std::size_t shared_bytes = std::size_t{groups} * group_floats * sizeof(float);
};

template <unsigned Keys>
ATTNSCOPE_DEVICE void load_rows(Chunk (&rows)[Keys], const RowSource& source, const std::uint32_t (&key)[Keys], unsigned lane) {
  if (source.whole_chunks) {
    const bool inside = lane * chunk_elements < source.dim;
#pragma unroll
    for (unsigned u = 0; u < Keys; ++u) rows[u] = inside ? *reinterpret_cast<const Chunk*>(source.data + key[u] * source.row_stride + lane * chunk_elements) : Chunk{};
  } else {
#pragma unroll
    for (unsigned u = 0; u < Keys; ++u) rows[u] = load_channels(source, key[u], lane);
  }
}

template <class T, unsigned Lanes, unsigned Queries>
ATTNSCOPE_KERNEL(warps * warp_size) decode_range(DecodeArgs args, DecodePlan plan) {
  using Shape = DecodeShape<Lanes, Queries>;
  constexpr unsigned keys = Shape::keys;
  const unsigned lane = lane_index() % Lanes, group_of_warp = lane_index() / Lanes, group = warp_index() * Shape::groups_of_warp + group_of_warp;
  const std::uint32_t split = block_x() / plan.passes, pass = block_x() % plan.passes, list = block_y();
  const std::uint32_t kv_head = plan.shared_list ? list : list / (args.heads / args.kv_heads);
  const std::uint32_t first_head = list * plan.queries + pass * plan.per_pass, heads = lesser(Queries, plan.queries - pass * plan.per_pass);
  const std::uint32_t* listed = args.list == nullptr ? nullptr : args.list + list * args.list_capacity;
  const float* log_weight = args.log_weight == nullptr ? nullptr : args.log_weight + list * args.list_capacity;
  const Range range = part_in_units(listed == nullptr ? args.keys : args.list_count[list], plan.splits, split, Shape::keys_of_block);
  const RowSource k = rows_of(args.k, kv_head, args.head_dim, plan.k_chunks), v = rows_of(args.v, kv_head, args.head_dim, plan.v_chunks);

  float q[Queries][chunk_elements], out[Queries][chunk_elements] = {};
#pragma unroll
  for (unsigned i = 0; i < Queries; ++i) {
    const RowSource row = rows_of(args.q, first_head + (i < heads ? i : 0), args.head_dim, false);
    to_channels<T>(q[i], load_channels(row, 0, lane));
#pragma unroll
    for (float& x : q[i]) x *= args.scale * log2_of_e;
  }

  // The pairs this lane holds: pair p is key p % keys of query p / keys.
  const unsigned pair = lane * Shape::pairs / Lanes;
  float top = -INFINITY, sum = 0;
  // Past the end the last key is read again and weighs nothing: loads need no condition, so that all of a tile are on their way at
  // once. Which keys the next tile has is read meanwhile.
  const auto key_at = [&](std::uint32_t at) { return listed == nullptr ? lesser(at, range.end - 1) : listed[lesser(at, range.end - 1)]; };
  std::uint32_t key[keys];
#pragma unroll
  for (unsigned u = 0; u < keys; ++u) key[u] = range.begin < range.end ? key_at(range.begin + group * keys + u) : 0;
  for (std::uint32_t tile = range.begin + group * keys; tile - group * keys < range.end; tile += Shape::keys_of_block) {
    Chunk k_row[keys], v_row[keys];
    load_rows(k_row, k, key, lane);
    load_rows(v_row, v, key, lane);
#pragma unroll
    for (unsigned u = 0; u < keys; ++u) key[u] = key_at(tile + Shape::keys_of_block + u);
    float score[Shape::pairs];
#pragma unroll
    for (unsigned u = 0; u < keys; ++u) {
      float x[chunk_elements];
      to_channels<T>(x, k_row[u]);
#pragma unroll
      for (unsigned i = 0; i < Queries; ++i) {
        float product = 0;
#pragma unroll
        for (unsigned c = 0; c < chunk_elements; ++c) product += q[i][c] * x[c];
        score[i * keys + u] = product;
      }
    }
    scatter_sum<Lanes / 2, 1, Shape::pairs>(score);
    float largest = -INFINITY;
#pragma unroll
    for (unsigned h = 0; h < Shape::held; ++h) {
      const std::uint32_t at = tile + (pair + h) % keys;
      if (at >= range.end) score[h] = -INFINITY;
      else if (log_weight != nullptr) score[h] += log_weight[at] * log2_of_e;
      largest = score[h] > largest ? score[h] : largest;
    }
    largest = warp_max<Shape::lanes_of_query>(largest);
    const float new_top = largest > top ? largest : top, shift = new_top == -INFINITY ? 0 : new_top, shrink = power_of_two(top - shift);
    top = new_top;
    sum *= shrink;
#pragma unroll
    for (unsigned h = 0; h < Shape::held; ++h) {
      score[h] = power_of_two(score[h] - shift);
      if (lane % Shape::repeats == 0) sum += score[h];
    }
    if (ballot(shrink != 1) != 0) {
#pragma unroll
      for (unsigned i = 0; i < Queries; ++i) {
        const float of_query = shuffle(shrink, group_of_warp * Lanes + i * Shape::lanes_of_query);
#pragma unroll
        for (float& x : out[i]) x *= of_query;
      }
    }
#pragma unroll
    for (unsigned u = 0; u < keys; ++u) {
      float x[chunk_elements];
      to_channels<T>(x, v_row[u]);
#pragma unroll
      for (unsigned i = 0; i < Queries; ++i) {
        const unsigned p = i * keys + u;
        const float weight = shuffle(score[p % Shape::held], group_of_warp * Lanes + p / Shape::held * Shape::repeats);
#pragma unroll
        for (unsigned c = 0; c < chunk_elements; ++c) out[i][c] += weight * x[c];
      }
    }
  }
  sum = warp_sum<Shape::lanes_of_query>(sum);

  auto* left = reinterpret_cast<float*>(shared_memory());
  float* mine = left + group * Shape::group_floats;
  if (lane % Shape::lanes_of_query == 0) {
    const unsigned i = lane / Shape::lanes_of_query;
    mine[2 * i] = top;
    mine[2 * i + 1] = sum;
  }
#pragma unroll
  for (unsigned i = 0; i < Queries; ++i)
#pragma unroll
    for (unsigned c = 0; c < chunk_elements; ++c) mine[2 * Queries + i * Shape::channels + lane * chunk_elements + c] = out[i][c];
  sync_block();

  for (unsigned at = thread_index(); at < heads * Shape::channels; at += warps * warp_size) {
    const unsigned i = at / Shape::channels, channel = at % Shape::channels;
    if (channel >= args.head_dim) continue;
    float all_top = -INFINITY, all_sum = 0, all_out = 0;
    for (unsigned g = 0; g < Shape::groups; ++g) {
      const float of_group = left[g * Shape::group_floats + 2 * i];
      all_top = of_group > all_top ? of_group : all_top;
    }
    const float shift = all_top == -INFINITY ? 0 : all_top;
    for (unsigned g = 0; g < Shape::groups; ++g) {
      const float* of_group = left + g * Shape::group_floats;
      const float weight = power_of_two(of_group[2 * i] - shift);
      all_sum += weight * of_group[2 * i + 1];
      all_out += weight * of_group[2 * Queries + i * Shape::channels + channel];
    }
    const std::uint64_t row = std::uint64_t{split} * args.heads + first_head + i;
    const bool empty = all_top == -INFINITY && all_sum == 0;
    plan.out[row * args.head_dim + channel] = empty ? 0 : all_out / all_sum;
    if (channel == 0) plan.lse[row] = empty ? -INFINITY : (shift + log2f(all_sum)) * ln_of_2;
  }
}

}  // namespace

std::size_t workspace_of(const DecodeArgs& args) {
  const DecodePlan plan = plan_of(args);
  return plan.splits == 1 ? 0 : std::size_t{plan.splits} * args.heads * (args.head_dim + std::size_t{1}) * sizeof(float);
}

Outcome run_decode(const DecodeArgs& args, Stream stream) {
  if (const Outcome wrong = check_heads(args.heads, args.kv_heads)) return wrong;
  if (args.list != nullptr && args.lists != args.kv_heads && args.lists != args.heads) return "E_KERNEL_SHAPE decode takes a list a kv head or a list a head";
  if (args.heads == 0) return nullptr;
  DecodePlan plan = plan_of(args);
  plan.out = plan.splits == 1 ? args.out : static_cast<float*>(args.workspace);
  plan.lse = plan.splits == 1 ? args.lse : plan.out + std::size_t{plan.splits} * args.heads * args.head_dim;
  const Outcome outcome = for_lanes(args.dtype, args.head_dim, [&](auto element, auto lanes) -> Outcome {
    using T = decltype(element);
    constexpr unsigned Lanes = decltype(lanes)::value;
    const auto start = [&](void (*kernel)(DecodeArgs, DecodePlan), std::size_t shared_bytes) {
      return launch(kernel, Grid{plan.splits * plan.passes, plan.lists}, warps * warp_size, shared_bytes, stream, args, plan);
    };
    switch (plan.per_pass) {
      case 1: return start(decode_range<T, Lanes, 1>, DecodeShape<Lanes, 1>::shared_bytes);
      case 2: return start(decode_range<T, Lanes, 2>, DecodeShape<Lanes, 2>::shared_bytes);
      case 4: return start(decode_range<T, Lanes, 4>, DecodeShape<Lanes, 4>::shared_bytes);
      default: return start(decode_range<T, Lanes, 8>, DecodeShape<Lanes, 8>::shared_bytes);
    }
  });
  if (outcome != nullptr || plan.splits == 1) return outcome;
  return run_merge({plan.splits, args.heads, args.head_dim, plan.out, plan.lse, args.out, args.lse}, stream);
}

}  // namespace attnscope::gpu
