// Pass 2 of two: recompute p_ij = exp(q_i.k_j * scale - lse_i) block by block and reduce it to what a capture stores.
// The N x N map is never materialised. Sums within a row block are fp32, sums over rows fp64.
#pragma once
#include <span>
#include <vector>

#include "attention.h"

namespace attnscope {

/// What the reductions measure; recorded in the capture's manifest.
struct ReduceConfig {
  std::uint32_t total_tokens = 0;   // T: side of the map in tokens, prompt plus planned decode steps
  std::uint32_t cell = 1;           // base cell of the pyramid in tokens, a power of two
  std::uint32_t sink_tokens = 4;    // sink mass: mass on keys [0, sink_tokens)
  std::uint32_t local_tokens = 64;  // local mass: mass on the last local_tokens visible keys, the diagonal included
};

/// Per query row, in row order of the segment.
struct RowStats {
  std::vector<float> entropy;                // nats
  std::vector<float> sink_mass, local_mass;  // share of 1
  std::vector<float> previous_mass;          // p on the key before the query; 0 for query 0
  std::vector<float> top1_mass;              // largest p of the row
  std::vector<std::uint32_t> top1_key;       // its key; ties go to the lowest index
  std::vector<std::uint32_t> coverage_90, coverage_95, coverage_99;  // upper bound of the keys needed for that mass
};

/// Accumulators of one head over one segment of query rows [rows.begin, rows.end).
struct HeadReduction {
  HeadReduction(const ReduceConfig& config, TokenRange rows);
  /// Adds the accumulators of other rows of the same head and segment (disjoint rows; for work split over threads).
  void merge(const HeadReduction& other);

  ReduceConfig config;
  TokenRange rows;
  std::uint32_t cells = 0;             // ceil(total_tokens / cell)
  std::vector<double> cell_sum;        // [cells][cells] sum of p over visible pairs of this segment's rows
  std::vector<float> cell_max;         // [cells][cells]
  std::vector<double> column_sum;      // [rows.end] sum over rows of p_ij, by key j
  std::vector<double> diagonal_sum;    // [rows.end] sum over rows of p_ij, by distance i - j
  RowStats row_stats;                  // [rows.size()]
};

/// Reduces query rows [first_query, first_query + queries.count) of `input` into `into`; lse holds one value a row.
void reduce_rows(const HeadInput& input, std::span<const float> lse, HeadReduction& into, Scratch& scratch);

/// One level of the pyramid as means and maxima over visible pairs; cells that hold no visible pair of the segment
/// are NaN. Parents add sums and counts, never means.
struct PyramidLevel {
  std::uint32_t cell = 1, cells = 0;
  std::vector<float> mean, max;  // [cells][cells], row = query cell
};

/// Levels from coarsest to base: cell sizes base*2^k down to base, the coarsest being the first that fits in one tile
/// of `tile_edge` cells.
std::vector<PyramidLevel> build_pyramid(const HeadReduction& reduction, Visibility visibility, std::uint32_t tile_edge);

/// The level with edge x edge cells or fewer, for thumbnails, padded with NaN to edge x edge.
PyramidLevel build_thumbnail(const HeadReduction& reduction, Visibility visibility, std::uint32_t edge);

/// Copies tile (tile_row, tile_col) of a level, edge x edge cells, NaN outside the level.
void copy_tile(const PyramidLevel& level, std::uint32_t edge, std::uint32_t tile_row, std::uint32_t tile_col,
               std::span<float> mean, std::span<float> max);

/// Means over rows >= first_row of the head's row statistics, for the overview table.
struct HeadSummary {
  float entropy = 0, sink_mass = 0, local_mass = 0, top1_mass = 0, previous_mass = 0;
  float coverage_90 = 0, coverage_95 = 0, coverage_99 = 0;
};
HeadSummary summarize(const HeadReduction& reduction, std::uint32_t first_row);

}  // namespace attnscope
