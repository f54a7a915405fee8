// Tells the sink how far the run is, at most every 80 ms.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>

#include "host/capture_sink.h"

namespace attnscope {

/// Visible pairs of `rows` query rows from position `first`: the unit in which attention's progress is counted.
inline std::uint64_t causal_pairs(std::uint64_t first, std::uint64_t rows) { return rows * first + rows * (rows + 1) / 2; }

class ProgressReporter {
 public:
  explicit ProgressReporter(CaptureSink& sink) : sink_(sink) {}

  /// Begins the next item (layer or step) of a phase, worth `work` units. Always reported.
  void begin(Phase phase, std::uint32_t done, std::uint32_t total, std::uint64_t work) {
    state_ = {phase, done, total, 0};
    work_ = std::max<std::uint64_t>(work, 1);
    finished_ = 0;
    report();
  }
  /// Work finished; any thread.
  void advance(std::uint64_t work) { finished_.fetch_add(work, std::memory_order_relaxed); }
  /// Reports if the last report is old enough; the capture's thread only.
  void heartbeat() {
    if (Clock::now() - last_ >= std::chrono::milliseconds(80)) report();
  }

 private:
  using Clock = std::chrono::steady_clock;
  void report() {
    state_.fraction = std::min(1.0, double(finished_.load(std::memory_order_relaxed)) / double(work_));
    last_ = Clock::now();
    sink_.progress(state_);
  }

  CaptureSink& sink_;
  RunProgress state_;
  std::uint64_t work_ = 1;
  std::atomic<std::uint64_t> finished_{0};
  Clock::time_point last_{};
};

}  // namespace attnscope
