#include "host/timing/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "host/timing/timing_row.h"

namespace attnscope {

TimeStatistics time_statistics(std::vector<double> values) {
  if (values.empty()) return {0, kNotKnown, kNotKnown, kNotKnown, kNotKnown, kNotKnown};
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  // Shares in tenths, so that 0.1 * 30 is 3 and not a little more.
  const auto rank = [&](double tenths) { return values[static_cast<std::size_t>(std::max(1.0, std::ceil(tenths * count / 10))) - 1]; };
  return {static_cast<std::uint32_t>(values.size()), rank(5), rank(1), rank(9), values.front(), std::accumulate(values.begin(), values.end(), 0.0) / count};
}

}  // namespace attnscope
