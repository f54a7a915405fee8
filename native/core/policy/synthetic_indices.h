// Columns and distances where no head tells them: uniform draws, and draws in runs, because what a slash costs depends on how
// many neighbours it has (a tile covers 64 distances, whether one of them or all are kept).
#pragma once
#include <cstdint>
#include <vector>

#include "core/policy/seeded.h"

namespace attnscope {

/// `count` distinct indices in [0, n), in the order drawn: [0, forced) first, then runs of `length` with random starts; what a run
/// shares with earlier ones counts once, and the last is cut to fit. 1: uniform. `length` >= count: one run anywhere; 0: one
/// run from index 0 on. count <= n.
std::vector<std::uint32_t> draw_runs(std::uint32_t n, std::uint32_t count, std::uint32_t length, std::uint32_t forced, const seeded::Stream& random);

}  // namespace attnscope
