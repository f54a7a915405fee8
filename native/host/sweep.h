// Many policies on one head: every point and seed on its own, spread over threads that share the strip.
#pragma once
#include <functional>

#include "core/replay/session.h"
#include "host/cancellation.h"

namespace attnscope {

struct SweepPoint {
  PolicyChoice policy;
  Schedule schedule;
  std::uint32_t seeds = 1;  // sampled policies run with seeds 0 .. seeds - 1, others once
};

/// [points][kMetrics]: means over seeds and their standard deviations (n - 1 in the denominator; NaN with one seed). A
/// metric that is NaN for one seed is NaN.
struct SweepResult {
  std::vector<double> mean, deviation;
  double seconds = 0;
};

/// Results do not depend on the number of threads. Needs the complete strip (E_REPLAY_ORDER); `session` may be used by
/// nobody else meanwhile. `progress` is called on the caller's thread with the number of points done. E_CANCELLED on
/// request; a point that fails ends the sweep with its error, the first of the points that did.
Result<SweepResult> sweep(HeadSession& session, std::span<const SweepPoint> points, unsigned threads, const Cancellation& cancellation,
                          const std::function<void(std::size_t)>& progress = {});

}  // namespace attnscope
