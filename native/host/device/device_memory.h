// All memory that a run takes on its device, by category and with every change as an event: what is measured, and what names the
// tensor that did not fit.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "host/kernels/kernel_device.h"

namespace attnscope {

enum class MemoryCategory : std::uint8_t { weights, kv, activations, logits, workspace, capture };
inline constexpr std::size_t kMemoryCategories = 6;
inline const char* name_of(MemoryCategory category) {
  constexpr const char* names[kMemoryCategories] = {"weights", "kv", "activations", "logits", "workspace", "capture"};
  return names[static_cast<std::size_t>(category)];
}

/// One allocation or release, in the order they happened.
struct MemoryEvent {
  bool allocated = true;             // false: released
  MemoryCategory category{};
  std::int32_t layer = -1;           // that was worked on; -1: none
  const char* phase = "load";        // "load", "prefill", "reduce" or "decode"
  const char* what = "";             // the tensor, in words: "the KV cache"
  std::uint64_t bytes = 0;           // as asked for
  double seconds = 0;                // since the memory was opened
  bool pinned = false;               // of the host, for copies; without a category
  std::uint32_t block = 0;           // of an allocation and its release; no two have the same
};

class DeviceMemory;

/// Memory of a device that is given back when the object goes.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    DeviceBuffer(std::move(other)).swap(*this);
    return *this;
  }
  ~DeviceBuffer();

  void* data() const { return data_; }
  template <class T> T* as() const { return static_cast<T*>(data_); }
  std::byte* at(std::uint64_t byte) const { return static_cast<std::byte*>(data_) + byte; }
  std::uint64_t bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  friend class DeviceMemory;
  void swap(DeviceBuffer& other) noexcept {
    std::swap(memory_, other.memory_), std::swap(data_, other.data_), std::swap(bytes_, other.bytes_);
    std::swap(category_, other.category_), std::swap(what_, other.what_), std::swap(pinned_, other.pinned_);
    std::swap(block_, other.block_);
  }
  DeviceMemory* memory_ = nullptr;
  void* data_ = nullptr;
  std::uint64_t bytes_ = 0;
  MemoryCategory category_{};
  const char* what_ = "";
  bool pinned_ = false;
  std::uint32_t block_ = 0;
};

class DeviceMemory {
 public:
  /// What becomes of released memory: the driver has it back, which waits for all queues, or the next buffer of exactly as many bytes
  /// takes it, which must be used in the same queue as the last. What waits so is given back before more is held than the peak.
  enum class Released : std::uint8_t { to_driver, to_next };

  /// `limit`: most bytes held at once; 0: as many as the device gives. The device outlives this, this its buffers.
  DeviceMemory(KernelDevice& device, std::uint64_t limit, Released released = Released::to_driver);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;

  /// Contents undefined, 256-byte aligned. `what` is a literal: "the KV cache". E_DEVICE_MEMORY names it, the layer, what is in use by
  /// category, and `advice`, the switch that would help.
  Result<DeviceBuffer> allocate(std::uint64_t bytes, MemoryCategory category, const char* what, const char* advice);
  /// Host memory that copies beside the kernels can use; counted apart.
  Result<DeviceBuffer> allocate_pinned(std::uint64_t bytes, const char* what);

  /// What the events that follow belong to.
  void at(const char* phase, std::int32_t layer) { phase_ = phase, layer_ = layer; }

  /// Bytes that may still be allocated: the limit's, or the device's where that is less.
  std::uint64_t available() const;
  /// Of what a driver calls free: it hands memory out in pieces of 2 MiB, and libraries take some for themselves.
  static std::uint64_t usable(std::uint64_t free_bytes) { return free_bytes - free_bytes / 64; }
  std::uint64_t used(MemoryCategory category) const { return used_[static_cast<std::size_t>(category)]; }
  std::uint64_t used() const;
  /// The most held at once, and what every category held at that moment.
  std::uint64_t peak() const { return peak_; }
  const std::array<std::uint64_t, kMemoryCategories>& at_peak() const { return at_peak_; }
  std::uint64_t pinned_peak() const { return pinned_peak_; }
  const std::vector<MemoryEvent>& events() const { return events_; }
  /// Called with every event as it happens.
  void listen(std::function<void(const MemoryEvent&)> listener) { listener_ = std::move(listener); }

 private:
  friend class DeviceBuffer;
  void release(DeviceBuffer& buffer);
  void* take(std::uint64_t bytes);
  void drop_waiting();
  void note(bool allocated, const DeviceBuffer& buffer);

  KernelDevice& device_;
  std::uint64_t limit_, peak_ = 0, pinned_ = 0, pinned_peak_ = 0;
  std::array<std::uint64_t, kMemoryCategories> used_{}, at_peak_{};
  const char* phase_ = "load";
  std::int32_t layer_ = -1;
  std::vector<MemoryEvent> events_;
  std::function<void(const MemoryEvent&)> listener_;
  std::uint32_t blocks_ = 0;
  double start_ = 0;
  const Released released_;
  std::multimap<std::uint64_t, void*> waiting_;  // by bytes
  std::uint64_t waiting_bytes_ = 0;
};

}  // namespace attnscope
