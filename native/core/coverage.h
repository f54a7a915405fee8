// How many keys hold a given share of a row's mass: an upper bound from a 64-bin logarithmic histogram of p.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>

#include "coverage_bins.h"
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
    threshold_ = coverage::threshold(visible_keys);
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

  /// An upper bound of the smallest number of keys whose p sum to `share` (coverage_bins.h).
  std::uint32_t bound(double share) const {
    return coverage::bound(
        share, visible_, coverage::lowest_bin, [this](std::uint32_t bin) { return words_[bin] == 0 ? 0 : words_[bin] / key_of(bin); },
        [this](std::uint32_t bin, std::uint64_t count) { return coverage::mass_of(bin, count, words_[bin] - count * key_of(bin)); });
  }

 private:
  static constexpr int low_bits = coverage::low_bits;
  static constexpr std::uint64_t one_key = std::uint64_t{1} << 43;
  static constexpr std::uint32_t bins = 256;  // p has no sign and is below 1.5; the bits of NaN are cut to bin 255
  std::uint64_t words_[bins];
  std::uint32_t visible_ = 0;
  float threshold_ = 0;

  static std::uint64_t key_of(std::uint32_t bin) { return one_key + (std::uint64_t{bin} << low_bits); }
};

}  // namespace attnscope
