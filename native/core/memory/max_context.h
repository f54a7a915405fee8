// The longest context that fits. With a caching allocator that is no single number: a longer one can fit where a shorter one leaves
// its blocks in the way, so what is answered is a band.
#pragma once
#include <functional>

#include "core/memory/caching_allocator.h"
#include "core/memory/implementation.h"

namespace attnscope::memory {

struct ContextSearch {
  std::uint64_t budget = 0;          // bytes that segments may take: what torch sees of a device less its context
  std::uint32_t grid = 5000;         // tokens between lengths that are tried
  std::uint32_t confirm = 8;         // so many feasible lengths in a row end the search downwards; 0: down to the first
  bool expandable_segments = false;
};

struct ContextPoint {
  std::uint32_t tokens = 0;
  bool feasible = false;
  std::uint64_t peak_reserved = 0;
  OutOfMemory failure;               // where it is not
};

struct ContextBand {
  std::uint32_t by_bytes = 0;        // longest whose bytes asked for fit, wherever they lie: no allocator can pass it
  std::uint32_t all_below = 0;       // every tried length up to here fits
  std::uint32_t longest = 0;         // longest tried length that fits
  std::vector<ContextPoint> tried;   // ascending
};

/// The request at a length, so that what a policy keeps can follow it. prompt_tokens is set by the search.
using ConfigAt = std::function<Result<Config>(std::uint32_t tokens)>;

/// Replays the script at multiples of the grid, from the longest that bytes allow downwards. All 0 where not even one grid step
/// fits. E_MEMORY_CONFIG.
Result<ContextBand> max_context(const Implementation& implementation, const ConfigAt& config_at, const ContextSearch& search);

/// by_bytes alone: microseconds instead of seconds.
Result<std::uint32_t> max_context_by_bytes(const Implementation& implementation, const ConfigAt& config_at, const ContextSearch& search);

}  // namespace attnscope::memory
