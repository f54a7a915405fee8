// What memory a run takes on a device, known before it runs: parts of a run list their buffers once, and what is counted ahead is the list
// that is allocated.
#pragma once
#include <span>

#include "host/device/device_memory.h"

namespace attnscope {

struct DeviceNeeds {
  std::array<std::uint64_t, kMemoryCategories> bytes{};  // by MemoryCategory
  std::uint64_t pinned_bytes = 0;                         // host memory that copies use
  std::uint64_t loading_pinned_bytes = 0;                 // the same, given back before the run begins
  bool streamed_weights = false;

  std::uint64_t total() const;
  DeviceNeeds& operator+=(const DeviceNeeds& other);
};

/// A buffer that is wanted: where it goes, and what DeviceMemory is told about it.
struct BufferWant {
  DeviceBuffer* into = nullptr;
  std::uint64_t bytes = 0;
  const char* what = "";
  MemoryCategory category{};
  const char* advice = "";
  bool pinned = false;
  bool loading = false;  // pinned only, and given back before the run begins
};

DeviceNeeds needs_of(std::span<const BufferWant> wanted);
Status allocate(DeviceMemory& memory, std::span<const BufferWant> wanted);

/// Offsets in a buffer are multiples of this: a cache line of a GPU and more than any kernel asks for.
inline std::uint64_t aligned(std::uint64_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace attnscope
