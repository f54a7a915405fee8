// How far a device is: points in its compute queue, each worth some work, that the host waits for one after the other.
#pragma once
#include <deque>

#include "host/emit_context.h"
#include "host/kernels/kernel_device.h"

namespace attnscope {

class DeviceProgress {
 public:
  DeviceProgress(EmitContext& context, KernelDevice& device) : context_(context), device_(device) {}
  ~DeviceProgress();
  DeviceProgress(const DeviceProgress&) = delete;

  /// What is queued from now on belongs to the next item of a phase, worth `work` units in all.
  void begin(Phase phase, std::uint32_t done, std::uint32_t total, std::uint64_t work);
  /// All that was queued before is worth `work` units of the item.
  Status mark(std::uint64_t work);
  /// Number of the last mark.
  std::uint64_t last() const { return next_ - 1; }
  /// Waits until the device has come past the mark, telling of every one on the way. Time counts for the phase that is waited for.
  Status reach(std::uint64_t mark);

 private:
  struct Point {
    std::uint64_t number = 0, work = 0;
    Event event = nullptr;  // null: an item begins
    RunProgress item;
  };
  Event take_event();

  EmitContext& context_;
  KernelDevice& device_;
  std::deque<Point> points_;
  std::vector<Event> free_;
  std::uint64_t next_ = 1;
  Phase phase_ = Phase::load;
};

}  // namespace attnscope
