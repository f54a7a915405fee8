// How many keys hold a given share of a row's mass: an upper bound from a 64-bin logarithmic histogram of p.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "simd.h"

namespace attnscope {

/// Bins are the upper bits of p as a float, exponent and first mantissa bit: two bins an octave ([1, 1.5) and [1.5, 2)
/// times a power of two); the 64 from 1.5 * 2^-32 up to 1 are read. A bin is one 64-bit word to which a key adds 2^43 plus
/// its own 32 bits: no clamping, no masking, one addition. All keys of a bin share their upper 10 bits, so the word is
/// count * (2^43 + bin * 2^22) + the sum of their 22 lower bits, and both parts follow by division for up to 2^20 keys (2^64
/// overflows past 2^21 of them). Nothing is rounded: count and mass are exact for the fp32 p.
class CoverageHistogram {
 public:
  void clear(std::uint32_t visible_keys) {
    std::fill(std::begin(words_), std::end(words_), 0);
    visible_ = visible_keys;
    threshold_ = 0.008f / static_cast<float>(visible_keys);
  }

  /// Adds 8 values of at least 0. All of them are skipped where none reaches 0.008 / visible keys: such values hold less than
  /// 0.008 of the row together, so the others still reach any share up to 0.99. Skipping can only raise the bound.
  ATTNSCOPE_INLINE void add(const float* p) {
    if (!simd::any(simd::load(p) >= simd::splat(threshold_))) return;
    for (std::size_t i = 0; i < simd::lanes; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(p[i]);
      words_[static_cast<std::uint8_t>(bits >> low_bits)] += one_key + bits;
    }
  }

  /// What the largest of 8 values must reach for them to be added.
  float threshold() const { return threshold_; }

  /// An upper bound of the smallest number of keys whose p sum to `share`.
  ///
  /// Going down from the largest p, whole bins are taken while they do not reach the target. In the bin that does, with c keys of
  /// mass m, the k largest have a mean of at least m / c, so k = ceil(missing * c / m) of them hold what is missing. The set
  /// so described reaches the target, hence the smallest set is no larger. Where the histogram does not reach it (values below
  /// the threshold were left out), all visible keys are a bound.
  /// The target is raised by 2e-5 of itself, the largest relative error of an fp32 p (scores of 50 nats, 1 unit in the
  /// last place per product), so that the bound holds for the exact p as well.
  std::uint32_t bound(double share) const {
    const double target = share * (1 + 2e-5);
    double mass = 0;
    std::uint64_t keys = 0;
    for (std::uint32_t bin = highest_bin; bin >= lowest_bin; --bin) {
      if (words_[bin] == 0) continue;
      const std::uint64_t count = words_[bin] / key_of(bin);
      const double bin_mass = mass_of(bin, count);
      if (mass + bin_mass >= target) {
        const double needed = std::ceil((target - mass) * static_cast<double>(count) / bin_mass);
        return static_cast<std::uint32_t>(keys + std::min(count, static_cast<std::uint64_t>(std::max(needed, 1.0))));
      }
      mass += bin_mass;
      keys += count;
    }
    return visible_;
  }

 private:
  static constexpr int low_bits = 22;
  static constexpr std::uint64_t one_key = std::uint64_t{1} << 43;
  static constexpr std::uint32_t bins = 256;          // p has no sign and is below 1.5; the bits of NaN are cut to bin 255
  static constexpr std::uint32_t highest_bin = 254;   // [1, 1.5)
  static constexpr std::uint32_t lowest_bin = 191;    // [1.5, 2) * 2^-32
  std::uint64_t words_[bins];
  std::uint32_t visible_ = 0;
  float threshold_ = 0;

  static std::uint64_t key_of(std::uint32_t bin) { return one_key + (std::uint64_t{bin} << low_bits); }

  double mass_of(std::uint32_t bin, std::uint64_t count) const {
    const std::uint64_t lower_edge = (std::uint64_t{2} + (bin & 1)) << low_bits;  // mantissa with its leading 1
    const std::uint64_t mantissas = count * lower_edge + (words_[bin] - count * key_of(bin));
    return std::ldexp(static_cast<double>(mantissas), static_cast<int>(bin >> 1) - 127 - 23);
  }
};

}  // namespace attnscope
