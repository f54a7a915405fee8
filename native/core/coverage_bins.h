// The bins of a row's coverage histogram and the bound that follows from them, for CPU (coverage.h) and GPU (cuda/coverage.cu), which
// differ in how they store a bin.
#pragma once
#include <cmath>
#include <cstdint>

#include "hd.h"

namespace attnscope::coverage {

/// A bin is the upper bits of p as a float: exponent and first mantissa bit. The rest of the mantissa:
inline constexpr int low_bits = 22;
inline constexpr std::uint32_t highest_bin = 254;  // [1, 1.5)
inline constexpr std::uint32_t lowest_bin = 191;   // [1.5, 2) * 2^-32

/// Values below it hold less than 0.008 of the row together, so that the others reach any share up to 0.99: leaving such values
/// out can only raise the bound.
ATTNSCOPE_HD inline float threshold(std::uint32_t visible_keys) { return 0.008f / static_cast<float>(visible_keys); }

/// Mass of `count` keys of a bin, given the sum of their low bits.
ATTNSCOPE_HD inline double mass_of(std::uint32_t bin, std::uint64_t count, std::uint64_t low_sum) {
  const std::uint64_t lower_edge = (std::uint64_t{2} + (bin & 1)) << low_bits;  // mantissa with its leading 1
  return std::ldexp(static_cast<double>(count * lower_edge + low_sum), static_cast<int>(bin >> 1) - 127 - 23);
}

/// An upper bound of the smallest number of keys whose p sum to `share`; count_of(bin), mass_of(bin, count) for bins from `lowest` on.
///
/// Going down from the largest p, whole bins are taken while they do not reach the target. In the bin that does, with c keys of
/// mass m, the k largest have a mean of at least m / c, so k = ceil(missing * c / m) of them hold what is missing. The set
/// so described reaches the target, hence the smallest set is no larger. Where the histogram does not reach it (values below
/// the threshold were left out), all visible keys are a bound.
/// The target is raised by 2e-5 of itself, the largest relative error of an fp32 p (scores of 50 nats, 1 unit in the
/// last place per product), so that the bound holds for the exact p as well.
template <class CountOf, class MassOf>
ATTNSCOPE_HD std::uint32_t bound(double share, std::uint32_t visible_keys, std::uint32_t lowest, CountOf count_of, MassOf mass_of) {
  const double target = share * (1 + 2e-5);
  double mass = 0;
  std::uint64_t keys = 0;
  for (std::uint32_t bin = highest_bin; bin >= lowest; --bin) {
    const std::uint64_t count = count_of(bin);
    if (count == 0) continue;
    const double bin_mass = mass_of(bin, count);
    if (mass + bin_mass >= target) {
      const double needed = std::ceil((target - mass) * static_cast<double>(count) / bin_mass);
      const std::uint64_t taken = needed < 1 ? 1 : static_cast<std::uint64_t>(needed);
      return static_cast<std::uint32_t>(keys + (taken < count ? taken : count));
    }
    mass += bin_mass;
    keys += count;
  }
  return visible_keys;
}

}  // namespace attnscope::coverage
