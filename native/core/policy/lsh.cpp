#include "core/policy/lsh.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attnscope {
namespace lsh {

/// Binomial(L, i) P^i (1 - P)^(L - i), through logarithms: (1 - P)^L alone may underflow.
double binomial_term(std::uint32_t L, std::uint32_t i, double log_p, double log_q) {
  double log_ways = 0;
  for (std::uint32_t j = 0; j < i; ++j) log_ways += std::log(static_cast<double>(L - j) / (j + 1));
  return std::exp(log_ways + i * log_p + (L - i) * log_q);
}

}  // namespace lsh

double collision_probability(double cosine, std::uint32_t K, std::uint32_t L, std::uint32_t min_tables) {
  if (min_tables == 0) return 1;
  if (min_tables > L) return 0;
  // acos of the negative keeps its digits where the angle is close to pi and p close to 0.
  const double p = std::acos(-std::clamp(cosine, -1.0, 1.0)) / std::numbers::pi;
  const double P = std::pow(p, K);
  if (P <= 0) return 0;
  if (P >= 1) return 1;

  const double log_p = std::log(P), log_q = std::log1p(-P), mean = L * P;
  if (min_tables == 1) return -std::expm1(L * log_q);
  // 1 - (1-P)^(L-1) (1 + (L-1) P). The two logarithms cancel to L(L-1)P^2/2, which costs 1/(L P) of the precision.
  if (min_tables == 2 && mean > 0.01) return -std::expm1((L - 1.0) * log_q + std::log1p((L - 1.0) * P));
  if (mean < min_tables) {
    // The upper tail, all terms positive and soon falling.
    double term = lsh::binomial_term(L, min_tables, log_p, log_q), sum = term;
    for (std::uint32_t i = min_tables; i < L && term > sum * 1e-17; ++i) {
      term *= static_cast<double>(L - i) / (i + 1) * (P / (1 - P));
      sum += term;
    }
    return std::min(sum, 1.0);
  }
  double below = 0;
  for (std::uint32_t i = 0; i < min_tables; ++i) below += lsh::binomial_term(L, i, log_p, log_q);
  return std::max(1 - below, 0.0);
}

}  // namespace attnscope
