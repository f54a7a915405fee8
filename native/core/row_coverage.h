// Coverage of query rows by itself: the part of pass 2 (reduce.h) that fills histograms, and the pass that does nothing else.
#pragma once
#include <functional>
#include <span>

#include "coverage.h"
#include "score_block.h"

namespace attnscope {

/// Rows whose histograms are filled in turn: additions to one bin wait for each other through memory, those of other rows do not.
inline constexpr std::size_t interleaved_rows = 4;

/// Adds rows [first_row, first_row + rows) of a block of p to histogram_of(row).
template <class HistogramOf>
ATTNSCOPE_INLINE void fill_histograms(const ScoreBlock& block, std::size_t first_row, std::size_t rows, HistogramOf histogram_of) {
  for (std::size_t k = 0; k < block.keys; k += simd::lanes)
    for (std::size_t r = first_row; r < first_row + rows; ++r) histogram_of(r).add(block.row(r) + k);
}

/// Where the bounds of consecutive rows go.
struct CoverageRows {
  std::uint32_t *coverage_90 = nullptr, *coverage_95 = nullptr, *coverage_99 = nullptr;
};

/// Whether keys [first_key, end_key) may hold a p of at least `threshold` for a query of [first_query, end_query).
using MayMatter = std::function<bool(TokenRange queries, TokenRange keys, float threshold)>;

/// The bounds that reduce_rows() finds, bit for bit. Blocks for which `may_matter` says no are passed over; empty: none are.
void coverage_rows(const HeadInput& input, std::span<const float> lse, CoverageRows out, const MayMatter& may_matter, Scratch& scratch);

}  // namespace attnscope
