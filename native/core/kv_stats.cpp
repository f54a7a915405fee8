#include "kv_stats.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/policy/lag_score.h"

namespace attnscope {

void row_norms(Rows rows, std::span<float> norms) {
  for (std::size_t i = 0; i < rows.count; ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < rows.dim; ++c) sum += static_cast<double>(rows.row(i)[c]) * rows.row(i)[c];
    norms[i] = static_cast<float>(std::sqrt(sum));
  }
}

namespace {

/// Smallest and largest value of every channel over the rows.
void channel_bounds(Rows rows, float* low, float* high) {
  std::copy_n(rows.row(0), rows.dim, low);
  std::copy_n(rows.row(0), rows.dim, high);
  for (std::size_t i = 1; i < rows.count; ++i)
    for (std::size_t c = 0; c < rows.dim; ++c) {
      low[c] = std::min(low[c], rows.row(i)[c]);
      high[c] = std::max(high[c], rows.row(i)[c]);
    }
}

}  // namespace

void lag_channel_std(Rows rows, std::uint32_t sink, std::uint32_t lag, std::span<float> std) {
  std::fill(std.begin(), std.end(), std::numeric_limits<float>::quiet_NaN());
  if (lag == 0 || rows.count < sink) return;
  const std::size_t partitions = (rows.count - sink) / lag;
  std::vector<float> low(rows.dim);
  std::vector<double> scale(rows.dim);
  for (std::size_t p = 0; p + 1 < partitions; ++p) {
    const std::size_t begin = sink + p * lag;
    lag_deviation(rows.slice(begin, lag), rows.slice(begin + lag, lag), low, scale, std.subspan(begin, lag));
  }
}

void page_bounds(Rows rows, std::uint32_t page_tokens, std::span<float> page_min, std::span<float> page_max) {
  for (std::size_t begin = 0, page = 0; begin < rows.count; begin += page_tokens, ++page) {
    const std::size_t n = std::min<std::size_t>(page_tokens, rows.count - begin);
    channel_bounds(rows.slice(begin, n), page_min.data() + page * rows.dim, page_max.data() + page * rows.dim);
  }
}

ChannelStats channel_stats(Rows rows) {
  ChannelStats stats{std::vector<float>(rows.dim), std::vector<float>(rows.dim), std::vector<float>(rows.dim), 0};
  if (rows.count == 0) return stats;
  const auto n = static_cast<double>(rows.count);

  std::vector<double> mean(rows.dim), deviation(rows.dim);
  for (std::size_t i = 0; i < rows.count; ++i)
    for (std::size_t c = 0; c < rows.dim; ++c) {
      const float x = rows.row(i)[c];
      mean[c] += x;
      stats.absmax[c] = std::max(stats.absmax[c], std::fabs(x));
    }
  for (double& m : mean) m /= n;
  for (std::size_t i = 0; i < rows.count; ++i)
    for (std::size_t c = 0; c < rows.dim; ++c) {
      const double d = rows.row(i)[c] - mean[c];
      deviation[c] += d * d;
    }

  std::vector<double> rms(rows.dim);
  for (std::size_t c = 0; c < rows.dim; ++c) {
    stats.mean[c] = static_cast<float>(mean[c]);
    stats.variance[c] = static_cast<float>(deviation[c] / n);
    rms[c] = std::sqrt(deviation[c] / n + mean[c] * mean[c]);
  }
  std::vector<double> sorted = rms;
  std::sort(sorted.begin(), sorted.end());
  const double median = 0.5 * (sorted[(rows.dim - 1) / 2] + sorted[rows.dim / 2]);
  const auto outliers = std::count_if(rms.begin(), rms.end(), [&](double x) { return x > 4 * median; });
  stats.outlier_share = static_cast<float>(static_cast<double>(outliers) / static_cast<double>(rows.dim));
  return stats;
}

void add_centred_products(Rows rows, std::span<const double> centre, std::span<double> product) {
  // Eight centred rows at a time: each product is loaded and stored once for eight updates.
  constexpr std::size_t group = 8;
  const std::size_t dim = rows.dim;
  std::vector<double> centred(group * dim);
  for (std::size_t begin = 0; begin < rows.count; begin += group) {
    for (std::size_t g = 0; g < group; ++g)
      for (std::size_t c = 0; c < dim; ++c)
        centred[g * dim + c] = begin + g < rows.count ? rows.row(begin + g)[c] - centre[c] : 0.0;
    for (std::size_t a = 0; a < dim; ++a) {
      double* out = product.data() + a * dim;
      const double* x = centred.data();
      for (std::size_t b = a; b < dim; ++b) {
        double sum = out[b];
        for (std::size_t g = 0; g < group; ++g) sum += x[g * dim + a] * x[g * dim + b];
        out[b] = sum;
      }
    }
  }
}

MeanCovariance mean_covariance(Rows rows) {
  const std::size_t dim = rows.dim;
  MeanCovariance result{std::vector<float>(dim), std::vector<float>(dim * dim)};
  if (rows.count == 0) return result;
  const auto n = static_cast<double>(rows.count);

  std::vector<double> mean(dim), product(dim * dim);
  for (std::size_t i = 0; i < rows.count; ++i)
    for (std::size_t c = 0; c < dim; ++c) mean[c] += rows.row(i)[c];
  for (double& m : mean) m /= n;
  add_centred_products(rows, mean, product);
  for (std::size_t a = 0; a < dim; ++a) {
    result.mean[a] = static_cast<float>(mean[a]);
    for (std::size_t b = a; b < dim; ++b)
      result.covariance[a * dim + b] = result.covariance[b * dim + a] = static_cast<float>(product[a * dim + b] / n);
  }
  return result;
}

void pool_rows(Rows rows, std::uint32_t block, MutableRows out) {
  std::vector<double> sum(rows.dim);
  for (std::size_t begin = 0, b = 0; begin < rows.count; begin += block, ++b) {
    const std::size_t n = std::min<std::size_t>(block, rows.count - begin);
    std::fill(sum.begin(), sum.end(), 0.0);
    for (std::size_t i = begin; i < begin + n; ++i)
      for (std::size_t c = 0; c < rows.dim; ++c) sum[c] += rows.row(i)[c];
    for (std::size_t c = 0; c < rows.dim; ++c) out.row(b)[c] = static_cast<float>(sum[c] / static_cast<double>(n));
  }
}

}  // namespace attnscope
