#include "host/device/device_progress.h"

#include "host/device/device_model.h"
#include "host/failure.h"

namespace attnscope {

DeviceProgress::~DeviceProgress() {
  for (const Point& point : points_)
    if (point.event != nullptr) free_.push_back(point.event);
  for (Event event : free_) device_.release_event(event);
}

void DeviceProgress::begin(Phase phase, std::uint32_t done, std::uint32_t total, std::uint64_t work) { points_.push_back({0, work, nullptr, {phase, done, total, 0}}); }

Event DeviceProgress::take_event() {
  if (free_.empty()) return device_.create_event();
  const Event event = free_.back();
  free_.pop_back();
  return event;
}

Status DeviceProgress::mark(std::uint64_t work) {
  if (!context_.pool.keep_going(0)) return cancelled();
  const Event event = take_event();
  if (event == nullptr) return failure("E_DEVICE_MEMORY", "the device has no memory left for an event; close other programs that use it");
  points_.push_back({next_++, work, event, {}});
  return check(device_.record(event, Queue::compute));
}

Status DeviceProgress::reach(std::uint64_t mark) {
  while (!points_.empty() && points_.front().number <= mark) {
    const Point point = points_.front();
    points_.pop_front();
    if (point.event == nullptr) {
      phase_ = point.item.phase;
      context_.progress.begin(phase_, point.item.done, point.item.total, point.work);
      continue;
    }
    PhaseClock::Section section(context_.clock, phase_ == Phase::prefill ? Work::prefill : phase_ == Phase::reduce ? Work::reduce : Work::decode);
    free_.push_back(point.event);
    ATTNSCOPE_TRY(check(device_.await(point.event)));
    context_.progress.advance(point.work);
    if (!context_.pool.keep_going(0)) return cancelled();
  }
  return success();
}

}  // namespace attnscope
