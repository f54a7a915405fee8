#include "host/policy_compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace attnscope {

std::uint32_t most_likely(std::span<const float> logits) {
  return static_cast<std::uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

double log_sum_exp(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - top);
  return top + std::log(sum);
}

double divergence(std::span<const float> dense, std::span<const float> policy) {
  const double dense_sum = log_sum_exp(dense), policy_sum = log_sum_exp(policy);
  double sum = 0;
  for (std::size_t i = 0; i < dense.size(); ++i) {
    const double log_p = dense[i] - dense_sum;
    sum += std::exp(log_p) * (log_p - (policy[i] - policy_sum));
  }
  return std::max(sum, 0.0);  // rounding alone can make it negative
}

double relative_difference(std::span<const float> a, std::span<const float> b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    size += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return difference == 0 ? 0 : std::sqrt(difference / size);
}

void summarise_rows(PolicyRunResult& result) {
  auto& s = result.summary;
  const std::size_t rows = result.kl.size();
  s.delta_nll = s.kl_mean = s.kl_p99 = s.top1_agreement = s.perplexity_ratio = std::numeric_limits<double>::quiet_NaN();
  if (rows == 0) return;
  double delta = 0, same = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    delta += static_cast<double>(result.dense_log_probability[i]) - static_cast<double>(result.policy_log_probability[i]);
    same += result.policy_top1[i] == result.dense_top1[i];
  }
  const auto n = static_cast<double>(rows);
  s.delta_nll = delta / n;
  s.perplexity_ratio = std::exp(s.delta_nll);
  s.top1_agreement = same / n;
  s.kl_mean = std::accumulate(result.kl.begin(), result.kl.end(), 0.0) / n;
  std::vector<float> sorted = result.kl;
  std::sort(sorted.begin(), sorted.end());
  s.kl_p99 = sorted[static_cast<std::size_t>(std::ceil(0.99 * n)) - 1];
}

}  // namespace attnscope
