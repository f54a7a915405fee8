// A warp or a block as a team that walks a list together. Every member calls every function.
#pragma once
#include "device.h"

namespace attnscope::gpu {

struct WarpTeam {
  static constexpr bool one_warp = true;
  ATTNSCOPE_DEVICE unsigned size() const { return warp_size; }
  ATTNSCOPE_DEVICE unsigned rank() const { return lane_index(); }
  ATTNSCOPE_DEVICE unsigned warps() const { return 1; }
  ATTNSCOPE_DEVICE unsigned warp() const { return 0; }
  ATTNSCOPE_DEVICE void sync() const { sync_warp(); }
  /// Sum of `value` over the warps before this one; `total` receives that of all. Lanes of a warp give the same value.
  ATTNSCOPE_DEVICE std::uint32_t before_warp(std::uint32_t value, std::uint32_t& total) const {
    total = value;
    return 0;
  }
};

/// `scratch`: 32 words of shared memory that nothing else uses.
struct BlockTeam {
  static constexpr bool one_warp = false;
  std::uint32_t* scratch;
  ATTNSCOPE_DEVICE unsigned size() const { return block_threads(); }
  ATTNSCOPE_DEVICE unsigned rank() const { return thread_index(); }
  ATTNSCOPE_DEVICE unsigned warps() const { return block_threads() / warp_size; }
  ATTNSCOPE_DEVICE unsigned warp() const { return warp_index(); }
  ATTNSCOPE_DEVICE void sync() const { sync_block(); }
  ATTNSCOPE_DEVICE std::uint32_t before_warp(std::uint32_t value, std::uint32_t& total) const {
    if (lane_index() == 0) scratch[warp_index()] = value;
    sync_block();
    std::uint32_t before = 0;
    total = 0;
    for (unsigned w = 0; w < warps(); ++w) {
      if (w == warp_index()) before = total;
      total += scratch[w];
    }
    sync_block();
    return before;
  }
};

/// Sum of `value` over the members before this one; `total` receives that of all.
template <class Team>
ATTNSCOPE_DEVICE std::uint32_t sum_before(const Team& team, std::uint32_t value, std::uint32_t& total) {
  std::uint32_t up_to = value;
#pragma unroll
  for (unsigned delta = 1; delta < warp_size; delta *= 2) {
    const std::uint32_t below = shuffle_up(up_to, delta);
    if (lane_index() >= delta) up_to += below;
  }
  return team.before_warp(shuffle(up_to, warp_size - 1), total) + up_to - value;
}

}  // namespace attnscope::gpu
