// The closed form of lsh.h tabulated over the cosine: a row asks for it for every key, and it costs 150 ns.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/policy/lsh.h"
#include "core/simd.h"

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

  /// Sum of u over n keys, each linear between 4,097 points (1e-5 relative over the cosines of a head): cosine i is
  /// (score[i] * scale - shift) * weight[i], kept within [-1, 1], 0 for NaN.
  double sum_u(const float* score, float scale, float shift, const float* weight, std::size_t n) const {
    using namespace simd;
    double sum = 0;
    alignas(32) float padded[2][lanes] = {};
    for (std::size_t i = 0; i < n; i += lanes) {
      const std::size_t left = n - i < lanes ? n - i : lanes;
      if (left < lanes) {
        std::copy(score + i, score + n, padded[0]);
        std::copy(weight + i, weight + n, padded[1]);
      }
      f32x8 c = left < lanes ? (load(padded[0]) * splat(scale) - splat(shift)) * load(padded[1])
                             : (load(score + i) * splat(scale) - splat(shift)) * load(weight + i);
      c = as_float(as_int(c) & (c == c));
      c = max(splat(-1.0f), c);
      c = splat(0.0f) - max(splat(-1.0f), splat(0.0f) - c);
      const f32x8 x = (c + splat(1.0f)) * splat(intervals / 2.0f);
      const i32x8 at = __builtin_convertvector(x, i32x8);
      f32x8 low, high;  // at cosine 1 the upper neighbour counts nothing
      for (std::size_t j = 0; j < lanes; ++j) low[j] = u_[at[j]], high[j] = u_[at[j] + 1];
      const f32x8 u = low + (x - __builtin_convertvector(at, f32x8)) * (high - low);
      if (left == lanes) sum += horizontal_sum(u);
      else for (std::size_t j = 0; j < left; ++j) sum += u[j];
    }
    return sum;
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
