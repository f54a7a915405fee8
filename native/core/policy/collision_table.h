// The closed form of lsh.h tabulated over the cosine: a row asks for it for every key, and it costs 150 ns.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/policy/lsh.h"

namespace attnscope::simhash {

class CollisionTable {
 public:
  CollisionTable(std::uint32_t K, std::uint32_t L, std::uint32_t min_tables) : K_(K), L_(L), min_tables_(min_tables), u_(intervals + 2), log_u_(intervals + 1) {
    for (std::uint32_t i = 0; i <= intervals; ++i) {
      const double u = collision_probability(-1 + i * step, K, L, min_tables);
      u_[i] = static_cast<float>(u);
      log_u_[i] = std::log(std::max(u, std::numeric_limits<double>::min()));
    }
  }

  /// u at a cosine in [-1, 1], linear between 4,097 points: 1e-5 relative over the cosines of a head. For sums.
  float u(float cosine) const {
    const float x = (cosine + 1) * (intervals / 2);
    const auto i = static_cast<std::int32_t>(x);  // signed: one instruction. At cosine 1 the upper neighbour counts nothing.
    return u_[i] + (x - static_cast<float>(i)) * (u_[i + 1] - u_[i]);
  }

  /// log u by cubic interpolation, error below 1e-6; from the closed form where the angle's own slope is steep. A key whose
  /// u rounds to 0 keeps a finite value.
  double log_u(float cosine) const {
    if (!(std::fabs(cosine) < 0.95f)) return std::log(std::max(collision_probability(cosine, K_, L_, min_tables_), std::numeric_limits<double>::min()));
    const double x = (cosine + 1.0) / step;
    const auto i = static_cast<std::int32_t>(x);
    const double t = x - i, *f = log_u_.data() + i - 1;
    return f[0] * (-t * (t - 1) * (t - 2) / 6) + f[1] * ((t + 1) * (t - 1) * (t - 2) / 2) - f[2] * ((t + 1) * t * (t - 2) / 2) + f[3] * ((t + 1) * t * (t - 1) / 6);
  }

 private:
  static constexpr std::uint32_t intervals = 4096;
  static constexpr double step = 2.0 / intervals;
  std::uint32_t K_, L_, min_tables_;
  std::vector<float> u_;
  std::vector<double> log_u_;
};

}  // namespace attnscope::simhash
