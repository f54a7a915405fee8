#include "row_coverage.h"

namespace attnscope {
namespace {

constexpr int coverage_queries = 8, coverage_scores = 9;  // slots of reduce.cpp: a thread is in one of the two

/// Scores of one row to p, in place.
void exponentiate(const ScoreBlock& block, std::size_t r, float lse) {
  float* row = block.row(r);
  for (std::size_t k = 0; k < block.keys; k += simd::lanes) simd::store(row + k, simd::exp(simd::load(row + k) - simd::splat(lse)));
}

/// One block of queries against all keys it sees.
void cover_query_block(const HeadInput& input, std::span<const float> lse, CoverageRows out, const MayMatter& may_matter, ScoreBlock block,
                       float* queries) {
  CoverageHistogram histograms[query_block];
  for (std::size_t r = 0; r < block.rows; ++r) {
    const auto query = static_cast<std::uint32_t>(block.first_query + r);
    histograms[r].clear(query + 1 - input.visibility.first_key(query));
  }
  const float threshold = histograms[block.rows - 1].threshold();  // the lowest: the last row sees the most keys
  scale_queries(input.queries, input.scale, queries);

  const auto end_query = static_cast<std::uint32_t>(block.first_query + block.rows);
  for_visible_keys(block.first_query, end_query, input.visibility, [&](std::uint32_t first_key, std::size_t keys) {
    const std::uint32_t end_key = std::min(end_query, first_key + static_cast<std::uint32_t>(keys));
    if (may_matter && !may_matter({block.first_query, end_query}, {first_key, end_key}, threshold)) return;
    block.first_key = first_key;
    block.keys = keys;
    compute_scores(queries, input.keys->panel(first_key / panel_width), input.keys->dim(), input.visibility, block);
    for (std::size_t r = 0; r < block.rows; r += interleaved_rows) {
      const std::size_t n = std::min(interleaved_rows, block.rows - r);
      for (std::size_t i = r; i < r + n; ++i) exponentiate(block, i, lse[i]);
      fill_histograms(block, r, n, [&](std::size_t i) -> CoverageHistogram& { return histograms[i]; });
    }
  });
  for (std::size_t r = 0; r < block.rows; ++r) {
    out.coverage_90[r] = histograms[r].bound(0.90);
    out.coverage_95[r] = histograms[r].bound(0.95);
    out.coverage_99[r] = histograms[r].bound(0.99);
  }
}

}  // namespace

void coverage_rows(const HeadInput& input, std::span<const float> lse, CoverageRows out, const MayMatter& may_matter, Scratch& scratch) {
  float* queries = scratch.floats(coverage_queries, query_block * input.keys->dim());
  float* scores = scratch.floats(coverage_scores, score_floats);
  for_query_blocks(input, [&](const HeadInput& rows, std::size_t r) {
    const ScoreBlock block{rows.first_query, 0, rows.queries.count, 0, scores + score_margin};
    cover_query_block(rows, lse.subspan(r, rows.queries.count), {out.coverage_90 + r, out.coverage_95 + r, out.coverage_99 + r}, may_matter, block, queries);
  });
}

}  // namespace attnscope
