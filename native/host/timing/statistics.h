// What is kept of the repetitions of one measurement.
#pragma once
#include <cstdint>
#include <vector>

namespace attnscope {

/// Quantiles by nearest rank: the smallest value that at least that share of all does not exceed. NaN where there is no value.
struct TimeStatistics {
  std::uint32_t count = 0;
  double median = 0, p10 = 0, p90 = 0, min = 0, mean = 0;
};
TimeStatistics time_statistics(std::vector<double> values);

}  // namespace attnscope
