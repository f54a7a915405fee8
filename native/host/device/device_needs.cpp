#include "host/device/device_needs.h"

#include <numeric>

#include "host/failure.h"

namespace attnscope {

std::uint64_t DeviceNeeds::total() const { return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0}); }

DeviceNeeds& DeviceNeeds::operator+=(const DeviceNeeds& other) {
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] += other.bytes[i];
  pinned_bytes += other.pinned_bytes;
  loading_pinned_bytes += other.loading_pinned_bytes;
  streamed_weights = streamed_weights || other.streamed_weights;
  return *this;
}

DeviceNeeds needs_of(std::span<const BufferWant> wanted) {
  DeviceNeeds needs;
  for (const BufferWant& want : wanted)
    (want.loading ? needs.loading_pinned_bytes : want.pinned ? needs.pinned_bytes : needs.bytes[static_cast<std::size_t>(want.category)]) += want.bytes;
  return needs;
}

Status allocate(DeviceMemory& memory, std::span<const BufferWant> wanted) {
  for (const BufferWant& want : wanted) {
    auto buffer = want.pinned ? memory.allocate_pinned(want.bytes, want.what) : memory.allocate(want.bytes, want.category, want.what, want.advice);
    if (!buffer) return buffer.error();
    *want.into = buffer.take();
  }
  return success();
}

}  // namespace attnscope
