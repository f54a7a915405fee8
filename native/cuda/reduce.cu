// Capture, pass 2: P = exp(q.k * scale - lse) recomputed tile by tile on tensor cores and reduced to what a capture stores; core/reduce.h
// says what each figure means, core/reduce.cpp is the same on a CPU.
//
// A block has 128 queries of one head, a warp 32 of them, and walks the tiles of 64 keys up to its last query. Row statistics stay in
// registers. Columns and diagonals are summed over the block in fp32 and added to the totals in fp64, 64 columns and 64 distances a
// tile: diagonals wait, first in their warp's registers, then in shared memory, until no warp meets them any more. A tile's sums are
// joined while the next tile is computed, so that warps meet once a tile. Cells of up to 32 tokens lie in one warp's tile and are
// stored; larger ones are gathered in registers for as long as the warp stays in them, then added.
//
// The order of the additions to cell_sum (cells of 64 and more), column_sum and diagonal_sum depends on how blocks run: they repeat
// to fp64 rounding, of terms that are themselves the same bit by bit. Everything else is the same in every run.
#include <cmath>

#include "constants.h"
#include "ops.h"
#include "shapes.h"
#include "tile_sums.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned row_tiles = 2, warps = 4, warp_rows = 16 * row_tiles, rows = warps * warp_rows, threads = warps * warp_size;
constexpr unsigned lane_rows = 2 * row_tiles;  // rows a lane has values of: lane / 4 + 8 r of the warp's
constexpr unsigned key_tiles = tile_keys / 8;

using Tile = float[row_tiles][key_tiles][4];

/// Scores of pairs that are not visible: far enough below all others for p to be 0, and finite, so that 0 times them is 0.
constexpr float unseen = -1e30f;

struct ReducePlan {
  bool q_chunks = false, k_chunks = false;
};

/// Of the rows of this lane; sums over its own keys until finish().
struct RowFigures {
  float entropy[lane_rows] = {}, sink[lane_rows] = {}, local[lane_rows] = {}, previous[lane_rows] = {}, top[lane_rows];
  std::uint32_t top_key[lane_rows] = {};
};

/// Row of the warp and key of the tile of element e of p[t][n].
ATTNSCOPE_DEVICE unsigned row_at(unsigned t, unsigned e) { return 16 * t + lane_index() / 4 + e / 2 * 8; }
ATTNSCOPE_DEVICE unsigned key_at(unsigned n, unsigned e) { return 8 * n + 2 * (lane_index() % 4) + e % 2; }

/// Scores to probabilities, with the figures that every key enters: entropy = sum p (lse - score), and the largest p. Returns the
/// largest of the lane's rows.
ATTNSCOPE_DEVICE float take_rows(Tile& p, const float (&lse)[lane_rows], float scale, std::uint32_t first_key, RowFigures& rows) {
  float largest[lane_rows], entropy[lane_rows] = {};
#pragma unroll
  for (unsigned r = 0; r < lane_rows; ++r) largest[r] = -1;
#pragma unroll
  for (unsigned n = 0; n < key_tiles; ++n)
#pragma unroll
    for (unsigned t = 0; t < row_tiles; ++t)
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) {
        const unsigned r = 2 * t + e / 2;
        const float x = p[t][n][e] * scale - lse[r];
        p[t][n][e] = power_of_two(x);
        entropy[r] -= p[t][n][e] * x;
        largest[r] = fmaxf(largest[r], p[t][n][e]);
      }
#pragma unroll
  for (unsigned r = 0; r < lane_rows; ++r) {
    rows.entropy[r] += entropy[r];  // by tile: 16 terms, then one for each of N / 64 tiles
    if (largest[r] > rows.top[r]) {
      rows.top[r] = largest[r];
      // Backwards, so that the first of equal ones stays.
#pragma unroll
      for (unsigned i = 0; i < 2 * key_tiles; ++i) {
        const unsigned n = key_tiles - 1 - i / 2, e = r % 2 * 2 + 1 - i % 2;
        if (p[r / 2][n][e] == largest[r]) rows.top_key[r] = first_key + key_at(n, e);
      }
    }
  }
  return fmaxf(fmaxf(largest[0], largest[1]), fmaxf(largest[2], largest[3]));
}

/// Figures of keys near the row's start and end; called for tiles that hold such keys.
ATTNSCOPE_DEVICE void take_near(const Tile& p, std::uint32_t first_row, std::uint32_t first_key, std::uint32_t sink_tokens, std::uint32_t local_tokens, RowFigures& rows) {
#pragma unroll
  for (unsigned t = 0; t < row_tiles; ++t)
#pragma unroll
    for (unsigned n = 0; n < key_tiles; ++n)
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) {
        const std::uint32_t query = first_row + row_at(t, e), key = first_key + key_at(n, e);
        const unsigned r = 2 * t + e / 2;
        if (key < sink_tokens) rows.sink[r] += p[t][n][e];
        if (key <= query && query - key < local_tokens) rows.local[r] += p[t][n][e];
        if (key + 1 == query) rows.previous[r] += p[t][n][e];
      }
}

/// Sums and maxima of the cells of up to 32 tokens in a warp's tile. `cell` is the same for all threads.
ATTNSCOPE_DEVICE void store_cells(const Tile& p, const ReduceArgs& args, std::uint32_t head, std::uint32_t first_row, std::uint32_t first_key) {
  const unsigned cell = args.cell, lane = lane_index(), a = lane / 4, x = lane % 4;
  const std::uint64_t base = std::uint64_t{head} * args.cells * args.cells;
  const auto store = [&](unsigned row, unsigned key, float sum, float max) {
    const std::uint64_t cell_row = (first_row + row) / cell, cell_column = (first_key + key) / cell;
    if (cell_row >= args.cells || cell_column >= args.cells) return;
    args.cell_sum[base + cell_row * args.cells + cell_column] = sum;
    args.cell_max[base + cell_row * args.cells + cell_column] = max;
  };
  if (cell == 1) {
#pragma unroll
    for (unsigned t = 0; t < row_tiles; ++t)
#pragma unroll
      for (unsigned n = 0; n < key_tiles; ++n)
#pragma unroll
        for (unsigned e = 0; e < 4; ++e) store(row_at(t, e), key_at(n, e), p[t][n][e], p[t][n][e]);
    return;
  }
  // Squares of 8 x 8: lanes that share a cell of up to 8 tokens are joined, then squares of larger ones.
  const unsigned squares = cell > 8 ? cell / 8 : 1;
  const unsigned keys_of_lanes = (cell > 8 ? 8 : cell) / 2, rows_of_lanes = cell > 8 ? 8 : cell;
  float sum[lane_rows][key_tiles], max[lane_rows][key_tiles];
#pragma unroll
  for (unsigned r = 0; r < lane_rows; ++r)
#pragma unroll
    for (unsigned n = 0; n < key_tiles; ++n) {
      const float first = p[r / 2][n][r % 2 * 2], second = p[r / 2][n][r % 2 * 2 + 1];
      sum[r][n] = first + second;
      max[r][n] = fmaxf(first, second);
    }
  // Lanes hold the sums of their own pairs; squares of a larger cell are added before lanes are.
#pragma unroll
  for (unsigned step = 1; step < 4; step *= 2) {
    if (squares <= step) continue;
#pragma unroll
    for (unsigned r = 0; r < lane_rows; r += 2 * step)
#pragma unroll
      for (unsigned n = 0; n < key_tiles; n += 2 * step) {
        sum[r][n] = (sum[r][n] + sum[r][n + step]) + (sum[r + step][n] + sum[r + step][n + step]);
        max[r][n] = fmaxf(fmaxf(max[r][n], max[r][n + step]), fmaxf(max[r + step][n], max[r + step][n + step]));
      }
  }
#pragma unroll
  for (unsigned r = 0; r < lane_rows; ++r)
#pragma unroll
    for (unsigned n = 0; n < key_tiles; ++n) {
      if (r % squares != 0 || n % squares != 0) continue;
      float s = sum[r][n], m = max[r][n];
#pragma unroll
      for (unsigned mask = 1; mask < 4; mask *= 2)
        if (mask < keys_of_lanes) s += shuffle_xor(s, mask), m = fmaxf(m, shuffle_xor(m, mask));
#pragma unroll
      for (unsigned mask = 1; mask < 8; mask *= 2)
        if (mask < rows_of_lanes) s += shuffle_xor(s, 4 * mask), m = fmaxf(m, shuffle_xor(m, 4 * mask));
      if (x % keys_of_lanes == 0 && a % rows_of_lanes == 0) store(8 * r + a, 8 * n + 2 * x, s, m);
    }
}

/// A cell of 64 tokens or more that the warp is in: this lane's share.
struct OpenCell {
  std::uint32_t column = ~0u;
  float sum = 0, max = 0;
};

ATTNSCOPE_DEVICE void close_cell(const ReduceArgs& args, std::uint32_t head, std::uint32_t cell_row, OpenCell& open) {
  const float sum = warp_sum(open.sum), max = warp_max(open.max);
  if (lane_index() == 0 && open.column < args.cells && cell_row < args.cells && max > 0) {
    const std::uint64_t at = (std::uint64_t{head} * args.cells + cell_row) * args.cells + open.column;
    atomic_add(args.cell_sum + at, static_cast<double>(sum));
    atomic_max_positive(args.cell_max + at, max);
  }
  open.sum = open.max = 0;
}

ATTNSCOPE_DEVICE void add_to_cell(const float (&column)[lane_columns], float largest, OpenCell& open) {
  float sum[4] = {};
#pragma unroll
  for (unsigned v = 0; v < lane_columns; ++v) sum[v % 4] += column[v];
  open.sum += (sum[0] + sum[1]) + (sum[2] + sum[3]);
  open.max = fmaxf(open.max, largest);
}

/// Warps' sums of tiles: columns of two tiles in turn, diagonals of the last four.
struct TileTotals {
  float column[2][warps][tile_keys], diagonal[4][warps][tile_keys];
};

/// Adds to the totals what is complete after tile `tile`: half of the threads its columns, half the distances
/// first_query - 64 (tile - 2) + 32 - s, s < 64. The first warp's rows met these two tiles ago, each further warp's 32 diagonals later.
ATTNSCOPE_DEVICE void join_totals(const TileTotals& totals, const ReduceArgs& args, std::uint32_t head, std::uint32_t first_query, std::uint32_t end_query, std::uint32_t tile) {
  static_assert(threads == 2 * tile_keys && warps == 4 && warp_rows == 32);
  const unsigned thread = thread_index(), s = thread % tile_keys;
  const std::uint32_t keys = args.attention.keys;
  if (thread < tile_keys) {
    const auto& column = totals.column[tile % 2];
    const float sum = (column[0][s] + column[1][s]) + (column[2][s] + column[3][s]);
    const std::uint32_t key = tile * tile_keys + s;
    if (key < end_query && sum != 0) atomic_add(args.column_sum + std::uint64_t{head} * keys + key, static_cast<double>(sum));
    return;
  }
  const auto& first = totals.diagonal[(tile + 2) % 4];  // of tile - 2
  const auto& second = totals.diagonal[(tile + 3) % 4];
  const auto& third = totals.diagonal[tile % 4];
  const bool lower = s < warp_rows;
  const float sum = (first[0][s] + (lower ? first : second)[1][s ^ warp_rows]) + (second[2][s] + (lower ? second : third)[3][s ^ warp_rows]);
  const std::int64_t distance = std::int64_t{first_query} - (std::int64_t{tile} - 2) * tile_keys + warp_rows - s;
  if (distance >= 0 && distance < keys && sum != 0) atomic_add(args.diagonal_sum + std::uint64_t{head} * keys + distance, static_cast<double>(sum));
}

template <class T, unsigned Dim, bool WholeCells>
ATTNSCOPE_KERNEL(threads) reduce_rows(ReduceArgs args, ReducePlan plan) {
  using Layout = TileLayout<Dim>;
  const AttentionArgs& in = args.attention;
  auto* queries = reinterpret_cast<Chunk*>(shared_memory());
  Chunk* keys = queries + rows * Layout::chunks;
  auto& totals = *reinterpret_cast<TileTotals*>(keys + 2 * tile_keys * Layout::chunks);
  // Long rows first: the last blocks to start are the short ones.
  const std::uint32_t head = block_x(), m = grid_y() - 1 - block_y(), thread = thread_index(), warp = warp_index();
  const RowSource q = rows_of(in.q, head, in.head_dim, plan.q_chunks), k = rows_of(in.k, head / (in.heads / in.kv_heads), in.head_dim, plan.k_chunks);
  const std::uint32_t first_query = in.first_query + m * rows, end_query = in.first_query + lesser((m + 1) * rows, in.queries);
  const std::uint32_t first_row = first_query + warp * warp_rows;  // of this warp
  const std::uint32_t tiles = ceil_div(end_query, tile_keys), cell_row = first_row / args.cell;
  const float scale = in.scale * log2_of_e;

  RowFigures figures;
  float lse[lane_rows];
#pragma unroll
  for (unsigned r = 0; r < lane_rows; ++r) {
    const std::uint32_t row = m * rows + warp * warp_rows + 8 * r + lane_index() / 4;
    lse[r] = row < in.queries ? fminf(in.lse[std::uint64_t{head} * in.queries + row] * log2_of_e, -unseen) : 0;
    figures.top[r] = -1;
  }
  OpenCell open;
  DiagonalWalk<row_tiles> diagonals;
  float* waiting = &totals.diagonal[0][0][0];
  for (unsigned i = thread; i < sizeof totals.diagonal / sizeof(float); i += threads) waiting[i] = 0;

  const auto copy_keys = [&](std::uint32_t tile) {
    copy_consecutive<Dim, tile_keys, threads>(keys + tile % 2 * tile_keys * Layout::chunks, k, tile * tile_keys, in.keys);
    commit_copies();
  };
  copy_consecutive<Dim, rows, threads>(queries, q, m * rows, in.queries);
  copy_keys(0);
  for (std::uint32_t tile = 0; tile < tiles; ++tile) {
    const std::uint32_t first_key = tile * tile_keys;
    wait_copies<0>();
    sync_block();  // the tile is there, sums of the one before, too, and nobody reads that tile or older sums any more
    if (tile + 1 < tiles) copy_keys(tile + 1);
    if (tile > 0) join_totals(totals, args, head, first_query, end_query, tile - 1);
    Tile p;
    multiply_keys<T, Dim, row_tiles>(p, queries, warp * warp_rows, keys + tile % 2 * tile_keys * Layout::chunks);
    if (first_key + tile_keys > first_row + 1 || first_row + warp_rows > end_query) {
#pragma unroll
      for (unsigned t = 0; t < row_tiles; ++t)
#pragma unroll
        for (unsigned n = 0; n < key_tiles; ++n)
#pragma unroll
          for (unsigned e = 0; e < 4; ++e) {
            const std::uint32_t query = first_row + row_at(t, e);
            if (first_key + key_at(n, e) > query || query >= end_query) p[t][n][e] = unseen;
          }
    }
    const float largest = take_rows(p, lse, scale, first_key, figures);
    // The row's own key and the one before it count as near whatever local_tokens is.
    if (first_key < args.sink_tokens || first_key + tile_keys + (args.local_tokens > 2 ? args.local_tokens : 2) > first_row) take_near(p, first_row, first_key, args.sink_tokens, args.local_tokens, figures);
    float column[lane_columns];
    lane_column_sums<row_tiles>(p, column);
    if constexpr (WholeCells) {
      store_cells(p, args, head, first_row, first_key);
    } else {
      const std::uint32_t cell_column = first_key / args.cell;
      if (cell_column != open.column) {
        close_cell(args, head, cell_row, open);
        open.column = cell_column;
      }
      add_to_cell(column, largest, open);
    }
    join_columns(column, totals.column[tile % 2][warp]);
    diagonals.add(p, totals.diagonal[tile % 4][warp]);
  }
  // Diagonals that still wait: as if three tiles of zeros followed, of which the first meets what warps have kept.
  for (std::uint32_t tile = tiles; tile < tiles + 4; ++tile) {
    sync_block();
    join_totals(totals, args, head, first_query, end_query, tile - 1);
    if (tile == tiles + 3) break;
    diagonals.add({}, totals.diagonal[tile % 4][warp]);
  }
  if constexpr (!WholeCells) close_cell(args, head, cell_row, open);

#pragma unroll
  for (unsigned r = 0; r < lane_rows; ++r) {
    const float entropy = warp_sum<4>(figures.entropy[r]) * ln_of_2, sink = warp_sum<4>(figures.sink[r]), local = warp_sum<4>(figures.local[r]), previous = warp_sum<4>(figures.previous[r]);
    float top = figures.top[r];
    std::uint32_t top_key = figures.top_key[r];
#pragma unroll
    for (unsigned mask = 1; mask < 4; mask *= 2) {
      const float other = shuffle_xor(top, mask);
      const std::uint32_t other_key = shuffle_xor(top_key, mask);
      if (other > top || (other == top && other_key < top_key)) top = other, top_key = other_key;
    }
    const std::uint32_t row = m * rows + warp * warp_rows + 8 * r + lane_index() / 4;
    if (lane_index() % 4 != 0 || row >= in.queries) continue;
    const std::uint64_t at = std::uint64_t{head} * in.queries + row;
    args.entropy[at] = entropy;
    args.sink_mass[at] = sink;
    args.local_mass[at] = local;
    args.previous_mass[at] = previous;
    args.top1_mass[at] = top;
    args.top1_key[at] = top_key;
  }
}

}  // namespace

Outcome run_reduce(const ReduceArgs& args, Stream stream) {
  const AttentionArgs& in = args.attention;
  if (const Outcome wrong = check_heads(in.heads, in.kv_heads)) return wrong;
  if (in.first_query % 64 != 0 || in.keys < in.first_query + in.queries) return "E_KERNEL_SHAPE first_query is not a multiple of 64, or keys end before the last query";
  if (args.cell == 0 || (args.cell & (args.cell - 1)) != 0) return "E_KERNEL_SHAPE cell is not a power of two";
  const std::size_t cells = std::size_t{in.heads} * args.cells * args.cells, marginal = std::size_t{in.heads} * in.keys;
  if (const Outcome failed = fill_bytes(args.cell_sum, 0, cells * sizeof(double), stream)) return failed;
  if (const Outcome failed = fill_bytes(args.cell_max, 0, cells * sizeof(float), stream)) return failed;
  if (const Outcome failed = fill_bytes(args.column_sum, 0, marginal * sizeof(double), stream)) return failed;
  if (const Outcome failed = fill_bytes(args.diagonal_sum, 0, marginal * sizeof(double), stream)) return failed;
  const ReducePlan plan{whole_chunks(in.q, in.head_dim), whole_chunks(in.k, in.head_dim)};
  return for_instance(in.dtype, in.head_dim, [&](auto element, auto dim) -> Outcome {
    constexpr unsigned Dim = decltype(dim)::value;
    using T = decltype(element);
    return launch(args.cell <= largest_whole_cell ? reduce_rows<T, Dim, true> : reduce_rows<T, Dim, false>, Grid{in.heads, ceil_div(in.queries, rows)}, threads,
                  TileLayout<Dim>::bytes(rows + 2 * tile_keys) + sizeof(TileTotals), stream, args, plan);
  });
}

}  // namespace attnscope::gpu
