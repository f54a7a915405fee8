// MagicPIG (arXiv 2410.16179): sampling budgets, table sizes, bytes of a step and the latency of its table 7, recomputed.
#pragma once
#include <vector>

#include "tools/published_tables/row.h"

namespace attnscope::published_tables {

/// Closed form at a right angle, the sampled share of its table 9 under cosines ~ N(0, 0.11^2), u by cosine, table and step
/// bytes, and the least-squares fit of latency over the sampled share.
std::vector<Row> retrieval_rows();

/// Mean of the closed form over cosines ~ N(mean, deviation^2), clipped to [-1, 1].
double expected_share(double mean, double deviation, std::uint32_t K, std::uint32_t L, std::uint32_t min_tables = 2);

/// y = intercept + slope x by least squares.
struct Line {
  double intercept, slope, r_squared;
};
Line fit_line(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace attnscope::published_tables
