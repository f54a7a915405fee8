// Radix selection as arithmetic: bits that order as values do, and what is known of a threshold while its digits are found from the top.
#pragma once
#include "indices.h"

namespace attnscope::gpu {

/// Bits that order as floats do, from those of the float; NaN counts as -infinity and -0 as +0.
ATTNSCOPE_HD constexpr std::uint32_t ordered_bits(std::uint32_t bits) {
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) bits = 0xFF800000u;
  if (bits == 0x80000000u) bits = 0;
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
/// Above every value: what is kept whatever the scores say.
inline constexpr std::uint32_t forced_bits = ~0u;

/// Selected: keys above `key`, and the first `equals` of those that equal it.
struct Threshold {
  std::uint32_t key = 0, equals = 0;
};

/// The leading digits of the threshold that are known, and how many keys that begin with them are still to be selected.
struct RadixState {
  std::uint32_t prefix = 0, left = 0, low = 32;  // low: bits below the prefix
};
ATTNSCOPE_HD constexpr unsigned digit_bits(std::uint32_t low, unsigned bits) { return low < bits ? low : bits; }
/// Whether a key begins with what is known.
ATTNSCOPE_HD constexpr bool begins(const RadixState& state, std::uint32_t key) { return state.low >= 32 || key >> state.low == state.prefix; }
/// The next digit, of digit_bits(state.low, bits) bits.
ATTNSCOPE_HD constexpr std::uint32_t digit_of(const RadixState& state, std::uint32_t key, unsigned width) { return key >> (state.low - width) & ((1u << width) - 1); }

/// What lies before a place of the list.
struct Passed {
  std::uint32_t above = 0, equal = 0;
  /// How many of them are selected: where the next selected one is written.
  ATTNSCOPE_HD constexpr std::uint32_t selected(const Threshold& threshold) const { return above + lesser(equal, threshold.equals); }
};

}  // namespace attnscope::gpu
