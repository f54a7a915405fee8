// Values of the evaluated rows and what is said of them.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace attnscope {

/// Values of rows; NaN is left out on entry. Means of nothing are NaN.
class RowSample {
 public:
  void add(double x) {
    if (!std::isnan(x)) values_.push_back(x);
  }
  std::size_t size() const { return values_.size(); }

  double mean() const {
    double sum = 0;
    for (const double x : values_) sum += x;
    return values_.empty() ? none : sum / static_cast<double>(values_.size());
  }
  /// sd / sqrt(n), as for a simple random sample: rows are stratified, so the true error is at most about this.
  double standard_error() const {
    const double n = static_cast<double>(values_.size()), centre = mean();
    if (values_.size() < 2) return none;
    double squares = 0;
    for (const double x : values_) squares += (x - centre) * (x - centre);
    return std::sqrt(squares / (n - 1) / n);
  }
  /// Nearest rank: the smallest value that at least `share` of all values do not exceed.
  double percentile(double share) {
    if (values_.empty()) return none;
    const double n = static_cast<double>(values_.size());
    const auto rank = static_cast<std::ptrdiff_t>(std::clamp(std::ceil(share * n - 1e-9), 1.0, n)) - 1;
    std::nth_element(values_.begin(), values_.begin() + rank, values_.end());
    return values_[static_cast<std::size_t>(rank)];
  }

 private:
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> values_;
};

}  // namespace attnscope
