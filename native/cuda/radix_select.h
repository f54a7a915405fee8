// The `count` largest of a list by radix selection on bits that order as the values do: digits of the count-th largest are found
// from the top, then what lies above it, and as many of its equals as are missing, is written in the list's order. The list
// is only read; equal values go to the lowest index; nothing depends on the order in which threads run.
#pragma once
#include "radix_digits.h"
#include "team.h"

namespace attnscope::gpu {

/// Copies of every bin, by lane: scores share their leading bits, and additions to one word wait for each other.
inline constexpr unsigned bin_copies = 4;

/// Counts the next digit of keys [begin, end) into bins[digit * bin_copies + copy], which it clears first.
template <unsigned Bits, class Team, class KeyOf>
ATTNSCOPE_DEVICE void count_digits(const Team& team, std::uint32_t* bins, const RadixState& state, std::uint32_t begin, std::uint32_t end, KeyOf key_of) {
  constexpr unsigned at_once = Team::one_warp ? 4 : 8;  // loads on their way: a block's come from global memory
  const unsigned width = digit_bits(state.low, Bits);
  for (unsigned i = team.rank(); i < bin_copies << width; i += team.size()) bins[i] = 0;
  team.sync();
  for (std::uint32_t first = begin; first < end; first += at_once * team.size()) {
    std::uint32_t key[at_once];
#pragma unroll
    for (unsigned u = 0; u < at_once; ++u) {
      const std::uint32_t i = first + u * team.size() + team.rank();
      key[u] = i < end ? key_of(i) : 0;
    }
#pragma unroll
    for (unsigned u = 0; u < at_once; ++u)
      if (first + u * team.size() + team.rank() < end && begins(state, key[u]))
        atomic_add(bins + digit_of(state, key[u], width) * bin_copies + team.rank() % bin_copies, 1u);
  }
  team.sync();
}

/// Goes one digit on: the one of the state.left-th largest of the counted keys. `result`: two words of shared memory.
template <unsigned Bits, class Team, class CountOf>
ATTNSCOPE_DEVICE void choose_digit(const Team& team, std::uint32_t* result, RadixState& state, CountOf count_of) {
  const unsigned width = digit_bits(state.low, Bits), bins = 1u << width, each = ceil_div(bins, team.size());
  // From the largest digit down, `each` bins a member.
  const unsigned begin = lesser(team.rank() * each, bins), end = lesser(begin + each, bins);
  std::uint32_t mine = 0, total;
  for (unsigned i = begin; i < end; ++i) mine += count_of(bins - 1 - i);
  std::uint32_t above = sum_before(team, mine, total);
  if (above < state.left && state.left <= above + mine) {
    unsigned i = begin;
    for (std::uint32_t here = count_of(bins - 1 - i); above + here < state.left; here = count_of(bins - 1 - i)) {
      above += here;
      ++i;
    }
    result[0] = bins - 1 - i;
    result[1] = state.left - above;
  }
  team.sync();
  state.prefix = state.prefix << width | result[0];
  state.left = result[1];
  state.low -= width;
  team.sync();
}

/// Threshold of the `count` largest of keys [0, entries), 1 <= count <= entries. `bins`: bin_copies << Bits words, `result`: two.
template <unsigned Bits, class Team, class KeyOf>
ATTNSCOPE_DEVICE Threshold find_threshold(const Team& team, std::uint32_t* bins, std::uint32_t* result, std::uint32_t entries, std::uint32_t count, KeyOf key_of) {
  RadixState state{0, count, 32};
  while (state.low > 0) {
    count_digits<Bits>(team, bins, state, 0, entries, key_of);
    choose_digit<Bits>(team, result, state, [bins](unsigned digit) {
      std::uint32_t sum = 0;
#pragma unroll
      for (unsigned copy = 0; copy < bin_copies; ++copy) sum += bins[digit * bin_copies + copy];
      return sum;
    });
  }
  return {state.prefix, state.left};
}

/// Goes through keys [begin, end) in order, tiles of 32 x Each to a warp, and calls visit(i, rank) for every selected one, rank
/// counting from what passed.selected() says. Returns what lies before `end`.
template <unsigned Each, class Team, class KeyOf, class Visit>
ATTNSCOPE_DEVICE Passed visit_selected(const Team& team, std::uint32_t begin, std::uint32_t end, const Threshold& threshold, Passed passed, KeyOf key_of, Visit visit) {
  const unsigned lane = lane_index();
  const std::uint32_t below = (1u << lane) - 1;
  for (std::uint32_t first = begin; first < end; first += Each * team.size()) {
    const std::uint32_t mine = first + team.warp() * Each * warp_size + lane;
    std::uint32_t above[Each], equal[Each], here = 0;  // here: of this warp, above in the low half, equal in the high half
#pragma unroll
    for (unsigned u = 0; u < Each; ++u) above[u] = mine + u * warp_size < end ? key_of(mine + u * warp_size) : 0;
#pragma unroll
    for (unsigned u = 0; u < Each; ++u) {
      const bool inside = mine + u * warp_size < end;
      const std::uint32_t key = above[u];
      above[u] = ballot(inside && key > threshold.key);
      equal[u] = ballot(inside && key == threshold.key);
      here += popcount(above[u]) | popcount(equal[u]) << 16;
    }
    std::uint32_t total;
    const std::uint32_t before = team.before_warp(here, total);
    Passed now{passed.above + (before & 0xFFFF), passed.equal + (before >> 16)};
#pragma unroll
    for (unsigned u = 0; u < Each; ++u) {
      const Passed at{now.above + popcount(above[u] & below), now.equal + popcount(equal[u] & below)};
      if ((above[u] >> lane & 1) != 0 || ((equal[u] >> lane & 1) != 0 && at.equal < threshold.equals)) visit(mine + u * warp_size, at.selected(threshold));
      now.above += popcount(above[u]);
      now.equal += popcount(equal[u]);
    }
    passed.above += total & 0xFFFF;
    passed.equal += total >> 16;
  }
  return passed;
}

}  // namespace attnscope::gpu
