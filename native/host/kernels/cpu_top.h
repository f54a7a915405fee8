// The largest of n scores by radix selection: three passes over the digits find the smallest that is kept, one more visits them.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace attnscope::cpu {

/// An integer that orders as the scores do: NaN as -infinity, -0 as 0.
inline std::uint32_t order_of(float score) {
  const auto bits = std::bit_cast<std::uint32_t>(score != score ? -INFINITY : score + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/// What to keep: all above `threshold`, and the first `ties` of those that equal it.
struct TopCut {
  std::uint32_t threshold = 0, ties = 0;
};

/// For the `count` largest of n values, 1 <= count <= n. Digits of 11, 11 and 10 bits: a histogram of 8 KB stays in L1.
TopCut find_cut(const std::uint32_t* value, std::size_t n, std::uint32_t count);

/// visit(i) for the `count` largest of n values in ascending order of i, ties to the lowest; count <= n.
template <class Visit>
void for_top(const std::uint32_t* value, std::size_t n, std::uint32_t count, Visit visit) {
  if (count == 0) return;
  TopCut cut = find_cut(value, n, count);
  for (std::size_t i = 0; count > 0; ++i) {
    if (value[i] < cut.threshold) continue;
    const bool tie = value[i] == cut.threshold;
    if (tie && cut.ties == 0) continue;
    cut.ties -= tie;
    visit(static_cast<std::uint32_t>(i));
    --count;
  }
}

}  // namespace attnscope::cpu
