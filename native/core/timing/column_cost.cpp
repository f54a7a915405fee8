#include "core/timing/column_cost.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace attnscope {
namespace column_costs {

/// Normal equations of sum (1 - f . coefficients)^2 in features of unit length: gram[i][j] = f_i . f_j, right[i] = f_i . 1.
struct Equations {
  std::array<std::array<double, 3>, 3> gram{};
  std::array<double, 3> right{}, length{};
};

Equations equations(const TimingPoints& points, std::span<const std::uint32_t> chosen) {
  Equations out;
  const auto features = [&](std::uint32_t i) {
    const double t = points.median_us[i];
    return std::array<double, 3>{1 / t, points.work[i] / t, points.column_work[i] / t};
  };
  for (const std::uint32_t i : chosen) {
    const std::array<double, 3> f = features(i);
    for (int a = 0; a < 3; ++a) out.length[a] += f[a] * f[a];
  }
  for (double& length : out.length) length = std::sqrt(length);
  for (const std::uint32_t i : chosen) {
    const std::array<double, 3> f = features(i);
    for (int a = 0; a < 3; ++a) {
      out.right[a] += f[a] / out.length[a];
      for (int b = 0; b < 3; ++b) out.gram[a][b] += f[a] / out.length[a] * (f[b] / out.length[b]);
    }
  }
  return out;
}

/// Coefficients of features [first, 3) by elimination; false where they cannot be told apart. Features are nearly parallel
/// where one explains all but a ten-thousandth of another's square.
bool solve(Equations e, int first, std::array<double, 3>& out) {
  for (int pivot = first; pivot < 3; ++pivot) {
    if (e.gram[pivot][pivot] < 1e-4) return false;
    for (int row = pivot + 1; row < 3; ++row) {
      const double factor = e.gram[row][pivot] / e.gram[pivot][pivot];
      for (int column = pivot; column < 3; ++column) e.gram[row][column] -= factor * e.gram[pivot][column];
      e.right[row] -= factor * e.right[pivot];
    }
  }
  for (int row = 2; row >= first; --row) {
    out[row] = e.right[row];
    for (int column = row + 1; column < 3; ++column) out[row] -= e.gram[row][column] * out[column];
    out[row] /= e.gram[row][row];
  }
  for (int i = first; i < 3; ++i) out[i] /= e.length[i];
  return true;
}

}  // namespace column_costs

double column_cost(const TimingPoints& points, std::span<const std::uint32_t> chosen) {
  const auto has = [&](std::span<const double> values) { return std::any_of(chosen.begin(), chosen.end(), [&](std::uint32_t i) { return values[i] > 0; }); };
  if (!has(points.column_work) || !has(points.work)) return 1;
  const column_costs::Equations e = column_costs::equations(points, chosen);
  std::array<double, 3> fit{};
  // A start-up cost below zero is noise: without it.
  if ((!column_costs::solve(e, 0, fit) || fit[0] < 0) && !column_costs::solve(e, 1, fit)) return 1;
  return fit[1] > 0 ? std::clamp(fit[2] / fit[1], 1.0 / 64, 64.0) : 1;
}

}  // namespace attnscope
