// PyTorch's caching allocator over an event list: what allocated bytes become reserved bytes, and when a request finds no room.
// [pytorch c10/cuda/CUDACachingAllocator.cpp; its defaults, no max_split_size]
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "core/memory/events.h"

namespace attnscope::memory {

struct AllocatorSettings {
  std::uint64_t limit = 0;         // bytes of the device that segments may take, 0: no end
  bool expandable_segments = false;
  std::uint32_t sample_every = 0;  // events between samples of the curve, 0: samples at changes of reserved memory alone
  bool trace = false;              // keeps every change of segments for take_changes()
};

struct AllocatorSample {
  std::uint64_t event = 0, allocated = 0, reserved = 0, largest_free = 0;
};

/// A request that nothing could serve, after every wholly free segment was given back.
struct OutOfMemory {
  std::uint64_t at = 0;            // index of the event
  Event event;
  std::uint64_t wanted = 0;        // the segment, or the pages, that it would have taken
  std::uint64_t reserved = 0, allocated = 0, largest_free = 0;
};

struct AllocatorReport {
  std::uint64_t events = 0;
  std::uint64_t peak_allocated = 0, peak_allocated_at = 0;   // whole blocks, as torch.cuda.max_memory_allocated counts
  std::uint64_t peak_reserved = 0;
  std::uint64_t allocated = 0, reserved = 0, largest_free = 0, segments = 0;   // at the end
  std::uint64_t segments_made = 0, segments_released = 0, retries = 0;
  bool failed = false;
  OutOfMemory failure;             // where it failed
  std::vector<AllocatorSample> curve;
};

/// A block as it lies in its segment, for a drawing of the allocator's state.
struct BlockView {
  std::uint32_t segment = 0;       // index in address order
  std::uint64_t segment_bytes = 0, offset = 0, bytes = 0;
  std::uint64_t requested = 0;     // 0: free
  std::uint32_t block = 0;         // of the event, 0: free
  std::uint8_t stream = 0;
  bool small = false;
};

/// Memory taken from the device or given back: a segment, or pages of an expandable one.
struct SegmentChange {
  std::uint32_t segment = 0;       // in the order in which they were made, from 1 on
  std::uint64_t address = 0, bytes = 0;
  bool made = true;
  std::uint8_t stream = 0;
};

/// Where a block lies; bytes: all that it keeps from others. Addresses are never used again once their segment is gone.
struct Placement {
  std::uint32_t segment = 0;
  std::uint64_t address = 0, bytes = 0;
};

class CachingAllocator final : public EventSink {
 public:
  explicit CachingAllocator(const AllocatorSettings& settings) : settings_(settings) {}

  /// False from the request on that fails.
  bool on(const Event& event) override;
  AllocatorReport report() const;
  std::vector<BlockView> blocks() const;
  std::uint64_t reserved() const { return report_.reserved; }
  /// Of blocks for large requests on the main stream.
  std::uint64_t largest_free() const { return free_[1].empty() ? 0 : free_[1].back().bytes; }
  /// Of a block that is held; zeros otherwise.
  Placement placement(std::uint32_t block) const;
  /// Since the last call, in order.
  std::vector<SegmentChange> take_changes() { return std::exchange(changes_, {}); }

 private:
  struct Piece {
    std::uint64_t address = 0, bytes = 0, requested = 0;
    std::int32_t previous = -1, next = -1;
    std::uint32_t block = 0;
    std::uint32_t segment = 0;
    std::uint8_t pool = 0;         // 2 stream + large
    bool used = false, mapped = true, alive = true;
  };
  struct Free {
    std::uint64_t bytes, address;
    std::int32_t piece;
  };

  bool allocate(const Event& event);
  void release(const Event& event);
  std::int32_t best_fit(std::uint8_t pool, std::uint64_t bytes);
  std::int32_t new_segment(std::uint8_t pool, std::uint64_t bytes);
  std::int32_t expand(std::uint8_t pool, std::uint64_t bytes);
  bool map(std::int32_t piece, std::uint64_t bytes);
  void release_cached();
  void unmap_free_pages(std::int32_t piece);
  bool reserve(std::uint64_t bytes);

  std::int32_t make_piece(const Piece& piece);
  std::int32_t split(std::int32_t piece, std::uint64_t bytes);
  std::int32_t merge(std::int32_t piece, std::int32_t into_next);
  void list(std::int32_t piece);
  void unlist(std::int32_t piece);
  std::uint64_t page_bytes(std::uint8_t pool) const;
  void sample();
  void changed(std::int32_t piece, std::uint64_t address, std::uint64_t bytes, bool made);

  AllocatorSettings settings_;
  std::vector<Piece> pieces_;
  std::vector<std::int32_t> spare_;
  std::vector<Free> free_[4];      // by size, then address
  std::vector<std::int32_t> of_block_;
  std::int32_t arena_[4] = {-1, -1, -1, -1};  // first piece of an expandable segment
  std::uint64_t next_address_ = 0;
  std::vector<SegmentChange> changes_;
  AllocatorReport report_;
};

/// Runs a list through an allocator.
AllocatorReport replay_allocator(const std::vector<Event>& events, const AllocatorSettings& settings);

}  // namespace attnscope::memory
