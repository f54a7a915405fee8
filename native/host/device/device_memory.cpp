#include "host/device/device_memory.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "host/failure.h"

namespace attnscope {
namespace device_memory {

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::string mebibytes(std::uint64_t bytes) { return text((bytes + (1u << 20) - 1) >> 20, " MiB"); }

}  // namespace device_memory

DeviceBuffer::~DeviceBuffer() {
  if (memory_ != nullptr) memory_->release(*this);
}

DeviceMemory::DeviceMemory(KernelDevice& device, std::uint64_t limit, Released released)
    : device_(device), limit_(limit), start_(device_memory::seconds_now()), released_(released) {}

DeviceMemory::~DeviceMemory() { drop_waiting(); }

void DeviceMemory::drop_waiting() {
  if (waiting_.empty()) return;
  (void)device_.synchronize();  // what is queued may still read it
  for (const auto& [bytes, memory] : waiting_) device_.release(memory);
  waiting_.clear();
  waiting_bytes_ = 0;
}

void* DeviceMemory::take(std::uint64_t bytes) {
  if (const auto found = waiting_.find(bytes); found != waiting_.end()) {
    void* memory = found->second;
    waiting_.erase(found);
    waiting_bytes_ -= bytes;
    return memory;
  }
  if (used() + waiting_bytes_ + bytes > std::max(peak_, used() + bytes)) drop_waiting();
  void* memory = device_.allocate(bytes);
  if (memory != nullptr || waiting_.empty()) return memory;
  drop_waiting();
  return device_.allocate(bytes);
}

void DeviceMemory::note(bool allocated, const DeviceBuffer& buffer) {
  events_.push_back({allocated, buffer.category_, layer_, phase_, buffer.what_, buffer.bytes_, device_memory::seconds_now() - start_, buffer.pinned_, buffer.block_});
  if (listener_) listener_(events_.back());
}

Result<DeviceBuffer> DeviceMemory::allocate(std::uint64_t bytes, MemoryCategory category, const char* what, const char* advice) {
  DeviceBuffer buffer;
  if (bytes == 0) return buffer;
  const bool within = limit_ == 0 || used() + bytes <= limit_;
  buffer.data_ = within ? take(bytes) : nullptr;
  if (buffer.data_ == nullptr) {
    std::string held;
    for (std::size_t i = 0; i < kMemoryCategories; ++i)
      if (used_[i] > 0) held += text(held.empty() ? "" : ", ", name_of(static_cast<MemoryCategory>(i)), " ", device_memory::mebibytes(used_[i]));
    const std::string bound = limit_ != 0 && !within ? text("the limit of ", device_memory::mebibytes(limit_)) : text(device_.facts().name, "'s memory");
    const std::string layer = layer_ >= 0 ? text(" in layer ", layer_) : std::string();
    return failure("E_DEVICE_MEMORY", what, " needs ", device_memory::mebibytes(bytes), " of device memory", layer, " and ", bound,
                   " has not that much left; in use: ", held.empty() ? "nothing" : held, "; ", advice);
  }
  buffer.memory_ = this;
  buffer.bytes_ = bytes;
  buffer.category_ = category;
  buffer.what_ = what;
  used_[static_cast<std::size_t>(category)] += bytes;
  if (const std::uint64_t now = used(); now > peak_) peak_ = now, at_peak_ = used_;
  buffer.block_ = ++blocks_;
  note(true, buffer);
  return buffer;
}

Result<DeviceBuffer> DeviceMemory::allocate_pinned(std::uint64_t bytes, const char* what) {
  DeviceBuffer buffer;
  if (bytes == 0) return buffer;
  buffer.data_ = device_.allocate_host(bytes);
  if (buffer.data_ == nullptr)
    return failure("E_OUT_OF_MEMORY", "cannot allocate ", device_memory::mebibytes(bytes), " of host memory for ", what,
                   "; use a shorter prompt or a machine with more memory");
  buffer.memory_ = this;
  buffer.bytes_ = bytes;
  buffer.what_ = what;
  buffer.pinned_ = true;
  pinned_ += bytes;
  pinned_peak_ = std::max(pinned_peak_, pinned_);
  buffer.block_ = ++blocks_;
  note(true, buffer);
  return buffer;
}

void DeviceMemory::release(DeviceBuffer& buffer) {
  if (buffer.pinned_) {
    device_.release_host(buffer.data_);
    pinned_ -= buffer.bytes_;
    note(false, buffer);
    return;
  }
  if (released_ == Released::to_next) waiting_.emplace(buffer.bytes_, buffer.data_), waiting_bytes_ += buffer.bytes_;
  else device_.release(buffer.data_);
  used_[static_cast<std::size_t>(buffer.category_)] -= buffer.bytes_;
  note(false, buffer);
}

std::uint64_t DeviceMemory::used() const { return std::accumulate(used_.begin(), used_.end(), std::uint64_t{0}); }

std::uint64_t DeviceMemory::available() const {
  const std::uint64_t free = usable(device_.free_bytes());
  if (limit_ == 0) return free;
  return std::min(free, limit_ - std::min(limit_, used()));
}

}  // namespace attnscope
