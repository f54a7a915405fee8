#include "core/replay/cosines.h"

#include <algorithm>
#include <cmath>

#include "core/block_product.h"
#include "core/policy/lsh.h"

namespace attnscope {
namespace cosine_histograms {

/// `row` scaled to length 1, or 0 where it has none.
void normalise(const double* row, std::size_t dim, float* out) {
  double squares = 0;
  for (std::size_t c = 0; c < dim; ++c) squares += row[c] * row[c];
  const double factor = squares > 0 ? 1 / std::sqrt(squares) : 0;
  for (std::size_t c = 0; c < dim; ++c) out[c] = static_cast<float>(row[c] * factor);
}

/// Probability by cosine, linear between 16,385 points.
class ProbabilityTable {
 public:
  ProbabilityTable(std::uint32_t K, std::uint32_t L) : values_(steps + 2) {
    for (std::size_t i = 0; i <= steps; ++i) values_[i] = collision_probability(2.0 * static_cast<double>(i) / steps - 1, K, L);
    values_[steps + 1] = values_[steps];
  }
  double operator()(double cosine) const {
    const double x = (cosine + 1) * (steps / 2.0);
    const auto i = static_cast<std::size_t>(x);
    return values_[i] + (x - static_cast<double>(i)) * (values_[i + 1] - values_[i]);
  }

 private:
  static constexpr std::size_t steps = 16384;
  std::vector<double> values_;
};

}  // namespace cosine_histograms

HeadSession::CosineHistogram cosine_histogram(Rows queries, Rows keys, std::uint32_t bins, std::uint32_t K, std::uint32_t L) {
  using namespace cosine_histograms;
  constexpr std::size_t block = 256;
  const std::size_t dim = keys.dim;
  std::vector<double> mean(dim), centred(dim);
  for (std::size_t i = 0; i < keys.count; ++i)
    for (std::size_t c = 0; c < dim; ++c) mean[c] += keys.row(i)[c];
  for (double& m : mean) m /= static_cast<double>(keys.count);

  std::vector<float> unit_queries(queries.count * dim), unit_keys(block * dim), cosines(queries.count * block);
  for (std::size_t i = 0; i < queries.count; ++i) {
    std::copy_n(queries.row(i), dim, centred.begin());
    normalise(centred.data(), dim, unit_queries.data() + i * dim);
  }

  HeadSession::CosineHistogram result;
  result.counts.resize(bins);
  const ProbabilityTable probability(K, L);
  double sum = 0, squares = 0, sampled = 0;
  for (std::size_t begin = 0; begin < keys.count; begin += block) {
    const std::size_t n = std::min(block, keys.count - begin);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t c = 0; c < dim; ++c) centred[c] = keys.row(begin + i)[c] - mean[c];
      normalise(centred.data(), dim, unit_keys.data() + i * dim);
    }
    const KeyPanels panels({unit_keys.data(), n, dim, dim});
    block_product(unit_queries.data(), dim, queries.count, panels.data(), round_up(n, panel_width) / panel_width, dim, cosines.data(), block, false);
    for (std::size_t r = 0; r < queries.count; ++r)
      for (std::size_t i = 0; i < n; ++i) {
        const double cosine = std::clamp<double>(cosines[r * block + i], -1, 1);
        sum += cosine;
        squares += cosine * cosine;
        sampled += probability(cosine);
        result.counts[std::min<std::size_t>(bins - 1, static_cast<std::size_t>((cosine + 1) / 2 * bins))] += 1;
      }
  }
  const double pairs = static_cast<double>(queries.count) * static_cast<double>(keys.count);
  result.mean = sum / pairs;
  result.deviation = std::sqrt(std::max(0.0, squares / pairs - result.mean * result.mean));
  result.expected_share = sampled / pairs;
  return result;
}

}  // namespace attnscope
