// A request over event index, in as many points as a screen has columns: what a stacked area is drawn from.
#pragma once
#include <unordered_map>
#include <vector>

#include "core/memory/caching_allocator.h"

namespace attnscope::memory {

/// Consecutive events, and the one among them with the most bytes on the device, the first of several.
struct TimelinePoint {
  std::uint64_t begin = 0;                         // first event
  std::uint64_t at = 0;                            // the event shown
  Event event;
  std::uint64_t total = 0, reserved = 0, largest_free = 0;  // when it has happened
  Breakdown by_category{};
  std::uint64_t least = 0;                         // sum of bytes
  std::uint64_t most_reserved = 0, host = 0;       // at most
  std::uint64_t to_host = 0, to_device = 0;        // copied
};

/// A phase, prefill call or decode step.
struct CallStart {
  std::uint64_t begin = 0;
  Phase phase = Phase::load;
  std::uint32_t step = 0;
};

class Timeline final : public EventSink {
 public:
  /// Events [from, to), to 0: all. At least max_points / 2 points where there are as many events, and at most max_points.
  Timeline(const AllocatorSettings& allocator, std::uint32_t max_points, std::uint64_t from = 0, std::uint64_t to = 0);

  bool on(const Event& event) override;

  std::uint64_t events() const { return events_; }
  const std::vector<TimelinePoint>& points() const { return points_; }
  const std::vector<CallStart>& calls() const { return calls_; }
  /// Of all events, wherever the points are.
  std::uint64_t peak() const { return peak_; }
  std::uint64_t peak_at() const { return peak_at_; }
  AllocatorReport allocator() const { return allocator_.report(); }

 private:
  void take(const Event& event);
  void halve();

  CachingAllocator allocator_;
  std::uint64_t from_, to_, width_;                // events a point
  std::uint32_t max_points_;
  Breakdown used_{};
  std::uint64_t now_ = 0, host_ = 0, events_ = 0, peak_ = 0, peak_at_ = 0;
  std::vector<TimelinePoint> points_;
  std::vector<CallStart> calls_;
};

/// The allocator's state once `last` has happened, and which event made each block that is held.
class AllocatorState final : public EventSink {
 public:
  AllocatorState(const AllocatorSettings& allocator, std::uint64_t last) : allocator_(allocator), last_(last) {}

  bool on(const Event& event) override;

  std::uint64_t events() const { return events_; }
  const CachingAllocator& allocator() const { return allocator_; }
  /// Null for a block that is free or was never there.
  const Event* made_by(std::uint32_t block) const {
    const auto found = made_.find(block);
    return found == made_.end() ? nullptr : &found->second;
  }

 private:
  CachingAllocator allocator_;
  std::uint64_t last_, events_ = 0;
  std::unordered_map<std::uint32_t, Event> made_;  // of blocks that are held
};

}  // namespace attnscope::memory
