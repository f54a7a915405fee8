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

DeviceMemory::DeviceMemory(KernelDevice& device, std::uint64_t limit) : device_(device), limit_(limit), start_(device_memory::seconds_now()) {}

Result<DeviceBuffer> DeviceMemory::allocate(std::uint64_t bytes, MemoryCategory category, const char* what, const char* advice) {
  DeviceBuffer buffer;
  if (bytes == 0) return buffer;
  const bool within = limit_ == 0 || used() + bytes <= limit_;
  buffer.data_ = within ? device_.allocate(bytes) : nullptr;
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
  events_.push_back({true, category, layer_, phase_, what, bytes, device_memory::seconds_now() - start_});
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
  return buffer;
}

void DeviceMemory::release(DeviceBuffer& buffer) {
  if (buffer.pinned_) {
    device_.release_host(buffer.data_);
    pinned_ -= buffer.bytes_;
    return;
  }
  device_.release(buffer.data_);
  used_[static_cast<std::size_t>(buffer.category_)] -= buffer.bytes_;
  events_.push_back({false, buffer.category_, layer_, phase_, buffer.what_, buffer.bytes_, device_memory::seconds_now() - start_});
}

std::uint64_t DeviceMemory::used() const { return std::accumulate(used_.begin(), used_.end(), std::uint64_t{0}); }

std::uint64_t DeviceMemory::available() const {
  const std::uint64_t free = usable(device_.free_bytes());
  if (limit_ == 0) return free;
  return std::min(free, limit_ - std::min(limit_, used()));
}

}  // namespace attnscope
