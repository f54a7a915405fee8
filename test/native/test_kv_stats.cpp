#include "core/kv_stats.h"

#include <algorithm>

#include "check.h"
#include "reference.h"

using namespace attnscope;
using reference::Matrix;

namespace {

/// The definition, word by word: normalise a token of partition p per channel by min and max of partition p + 1 over its
/// tokens, then the unbiased standard deviation over channels.
std::vector<double> lag_by_definition(const Matrix& x, std::size_t sink, std::size_t lag) {
  std::vector<double> std(x.rows, NAN);
  if (x.rows < sink) return std;
  const std::size_t partitions = (x.rows - sink) / lag;
  for (std::size_t p = 0; p + 1 < partitions; ++p)
    for (std::size_t t = sink + p * lag; t < sink + (p + 1) * lag; ++t) {
      std::vector<double> z;
      for (std::size_t c = 0; c < x.columns; ++c) {
        double low = INFINITY, high = -INFINITY;
        for (std::size_t u = sink + (p + 1) * lag; u < sink + (p + 2) * lag; ++u) {
          low = std::min<double>(low, x.row(u)[c]);
          high = std::max<double>(high, x.row(u)[c]);
        }
        if (high - low >= 1e-12) z.push_back((x.row(t)[c] - low) / (high - low));
      }
      double mean = 0, squares = 0;
      for (double v : z) mean += v / static_cast<double>(z.size());
      for (double v : z) squares += (v - mean) * (v - mean);
      std[t] = std::sqrt(squares / static_cast<double>(z.size() - 1));
    }
  return std;
}

}  // namespace

TEST("LagKV's channel deviation equals its definition; tokens without reference are NaN") {
  for (std::size_t n : {3u, 20u, 36u, 37u, 100u, 150u}) {
    const Matrix x = reference::random_matrix(n, 10, 1, 3);
    std::vector<float> got(n);
    lag_channel_std(x.view(), 4, 16, got);
    const std::vector<double> expected = lag_by_definition(x, 4, 16);
    for (std::size_t i = 0; i < n; ++i) CHECK_NEAR(got[i], expected[i], 1e-6, 0);
  }
}

TEST("a constant channel in the reference is left out instead of spreading NaN") {
  Matrix x = reference::random_matrix(36, 6, 2);
  for (std::size_t t = 20; t < 36; ++t) x.data[t * 6 + 3] = 0.5f;
  std::vector<float> got(36);
  lag_channel_std(x.view(), 4, 16, got);
  const std::vector<double> expected = lag_by_definition(x, 4, 16);
  for (std::size_t t = 0; t < 36; ++t) CHECK_NEAR(got[t], expected[t], 1e-6, 0);
  CHECK(std::isfinite(got[4]));
}

TEST("norms, page bounds and pooled rows, last page ragged") {
  const std::size_t n = 37, dim = 5;
  const Matrix x = reference::random_matrix(n, dim, 3);
  std::vector<float> norms(n), low(3 * dim), high(3 * dim), pooled(3 * dim);
  row_norms(x.view(), norms);
  page_bounds(x.view(), 16, low, high);
  pool_rows(x.view(), 16, {pooled.data(), 3, dim, dim});
  for (std::size_t i = 0; i < n; ++i) CHECK_NEAR(norms[i], std::sqrt(reference::dot(x.row(i), x.row(i), dim)), 1e-7, 0);
  for (std::size_t page = 0; page < 3; ++page)
    for (std::size_t c = 0; c < dim; ++c) {
      double lowest = INFINITY, highest = -INFINITY, sum = 0;
      const std::size_t end = std::min(n, page * 16 + 16);
      for (std::size_t i = page * 16; i < end; ++i) {
        lowest = std::min<double>(lowest, x.row(i)[c]);
        highest = std::max<double>(highest, x.row(i)[c]);
        sum += x.row(i)[c];
      }
      CHECK_EQUAL(low[page * dim + c], lowest);
      CHECK_EQUAL(high[page * dim + c], highest);
      CHECK_NEAR(pooled[page * dim + c], sum / static_cast<double>(end - page * 16), 1e-6, 1e-7);
    }
}

TEST("channel statistics, with a mean far from zero and one outlier channel") {
  const std::size_t n = 300, dim = 8;
  Matrix x = reference::random_matrix(n, dim, 4);
  for (std::size_t i = 0; i < n; ++i) {
    x.data[i * dim + 1] += 1000;  // mean and outlier
    x.data[i * dim + 2] -= 0.5f;
  }
  const ChannelStats stats = channel_stats(x.view());
  for (std::size_t c = 0; c < dim; ++c) {
    double mean = 0, variance = 0, absmax = 0;
    for (std::size_t i = 0; i < n; ++i) mean += x.row(i)[c] / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
      variance += (x.row(i)[c] - mean) * (x.row(i)[c] - mean) / static_cast<double>(n);
      absmax = std::max<double>(absmax, std::fabs(x.row(i)[c]));
    }
    CHECK_NEAR(stats.mean[c], mean, 1e-6, 1e-7);
    CHECK_NEAR(stats.variance[c], variance, 1e-6, 0);
    CHECK_EQUAL(stats.absmax[c], absmax);
  }
  CHECK_EQUAL(stats.outlier_share, 1.0f / 8);
}

TEST("mean and population covariance, symmetric, rows not a multiple of the group") {
  const std::size_t n = 101, dim = 7;
  Matrix x = reference::random_matrix(n, dim, 5);
  for (std::size_t i = 0; i < n; ++i) x.data[i * dim] += 0.7f * x.data[i * dim + 4] + 20;
  const MeanCovariance got = mean_covariance(x.view());
  std::vector<double> mean(dim);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t c = 0; c < dim; ++c) mean[c] += x.row(i)[c] / static_cast<double>(n);
  for (std::size_t a = 0; a < dim; ++a) {
    CHECK_NEAR(got.mean[a], mean[a], 1e-6, 1e-7);
    for (std::size_t b = 0; b < dim; ++b) {
      double expected = 0;
      for (std::size_t i = 0; i < n; ++i) expected += (x.row(i)[a] - mean[a]) * (x.row(i)[b] - mean[b]) / static_cast<double>(n);
      CHECK_NEAR(got.covariance[a * dim + b], expected, 1e-6, 1e-7);
      CHECK_EQUAL(got.covariance[a * dim + b], got.covariance[b * dim + a]);
    }
  }
}
