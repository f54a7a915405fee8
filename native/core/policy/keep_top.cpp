#include "core/policy/keep_top.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace attnscope {

template <class T>
void keep_top(std::span<const T> score, std::size_t k, std::span<std::uint8_t> kept) {
  if (k >= score.size()) {
    std::fill(kept.begin(), kept.end(), std::uint8_t{1});
    return;
  }
  std::fill(kept.begin(), kept.end(), std::uint8_t{0});
  if (k == 0) return;
  std::vector<std::uint32_t> order(score.size());
  std::iota(order.begin(), order.end(), 0u);
  // A strict total order even with NaN, as nth_element demands.
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    const bool missing_a = std::isnan(score[a]), missing_b = std::isnan(score[b]);
    if (missing_a != missing_b) return missing_b;
    if (!missing_a && score[a] != score[b]) return score[a] > score[b];
    return a < b;
  };
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k - 1), order.end(), before);
  for (std::size_t i = 0; i < k; ++i) kept[order[i]] = 1;
}

template void keep_top(std::span<const float>, std::size_t, std::span<std::uint8_t>);
template void keep_top(std::span<const double>, std::size_t, std::span<std::uint8_t>);

void dropped_slots(std::span<const std::uint8_t> kept, std::size_t first, std::vector<std::uint32_t>& out) {
  for (std::size_t i = 0; i < kept.size(); ++i)
    if (!kept[i]) out.push_back(static_cast<std::uint32_t>(first + i));
}

}  // namespace attnscope
