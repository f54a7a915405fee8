// Capture, pass 2: how many keys hold 90, 95 and 99 % of a row, from a logarithmic histogram of p = exp(q.k * scale - lse);
// core/coverage_bins.h says what bins and bounds are, core/coverage.h is the same on a CPU.
//
// A block has 128 queries of one head, a warp 32 of them, with the queries as fragments in registers. Keys come in steps of 32. While
// tensor cores multiply a step, the scores of the step before are counted: a lane has a histogram of its own for each of its four
// rows, so that a count is a load, an addition and a store that no other lane disturbs, in a bank of its own. A word holds up to
// 511 keys and the sum of the upper 14 of their 22 low bits: masses are low by 3e-5 at most, which can only raise the bound. Before
// words could overflow, the four lanes' words of a row are added to totals of 64 bits.
//
// Steps in which no cell's maximum reaches the smallest threshold of the block's rows are passed over.
#include <bit>
#include <cmath>

#include "constants.h"
#include "core/coverage_bins.h"
#include "indices.h"
#include "mma_tile.h"
#include "ops.h"
#include "shapes.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned row_tiles = 2, warps = 4, warp_rows = 16 * row_tiles, rows = warps * warp_rows, threads = warps * warp_size;
constexpr unsigned lane_rows = 2 * row_tiles, lanes_a_row = 4;  // a lane has values of rows lane / 4 + 8 r of the warp's
constexpr unsigned step_keys = 32, key_tiles = step_keys / 8;
constexpr unsigned columns = 2 * key_tiles;  // of a step, that a lane has values of

constexpr unsigned kept_bits = 14, count_shift = 23, most_counted = 511;
constexpr unsigned cut_bits = coverage::low_bits - kept_bits;
constexpr unsigned flush_steps = most_counted / columns;
constexpr unsigned total_shift = 40;  // totals: count above, sum of kept bits below
constexpr unsigned most_bins = coverage::highest_bin - coverage::lowest_bin + 1;

using Scores = float[row_tiles][key_tiles][4];

struct alignas(16) RowWords { std::uint32_t of_lane[lanes_a_row]; };

/// Shared memory: histograms [1 + bins][rows], where the queries lie before them; buffers of keys; a bit for every step.
struct CoveragePlan {
  std::uint32_t lowest = 0, bins = 0;  // of any row
  std::size_t words_bytes = 0;
  bool q_chunks = false, k_chunks = false;
};

/// What a lane is about to add to one word of each of its rows.
struct Counting {
  std::uint32_t* place[lane_rows];
  std::uint32_t word[lane_rows], added[lane_rows];
};

/// Where p below all that is counted goes: a bin below the lowest, which nobody reads. No branch: all lanes do the same.
ATTNSCOPE_DEVICE void begin_counting(Counting& counting, const Scores& x, unsigned column, std::uint32_t* words, std::uint32_t below, std::uint32_t lane_word) {
  const float least = float_of_bits(below << coverage::low_bits);
#pragma unroll
  for (unsigned r = 0; r < lane_rows; ++r) {
    // p is below 1.5 unless the log-sum-exp is not that of these keys: memory must hold all the same.
    const float p = fminf(fmaxf(power_of_two(x[r / 2][column / 2][r % 2 * 2 + column % 2]), least), 1.25f);
    const std::uint32_t bits = float_bits(p);
    counting.place[r] = words + ((bits >> coverage::low_bits) * (rows * lanes_a_row) + lane_word + r * warp_size);
    counting.added[r] = (1u << count_shift) | (bits >> cut_bits & ((1u << kept_bits) - 1));
  }
#pragma unroll
  for (unsigned r = 0; r < lane_rows; ++r) counting.word[r] = *counting.place[r];
}

ATTNSCOPE_DEVICE void end_counting(const Counting& counting) {
#pragma unroll
  for (unsigned r = 0; r < lane_rows; ++r) *counting.place[r] = counting.word[r] + counting.added[r];
}

/// Words of the warp's rows, from the lowest bin that counts on, to the totals of lane's row; words are 0 afterwards.
ATTNSCOPE_DEVICE void flush_words(RowWords* words, std::uint32_t bins, std::uint64_t (&totals)[most_bins]) {
  sync_warp();
  for (unsigned bin = 0; bin < bins; ++bin) {
    RowWords& of_row = words[bin * rows + lane_index()];
    const RowWords counted = of_row;
    of_row = {};
    std::uint32_t count = 0, sum = 0;
#pragma unroll
    for (unsigned x = 0; x < lanes_a_row; ++x) count += counted.of_lane[x] >> count_shift, sum += counted.of_lane[x] & ((1u << count_shift) - 1);
    totals[bin] += std::uint64_t{count} << total_shift | sum;
  }
  sync_warp();
}

/// One step's bit: whether a cell that the step meets under rows [first_query, end_query) has a maximum that matters.
ATTNSCOPE_DEVICE bool matters(const CoverageArgs& args, std::uint32_t head, std::uint32_t first_query, std::uint32_t end_query, std::uint32_t step, float threshold) {
  const float* cell_max = args.cell_max + std::uint64_t{head} * args.cells * args.cells;
  const std::uint32_t first_key = step * step_keys, last_key = lesser(first_key + step_keys, end_query) - 1;
  for (std::uint32_t row = first_query / args.cell; row <= (end_query - 1) / args.cell; ++row)
    for (std::uint32_t column = first_key / args.cell; column <= last_key / args.cell; ++column)
      if (row >= args.cells || column >= args.cells || !(cell_max[std::uint64_t{row} * args.cells + column] < threshold)) return true;
  return false;
}

template <class T, unsigned Dim, unsigned Stages>
ATTNSCOPE_KERNEL(threads) cover_rows(CoverageArgs args, CoveragePlan plan) {
  using Layout = TileLayout<Dim>;
  constexpr unsigned fragments = Dim / 16, stage_chunks = step_keys * Layout::chunks;
  const AttentionArgs& in = args.attention;
  auto* words = reinterpret_cast<RowWords*>(shared_memory());
  auto* queries = reinterpret_cast<Chunk*>(shared_memory());  // until they are in registers
  auto* keys = reinterpret_cast<Chunk*>(shared_memory() + plan.words_bytes);
  auto* needed = reinterpret_cast<std::uint32_t*>(keys + Stages * stage_chunks);
  // Long rows first: the last blocks to start are the short ones.
  const std::uint32_t head = block_x(), m = grid_y() - 1 - block_y();
  const unsigned thread = thread_index(), lane = lane_index(), warp = warp_index();
  const RowSource q = rows_of(in.q, head, in.head_dim, plan.q_chunks), k = rows_of(in.k, head / (in.heads / in.kv_heads), in.head_dim, plan.k_chunks);
  const std::uint32_t first_query = in.first_query + m * rows, end_query = in.first_query + lesser((m + 1) * rows, in.queries);
  const std::uint32_t first_row = first_query + warp * warp_rows;  // of this warp
  const std::uint32_t steps = ceil_div(end_query, step_keys);

  copy_consecutive<Dim, rows, threads>(queries, q, m * rows, in.queries);
  commit_copies();
  const float smallest = coverage::threshold(end_query);
  for (std::uint32_t word = warp; word < ceil_div(steps, warp_size); word += warps) {
    const std::uint32_t step = word * warp_size + lane;
    const std::uint32_t bits = ballot(step < steps && (args.cell_max == nullptr || matters(args, head, first_query, end_query, step, smallest)));
    if (lane == 0) needed[word] = bits;
  }
  float lse[lane_rows];
#pragma unroll
  for (unsigned r = 0; r < lane_rows; ++r) {
    const std::uint32_t row = m * rows + warp * warp_rows + 8 * r + lane / 4;
    lse[r] = row < in.queries ? in.lse[std::uint64_t{head} * in.queries + row] * log2_of_e : INFINITY;  // rows past the end count nothing
  }
  wait_copies<0>();
  sync_block();
  std::uint32_t left[fragments][row_tiles][4];
#pragma unroll
  for (unsigned f = 0; f < fragments; ++f)
#pragma unroll
    for (unsigned t = 0; t < row_tiles; ++t) load_matrices(left[f][t], queries + Layout::chunk_place(warp * warp_rows + 16 * t + lane % 16, 2 * f + lane / 16));
  sync_block();
  for (unsigned i = thread; i < (1 + plan.bins) * rows; i += threads) words[i] = {};
  sync_block();
  RowWords* warp_words = words + rows + warp * warp_rows;  // of the lowest bin that counts
  // A bin's word of the lane's row r; counted from bin 0, it wraps around.
  const std::uint32_t below = plan.lowest - 1, lane_word = warp * warp_rows * lanes_a_row + lane - below * (rows * lanes_a_row);
  std::uint64_t totals[most_bins] = {};

  /// The first step from `step` on that matters; `steps` where there is none.
  const auto next = [&](std::uint32_t step) {
    while (step < steps) {
      const std::uint32_t bits = needed[step / warp_size] >> step % warp_size;
      if ((bits & 1) != 0) break;
      step = bits == 0 ? (step / warp_size + 1) * warp_size : step + 1;
    }
    return lesser(step, steps);
  };
  std::uint32_t ahead = next(0);  // the next step to be copied
  unsigned stage_ahead = 0;
  const auto copy_ahead = [&] {
    if (ahead < steps) {
      copy_consecutive<Dim, step_keys, threads>(keys + stage_ahead * stage_chunks, k, ahead * step_keys, in.keys);
      ahead = next(ahead + 1);
    }
    stage_ahead = stage_ahead + 1 < Stages ? stage_ahead + 1 : 0;
    commit_copies();
  };
  std::uint32_t step = ahead;
#pragma unroll
  for (unsigned s = 0; s + 1 < Stages; ++s) copy_ahead();

  const float scale = in.scale * log2_of_e;
  Scores x;  // of the step before, in powers of two
#pragma unroll
  for (unsigned t = 0; t < row_tiles; ++t)
#pragma unroll
    for (unsigned n = 0; n < key_tiles; ++n)
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) x[t][n][e] = -INFINITY;
  unsigned stage = 0, counted_steps = 0;
  while (step < steps) {
    wait_copies<Stages - 2>();
    sync_block();  // the step is there, and nobody reads the one before any more
    copy_ahead();
    const Chunk* step_rows = keys + stage * stage_chunks;
    Scores s = {};
#pragma unroll
    for (unsigned f = 0; f < fragments; ++f) {
      // This fragment's share of the columns is counted: words are on their way while tensor cores work.
      constexpr unsigned share = ceil_div(columns, fragments);
      Counting counting[share];
#pragma unroll
      for (unsigned c = 0; c < share; ++c)
        if (c == 0 && f * share < columns) begin_counting(counting[c], x, f * share, words->of_lane, below, lane_word);
#pragma unroll
      for (unsigned n = 0; n < step_keys / 16; ++n) {
        std::uint32_t right[4];
        load_matrices(right, step_rows + Layout::chunk_place(16 * n + lane / 16 * 8 + lane % 8, 2 * f + lane / 8 % 2));
#pragma unroll
        for (unsigned t = 0; t < row_tiles; ++t) {
          multiply_add<T>(s[t][2 * n], left[f][t], right[0], right[1]);
          multiply_add<T>(s[t][2 * n + 1], left[f][t], right[2], right[3]);
        }
      }
#pragma unroll
      for (unsigned c = 0; c < share; ++c) {
        if (f * share + c >= columns) continue;
        if (c > 0) begin_counting(counting[c], x, f * share + c, words->of_lane, below, lane_word);
        end_counting(counting[c]);
      }
    }
    if (++counted_steps == flush_steps) {
      flush_words(warp_words, plan.bins, totals);
      counted_steps = 0;
    }
    const std::uint32_t first_key = step * step_keys;
#pragma unroll
    for (unsigned t = 0; t < row_tiles; ++t)
#pragma unroll
      for (unsigned n = 0; n < key_tiles; ++n)
#pragma unroll
        for (unsigned e = 0; e < 4; ++e) x[t][n][e] = s[t][n][e] * scale - lse[2 * t + e / 2];
    if (first_key + step_keys > first_row + 1) {
#pragma unroll
      for (unsigned t = 0; t < row_tiles; ++t)
#pragma unroll
        for (unsigned n = 0; n < key_tiles; ++n)
#pragma unroll
          for (unsigned e = 0; e < 4; ++e)
            if (first_key + 8 * n + 2 * (lane % 4) + e % 2 > first_row + 16 * t + lane / 4 + e / 2 * 8) x[t][n][e] = -INFINITY;
    }
    stage = stage + 1 < Stages ? stage + 1 : 0;
    step = next(step + 1);
  }
  wait_copies<0>();
#pragma unroll
  for (unsigned column = 0; column < columns; ++column) {
    Counting counting;
    begin_counting(counting, x, column, words->of_lane, below, lane_word);
    end_counting(counting);
  }
  flush_words(warp_words, plan.bins, totals);

  const std::uint32_t row = m * rows + warp * warp_rows + lane;  // each lane answers for one
  if (row >= in.queries) return;
  const auto count_of = [&](std::uint32_t bin) { return totals[bin - plan.lowest] >> total_shift; };
  const auto mass_of = [&](std::uint32_t bin, std::uint64_t count) {
    return coverage::mass_of(bin, count, (totals[bin - plan.lowest] & ((std::uint64_t{1} << total_shift) - 1)) << cut_bits);
  };
  const std::uint64_t at = std::uint64_t{head} * in.queries + row;
  const std::uint32_t visible = in.first_query + row + 1;
  args.coverage_90[at] = coverage::bound(0.90, visible, plan.lowest, count_of, mass_of);
  args.coverage_95[at] = coverage::bound(0.95, visible, plan.lowest, count_of, mass_of);
  args.coverage_99[at] = coverage::bound(0.99, visible, plan.lowest, count_of, mass_of);
}

/// What a launch of heads of `Dim` channels needs.
struct CoverageShape {
  CoveragePlan plan;
  std::size_t shared_bytes = 0;
  bool shallow = false;  // one step is copied ahead, else three
};

template <unsigned Dim>
CoverageShape shape_of(const AttentionArgs& in) {
  const std::uint32_t end = in.first_query + in.queries;
  CoverageShape shape;
  // The lowest bin that any row's threshold lets in.
  shape.plan.lowest = std::bit_cast<std::uint32_t>(coverage::threshold(end)) >> coverage::low_bits;
  shape.plan.bins = coverage::highest_bin - shape.plan.lowest + 1;
  shape.plan.q_chunks = whole_chunks(in.q, in.head_dim), shape.plan.k_chunks = whole_chunks(in.k, in.head_dim);
  constexpr std::size_t queries_bytes = TileLayout<Dim>::bytes(rows), step_bytes = TileLayout<Dim>::bytes(step_keys);
  const std::size_t histograms_bytes = std::size_t{1 + shape.plan.bins} * rows * sizeof(RowWords);
  shape.plan.words_bytes = histograms_bytes > queries_bytes ? histograms_bytes : queries_bytes;
  const std::size_t fixed_bytes = shape.plan.words_bytes + ceil_div(ceil_div(end, step_keys), warp_size) * sizeof(std::uint32_t);
  // Where two blocks fit on a multiprocessor of 228 KiB one step is copied ahead, else three.
  constexpr std::size_t half = 113 * 1024;
  shape.shallow = fixed_bytes + 2 * step_bytes <= half;
  shape.shared_bytes = fixed_bytes + (shape.shallow ? 2 : 4) * step_bytes;
  return shape;
}

}  // namespace

std::size_t shared_of(const CoverageArgs& args) {
  std::size_t bytes = 0;
  (void)for_instance(args.attention.dtype, args.attention.head_dim, [&](auto, auto dim) -> Outcome { return bytes = shape_of<decltype(dim)::value>(args.attention).shared_bytes, nullptr; });
  return bytes;
}

Outcome run_coverage(const CoverageArgs& args, Stream stream) {
  const AttentionArgs& in = args.attention;
  if (const Outcome wrong = check_heads(in.heads, in.kv_heads)) return wrong;
  if (in.first_query % 64 != 0 || in.keys < in.first_query + in.queries) return "E_KERNEL_SHAPE first_query is not a multiple of 64, or keys end before the last query";
  if (in.keys > 1u << 20) return "E_KERNEL_SHAPE coverage counts up to 1048576 keys a row";
  if (args.cell_max != nullptr && args.cell == 0) return "E_KERNEL_SHAPE cell is not a power of two";
  return for_instance(in.dtype, in.head_dim, [&](auto element, auto dim) -> Outcome {
    using T = decltype(element);
    constexpr unsigned Dim = decltype(dim)::value;
    const CoverageShape shape = shape_of<Dim>(in);
    const Grid grid{in.heads, ceil_div(in.queries, rows)};
    return launch(shape.shallow ? cover_rows<T, Dim, 2> : cover_rows<T, Dim, 4>, grid, threads, shape.shared_bytes, stream, args, shape.plan);
  });
}

}  // namespace attnscope::gpu
