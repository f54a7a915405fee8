// What retention policies share: the size of a layer's cache, and its two ends that no score decides about.
#pragma once
#include <algorithm>

#include "core/policy/policy.h"

namespace attnscope {

/// Slots of the layer: every head holds as many, heads that are not replayed hold none.
inline std::size_t resident_slots(std::span<const ResidentTokens> resident) {
  std::size_t n = 0;
  for (const ResidentTokens& head : resident) n = std::max(n, head.size());
  return n;
}

/// Slots [0, sinks) and [tail, n), as one span where they meet.
inline void resident_ends(std::size_t n, std::size_t sinks, std::size_t tail, std::vector<KeySpan>& spans) {
  const auto end = static_cast<std::uint32_t>(n);
  const auto first = static_cast<std::uint32_t>(std::min(sinks, n)), last = static_cast<std::uint32_t>(std::min(tail, n));
  if (last <= first) {
    if (n > 0) spans.push_back({0, end});
    return;
  }
  if (first > 0) spans.push_back({0, first});
  if (last < end) spans.push_back({last, end});
}

/// n less what is kept at its end; 0 where that is everything.
inline std::size_t before_last(std::size_t n, std::size_t recent) { return n - std::min(recent, n); }

}  // namespace attnscope
