// Vertical-slash, phase 1: the softmax of the last 64 queries against all keys, summed by column and by distance. Two passes over
// the keys, since a probability needs its row's sum first; scores are computed twice and never stored.
//
// Pass 1 cuts the tiles of 64 keys into ranges and leaves every row's maximum and sum of each. Pass 2 joins them and walks the
// same ranges. A column is in one tile only. A distance meets two neighbouring tiles, so what the nearer half of a tile's
// diagonals sums to is carried to the next tile, and at the end of a range to the next range, where join_distances adds it.
// Every sum has one order: results do not depend on how blocks run.
#include <cmath>

#include "constants.h"
#include "ops.h"
#include "shapes.h"
#include "tile_sums.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned rows = 64, warps = 4, warp_rows = rows / warps, threads = warps * warp_size;

struct StripPlan {
  std::uint32_t tiles = 0, ranges = 1, first_query = 0, rows = 0;
  bool q_chunks = false, k_chunks = false;
  float* row_part = nullptr;  // [heads][ranges][2][64]: maximum in units of ln 2, sum of powers of two
  float* carry = nullptr;     // [heads][ranges][64]
};

StripPlan plan_of(const StripArgs& args) {
  StripPlan plan;
  plan.tiles = ceil_div(args.tokens, tile_keys);
  // About two blocks for every one that 132 multiprocessors hold at a time; ranges of 4 tiles or more, as the queries are read for each.
  plan.ranges = parts_for(plan.tiles, args.heads, 1024, 4);
  plan.rows = lesser(rows, args.tokens);
  plan.first_query = args.tokens - plan.rows;
  plan.q_chunks = whole_chunks(args.q, args.head_dim);
  plan.k_chunks = whole_chunks(args.k, args.head_dim);
  plan.row_part = static_cast<float*>(args.workspace);
  plan.carry = plan.row_part + std::size_t{args.heads} * plan.ranges * 2 * rows;
  return plan;
}

/// Calls body(scores, tile) for every tile of a range: scaled to powers of two, -infinity where not visible. Rows past the last
/// query see nothing. Starts with the queries; keys of the next tile come while one is computed. The body may use barriers.
template <class T, unsigned Dim, class Body>
ATTNSCOPE_DEVICE void for_score_tiles(const StripArgs& args, const StripPlan& plan, std::uint32_t head, Range range, Body body) {
  using Layout = TileLayout<Dim>;
  auto* queries = reinterpret_cast<Chunk*>(shared_memory());
  Chunk* keys = queries + rows * Layout::chunks;
  const RowSource q = rows_of(args.q, head, args.head_dim, plan.q_chunks);
  const RowSource k = rows_of(args.k, head / (args.heads / args.kv_heads), args.head_dim, plan.k_chunks);
  const auto copy_keys = [&](std::uint32_t tile) {
    copy_rows<Dim>(keys + tile % 2 * tile_keys * Layout::chunks, k, tile_keys, args.tokens, [tile](unsigned row) { return tile * tile_keys + row; });
    commit_copies();
  };
  copy_rows<Dim>(queries, q, rows, args.tokens, [&](unsigned row) { return plan.first_query + row; });
  copy_keys(range.begin);
  const float scale = args.scale * log2_of_e;
  for (std::uint32_t tile = range.begin; tile < range.end; ++tile) {
    wait_copies<0>();
    sync_block();  // the tile is there, and nobody reads the one before any more
    if (tile + 1 < range.end) copy_keys(tile + 1);
    float s[1][tile_keys / 8][4];
    multiply_keys<T, Dim, 1>(s, queries, warp_index() * warp_rows, keys + tile % 2 * tile_keys * Layout::chunks);
    const unsigned lane = lane_index(), first_row = warp_index() * warp_rows + lane / 4;
    const bool all_seen = plan.rows == rows && (tile + 1) * tile_keys <= plan.first_query + 1;
#pragma unroll
    for (unsigned n = 0; n < tile_keys / 8; ++n)
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) {
        const unsigned row = first_row + e / 2 * 8;
        const std::uint32_t key = tile * tile_keys + 8 * n + 2 * (lane % 4) + e % 2;
        s[0][n][e] = all_seen || (row < plan.rows && key <= plan.first_query + row) ? s[0][n][e] * scale : -INFINITY;
      }
    body(s, tile);
  }
}

template <class T, unsigned Dim>
ATTNSCOPE_KERNEL(threads) strip_rows(StripArgs args, StripPlan plan) {
  const std::uint32_t head = block_x(), part = block_y();
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};  // of this lane's columns; lanes are joined at the end
  for_score_tiles<T, Dim>(args, plan, head, part_of(plan.tiles, plan.ranges, part), [&](const float (&s)[1][tile_keys / 8][4], std::uint32_t) {
#pragma unroll
    for (unsigned h = 0; h < 2; ++h) {
      float largest = top[h];
#pragma unroll
      for (unsigned n = 0; n < tile_keys / 8; ++n) largest = fmaxf(largest, fmaxf(s[0][n][2 * h], s[0][n][2 * h + 1]));
      const float shift = largest == -INFINITY ? 0 : largest;
      float added = 0;
#pragma unroll
      for (unsigned n = 0; n < tile_keys / 8; ++n) added += power_of_two(s[0][n][2 * h] - shift) + power_of_two(s[0][n][2 * h + 1] - shift);
      sum[h] = sum[h] * power_of_two(top[h] - shift) + added;
      top[h] = largest;
    }
  });
  float* to = plan.row_part + (std::uint64_t{head} * plan.ranges + part) * 2 * rows;
#pragma unroll
  for (unsigned h = 0; h < 2; ++h) {
    const float largest = warp_max<4>(top[h]), shift = largest == -INFINITY ? 0 : largest;
    const float total = warp_sum<4>(sum[h] * power_of_two(top[h] - shift));
    const unsigned row = warp_index() * warp_rows + lane_index() / 4 + 8 * h;
    if (lane_index() % 4 == 0) to[row] = largest, to[rows + row] = total;
  }
}

/// log2 of a row's sum of exponentials, from the parts of all ranges.
ATTNSCOPE_DEVICE float row_sum_log(const StripPlan& plan, std::uint32_t head, unsigned row) {
  const float* part = plan.row_part + std::uint64_t{head} * plan.ranges * 2 * rows + row;
  float top = -INFINITY, sum = 0;
  for (std::uint32_t r = 0; r < plan.ranges; ++r) top = fmaxf(top, part[r * 2 * rows]);
  const float shift = top == -INFINITY ? 0 : top;
  for (std::uint32_t r = 0; r < plan.ranges; ++r) sum += power_of_two(part[r * 2 * rows] - shift) * part[r * 2 * rows + rows];
  return shift + log2f(sum);
}

/// What a block keeps beside its tiles: each warp's column and diagonal sums, two carries in turn, the rows' logarithms.
struct StripSums {
  float column[warps][tile_keys], diagonal[warps][diagonal_slots(warp_rows)], carry[2][tile_keys], row_log[rows];
};

template <class T, unsigned Dim>
ATTNSCOPE_KERNEL(threads) strip_sums(StripArgs args, StripPlan plan) {
  const std::uint32_t head = block_x(), part = block_y();
  const unsigned thread = thread_index(), warp = warp_index(), first_row = warp * warp_rows + lane_index() / 4;
  auto& sums = *reinterpret_cast<StripSums*>(reinterpret_cast<Chunk*>(shared_memory()) + (rows + 2 * tile_keys) * TileLayout<Dim>::chunks);
  const Range range = part_of(plan.tiles, plan.ranges, part);
  if (thread < rows) {
    sums.row_log[thread] = thread < plan.rows ? row_sum_log(plan, head, thread) : 0;
    sums.carry[range.begin % 2][thread] = 0;
  }
  sync_block();
  const float row_log[2] = {sums.row_log[first_row], sums.row_log[first_row + 8]};
  float* column_score = args.column_score + std::uint64_t{head} * args.tokens;
  float* distance_score = args.distance_score + std::uint64_t{head} * args.tokens;

  for_score_tiles<T, Dim>(args, plan, head, range, [&](float (&p)[1][tile_keys / 8][4], std::uint32_t tile) {
#pragma unroll
    for (unsigned n = 0; n < tile_keys / 8; ++n)
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) p[0][n][e] = power_of_two(p[0][n][e] - row_log[e / 2]);
    column_sums<1>(p, sums.column[warp]);
    diagonal_sums<1>(p, sums.diagonal[warp]);
    sync_block();
    // Distance first_query - 64 tile + difference, difference = row - key in [-63, 63] as counted in the tile.
    const std::int32_t difference = static_cast<std::int32_t>(thread) - 63;
    float diagonal = 0;
#pragma unroll
    for (unsigned w = 0; w < warps; ++w) {
      const std::uint32_t slot = diagonal_slot(difference, w * warp_rows, warp_rows);
      if (slot < diagonal_slots(warp_rows)) diagonal += sums.diagonal[w][slot];
    }
    if (difference < 0) {
      sums.carry[(tile + 1) % 2][difference + 64] = diagonal;
    } else {
      const std::int64_t distance = std::int64_t{plan.first_query} - std::int64_t{tile} * tile_keys + difference;
      if (difference > 0 && difference < 64) diagonal += sums.carry[tile % 2][difference];
      if (difference < 64 && distance >= 0 && distance < args.tokens) distance_score[distance] = diagonal;
    }
    const std::uint32_t key = tile * tile_keys + thread;
    if (thread < tile_keys && key < args.tokens) column_score[key] = (sums.column[0][thread] + sums.column[1][thread]) + (sums.column[2][thread] + sums.column[3][thread]);
  });
  sync_block();
  if (thread > 0 && thread < tile_keys) plan.carry[(std::uint64_t{head} * plan.ranges + part) * tile_keys + thread] = sums.carry[range.end % 2][thread];
}

/// Range part + 1 begins with a tile that received nothing of the one before it.
ATTNSCOPE_KERNEL(tile_keys) join_distances(StripArgs args, StripPlan plan) {
  const std::uint32_t head = block_x(), part = block_y(), tile = part_of(plan.tiles, plan.ranges, part).end;
  const std::int64_t distance = std::int64_t{plan.first_query} - std::int64_t{tile} * tile_keys + thread_index();
  if (thread_index() == 0 || distance < 0 || distance >= args.tokens) return;
  args.distance_score[std::uint64_t{head} * args.tokens + distance] += plan.carry[(std::uint64_t{head} * plan.ranges + part) * tile_keys + thread_index()];
}

}  // namespace

std::size_t workspace_of(const StripArgs& args) {
  return std::size_t{args.heads} * plan_of(args).ranges * 3 * rows * sizeof(float);
}

Outcome run_strip(const StripArgs& args, Stream stream) {
  if (const Outcome wrong = check_heads(args.heads, args.kv_heads)) return wrong;
  if (args.tokens == 0 || args.heads == 0) return nullptr;
  const StripPlan plan = plan_of(args);
  const Outcome outcome = for_instance(args.dtype, args.head_dim, [&](auto element, auto dim) -> Outcome {
    using T = decltype(element);
    constexpr unsigned Dim = decltype(dim)::value;
    constexpr std::size_t tiles_bytes = TileLayout<Dim>::bytes(rows + 2 * tile_keys);
    if (const Outcome failed = launch(strip_rows<T, Dim>, Grid{args.heads, plan.ranges}, threads, tiles_bytes, stream, args, plan)) return failed;
    return launch(strip_sums<T, Dim>, Grid{args.heads, plan.ranges}, threads, tiles_bytes + sizeof(StripSums), stream, args, plan);
  });
  if (outcome != nullptr || plan.ranges == 1) return outcome;
  return launch(join_distances, Grid{args.heads, plan.ranges - 1}, tile_keys, 0, stream, args, plan);
}

}  // namespace attnscope::gpu
