// The three arenas of a run in an execution scheme, device, host and disk: what is taken, given back and copied between them, as events
// that know what they belong to.
#pragma once
#include "host/device/device_needs.h"
#include "host/device/scheme_plan.h"

namespace attnscope {

class SchemeMemory {
 public:
  /// `result` receives events and peaks. Both arguments outlive this, and this its buffers.
  SchemeMemory(KernelDevice& device, std::uint64_t limit, SchemeResult& result);

  /// What the events that follow belong to.
  memory::Phase phase = memory::Phase::load;
  std::uint32_t step = 0;
  std::int16_t layer = -1;
  memory::Op op = memory::Op::weights;

  Result<DeviceBuffer> allocate(std::uint64_t bytes, memory::Category category, const char* what);
  /// For memory whose bytes depend on `op` alone by name: into a buffer that is empty.
  Status allocate(DeviceBuffer& into, std::uint64_t bytes, memory::Category category, const char* what);
  Status allocate_host(DeviceBuffer& into, std::uint64_t bytes, memory::Category category, const char* what);
  /// Bytes that went between arenas.
  void copied(SchemeEvent::Kind way, std::uint64_t bytes, const char* what);
  void on_disk(bool allocated, std::uint64_t bytes, const char* what);

  /// For parts that allocate by themselves.
  DeviceMemory& device() { return memory_; }

 private:
  void on(const MemoryEvent& event);
  void put(SchemeEvent event);

  SchemeResult& result_;
  memory::Category category_{};          // of what is being allocated
  bool named_ = false;                   // by allocate() of this class
  std::vector<memory::Category> category_of_block_{memory::Category{}};
  memory::Breakdown used_{};
  std::uint64_t device_used_ = 0, host_used_ = 0, disk_used_ = 0;
  double start_;
  DeviceMemory memory_;
};

}  // namespace attnscope
