// Slow, plain fp64 attention that shares no code with the engine.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "core/views.h"

namespace reference {

struct Matrix {
  std::size_t rows = 0, columns = 0;
  std::vector<float> data;
  attnscope::Rows view() const { return {data.data(), rows, columns, columns}; }
  const float* row(std::size_t i) const { return data.data() + i * columns; }
};

inline Matrix random_matrix(std::size_t rows, std::size_t columns, unsigned seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  Matrix m{rows, columns, std::vector<float>(rows * columns)};
  for (float& x : m.data) x = normal(random);
  return m;
}

inline double dot(const float* a, const float* b, std::size_t n) {
  double sum = 0;
  for (std::size_t c = 0; c < n; ++c) sum += static_cast<double>(a[c]) * static_cast<double>(b[c]);
  return sum;
}

inline bool visible(std::size_t i, std::size_t j, std::size_t window) { return j <= i && (window == 0 || i - j < window); }

/// The whole map: p[i][j], 0 where not visible, and the log-sum-exp of each row.
struct Map {
  std::size_t n = 0;
  std::vector<double> p, lse;
  double at(std::size_t i, std::size_t j) const { return p[i * n + j]; }
};

inline Map attention_map(const Matrix& q, const Matrix& k, double scale, std::size_t window) {
  const std::size_t n = k.rows;
  Map map{n, std::vector<double>(n * n), std::vector<double>(n)};
  for (std::size_t i = 0; i < n; ++i) {
    double top = -std::numeric_limits<double>::infinity(), sum = 0;
    std::vector<double> score(n);
    for (std::size_t j = 0; j <= i; ++j) {
      if (!visible(i, j, window)) continue;
      score[j] = dot(q.row(i), k.row(j), k.columns) * scale;
      top = std::max(top, score[j]);
    }
    for (std::size_t j = 0; j <= i; ++j)
      if (visible(i, j, window)) sum += std::exp(score[j] - top);
    map.lse[i] = top + std::log(sum);
    for (std::size_t j = 0; j <= i; ++j)
      if (visible(i, j, window)) map.p[i * n + j] = std::exp(score[j] - map.lse[i]);
  }
  return map;
}

}  // namespace reference
