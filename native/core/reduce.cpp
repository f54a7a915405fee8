#include "reduce.h"

#include <cmath>

#include "cell_pool.h"
#include "row_coverage.h"
#include "score_block.h"
#include "simd.h"

namespace attnscope {
namespace {

using simd::f32x8;

// Slots of its own: the margins of the score buffer must stay zero, whatever pass 1 left in its own.
enum Slot { slot_queries = 8, slot_scores };

/// What a query row has gathered over the key blocks seen so far.
struct RowSums {
  double entropy = 0, sink = 0, local = 0;
  float top1 = -1, previous = 0;
  std::uint32_t top1_key = 0;
  CoverageHistogram histogram;
};

double sum_of(const float* p, std::size_t n) {
  double sum = 0;
  for (std::size_t k = 0; k < n; ++k) sum += p[k];
  return sum;
}

/// Sum of p over keys [begin, end) that lie in the block.
double sum_of_keys(const ScoreBlock& block, std::size_t r, std::uint32_t begin, std::uint32_t end) {
  const std::uint32_t block_end = block.first_key + static_cast<std::uint32_t>(block.keys);
  const std::uint32_t from = std::max(begin, block.first_key), to = std::min(end, block_end);
  return from < to ? sum_of(block.row(r) + (from - block.first_key), to - from) : 0.0;
}

/// Scores of one row to p, in place, with the statistics that need no histogram.
/// Entropy: -sum p ln p = sum p (lse - score), so no logarithm is taken.
void reduce_row(const ScoreBlock& block, std::size_t r, float lse, const ReduceConfig& config, Visibility visibility, RowSums& sums) {
  float* row = block.row(r);
  f32x8 entropy = simd::splat(0.0f), top = simd::splat(-1.0f);
  for (std::size_t k = 0; k < block.keys; k += simd::lanes) {
    const f32x8 x = simd::load(row + k) - simd::splat(lse);
    const f32x8 p = simd::exp(x);
    simd::store(row + k, p);
    entropy -= p * simd::max(x, simd::splat(simd::exp_floor));  // 0 * -infinity must not arise where masked
    top = simd::max(top, p);
  }
  sums.entropy += simd::horizontal_sum(entropy);

  const float largest = simd::horizontal_max(top);
  if (largest > sums.top1) {
    std::size_t k = 0;
    while (row[k] != largest) ++k;
    sums.top1 = largest;
    sums.top1_key = block.first_key + static_cast<std::uint32_t>(k);
  }

  const auto query = static_cast<std::uint32_t>(block.first_query + r);
  const std::uint32_t first_local = std::max(visibility.first_key(query), query + 1 > config.local_tokens ? query + 1 - config.local_tokens : 0);
  sums.sink += sum_of_keys(block, r, 0, std::min(config.sink_tokens, query + 1));
  sums.local += sum_of_keys(block, r, first_local, query + 1);
  if (query > 0) sums.previous += static_cast<float>(sum_of_keys(block, r, query - 1, query));
}

/// Sums along the block's diagonals. In a row moved left by its own number, equal columns are equal distances; the zero
/// margins are what the moved rows read outside the block.
void add_diagonals(const ScoreBlock& block, std::vector<double>& diagonal_sum) {
  constexpr std::size_t unroll = 4;
  const std::int64_t diagonal0 = std::int64_t{block.first_query} - block.first_key;
  const auto end = static_cast<std::int64_t>(block.keys);
  for (std::int64_t t = -static_cast<std::int64_t>(score_margin); t < end; t += unroll * simd::lanes) {
    f32x8 sum[unroll] = {};
    // Row r meets the block only where 0 <= t + r + lane < keys.
    const std::int64_t rows = static_cast<std::int64_t>(block.rows);
    const std::int64_t first_row = std::clamp<std::int64_t>(-t - static_cast<std::int64_t>(unroll * simd::lanes) + 1, 0, rows);
    for (std::int64_t r = first_row; r < rows; ++r) {
      const float* moved = block.data + r * static_cast<std::int64_t>(score_stride) + t + r;
#pragma GCC unroll 4
      for (std::size_t v = 0; v < unroll; ++v) sum[v] += simd::load(moved + v * simd::lanes);
    }
    for (std::size_t v = 0; v < unroll; ++v)
      for (std::size_t lane = 0; lane < simd::lanes; ++lane) {
        const std::int64_t distance = diagonal0 - t - static_cast<std::int64_t>(v * simd::lanes + lane);
        if (distance >= 0 && distance < static_cast<std::int64_t>(diagonal_sum.size())) diagonal_sum[distance] += sum[v][lane];
      }
  }
}

/// Column sums and the cells of the pyramid's base.
void add_columns(const ScoreBlock& block, HeadReduction& into) {
  alignas(64) float columns[key_block];
  const std::size_t end_query = block.first_query + block.rows;
  const std::size_t keys = std::min(block.keys, end_query - block.first_key);  // no query of the block sees further
  pool_cells(block, keys, {0, 0, into.config.cell}, columns, [&](std::size_t row, std::size_t column, CellValue value) {
    const std::size_t index = row * into.cells + column;
    into.cell_sum[index] += value.sum;
    into.cell_max[index] = std::max(into.cell_max[index], value.max);
  });
  for (std::size_t k = 0; k < keys; ++k) into.column_sum[block.first_key + k] += columns[k];
}

void write_row(const RowSums& sums, RowStats& stats, std::size_t row) {
  stats.entropy[row] = static_cast<float>(sums.entropy);
  stats.sink_mass[row] = static_cast<float>(sums.sink);
  stats.local_mass[row] = static_cast<float>(sums.local);
  stats.previous_mass[row] = sums.previous;
  stats.top1_mass[row] = sums.top1;
  stats.top1_key[row] = sums.top1_key;
  stats.coverage_90[row] = sums.histogram.bound(0.90);
  stats.coverage_95[row] = sums.histogram.bound(0.95);
  stats.coverage_99[row] = sums.histogram.bound(0.99);
}

/// One block of queries against all keys it sees.
void reduce_query_block(const HeadInput& input, std::span<const float> lse, HeadReduction& into, ScoreBlock block, float* queries) {
  RowSums sums[query_block];
  for (std::size_t r = 0; r < block.rows; ++r) {
    const auto query = static_cast<std::uint32_t>(block.first_query + r);
    sums[r].histogram.clear(query + 1 - input.visibility.first_key(query));
  }
  scale_queries(input.queries, input.scale, queries);

  const auto end_query = static_cast<std::uint32_t>(block.first_query + block.rows);
  for_visible_keys(block.first_query, end_query, input.visibility, [&](std::uint32_t first_key, std::size_t keys) {
    block.first_key = first_key;
    block.keys = keys;
    compute_scores(queries, input.keys->panel(first_key / panel_width), input.keys->dim(), input.visibility, block);
    for (std::size_t r = 0; r < block.rows; r += interleaved_rows) {
      const std::size_t n = std::min(interleaved_rows, block.rows - r);
      for (std::size_t i = r; i < r + n; ++i) {
        reduce_row(block, i, lse[i], into.config, input.visibility, sums[i]);
        if (keys < key_block) std::fill_n(block.row(i) + keys, score_margin, 0.0f);  // left by wider blocks
      }
      fill_histograms(block, r, n, [&](std::size_t i) -> CoverageHistogram& { return sums[i].histogram; });
    }
    add_columns(block, into);
    add_diagonals(block, into.diagonal_sum);
  });

  for (std::size_t r = 0; r < block.rows; ++r) write_row(sums[r], into.row_stats, block.first_query + r - into.rows.begin);
}

}  // namespace

HeadReduction::HeadReduction(const ReduceConfig& config, TokenRange rows)
    : config(config),
      rows(rows),
      cells((config.total_tokens + config.cell - 1) / config.cell),
      cell_sum(std::size_t{cells} * cells),
      cell_max(std::size_t{cells} * cells),
      column_sum(rows.end),
      diagonal_sum(rows.end) {
  for (auto* column : {&row_stats.entropy, &row_stats.sink_mass, &row_stats.local_mass, &row_stats.previous_mass, &row_stats.top1_mass})
    column->resize(rows.size());
  for (auto* column : {&row_stats.top1_key, &row_stats.coverage_90, &row_stats.coverage_95, &row_stats.coverage_99})
    column->resize(rows.size());
}

void HeadReduction::merge(const HeadReduction& other) {
  for (std::size_t i = 0; i < cell_sum.size(); ++i) {
    cell_sum[i] += other.cell_sum[i];
    cell_max[i] = std::max(cell_max[i], other.cell_max[i]);
  }
  for (std::size_t i = 0; i < column_sum.size(); ++i) {
    column_sum[i] += other.column_sum[i];
    diagonal_sum[i] += other.diagonal_sum[i];
  }
  const RowStats& from = other.row_stats;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (from.coverage_99[i] == 0) continue;  // at least 1 in every row that was reduced
    row_stats.entropy[i] = from.entropy[i];
    row_stats.sink_mass[i] = from.sink_mass[i];
    row_stats.local_mass[i] = from.local_mass[i];
    row_stats.previous_mass[i] = from.previous_mass[i];
    row_stats.top1_mass[i] = from.top1_mass[i];
    row_stats.top1_key[i] = from.top1_key[i];
    row_stats.coverage_90[i] = from.coverage_90[i];
    row_stats.coverage_95[i] = from.coverage_95[i];
    row_stats.coverage_99[i] = from.coverage_99[i];
  }
}

void reduce_rows(const HeadInput& input, std::span<const float> lse, HeadReduction& into, Scratch& scratch) {
  float* queries = scratch.floats(slot_queries, query_block * input.keys->dim());
  float* scores = scratch.floats(slot_scores, score_floats);
  std::fill_n(scores, score_floats, 0.0f);

  for_query_blocks(input, [&](const HeadInput& rows, std::size_t r) {
    const ScoreBlock block{rows.first_query, 0, rows.queries.count, 0, scores + score_margin};
    reduce_query_block(rows, lse.subspan(r, block.rows), into, block, queries);
  });
}

}  // namespace attnscope
