// A script's events as rows of the event table (docs/format.md): with where the allocator puts each block, what segments it takes and
// gives back, where phases begin, and the request that it cannot serve.
#pragma once
#include <unordered_map>
#include <vector>

#include "core/memory/caching_allocator.h"

namespace attnscope::memory {

enum class RowKind : std::uint8_t { alloc, free, host_alloc, host_free, d2h, h2d, seg_alloc, seg_free, phase, oom };
inline constexpr std::size_t kRowKinds = 10;
const char* name_of(RowKind kind);

struct EventRow {
  std::uint64_t bytes = 0;         // asked for; of a segment, or copied
  std::uint64_t rounded = 0;       // taken from others: of a block its place, of an oom the segment it wanted
  std::uint64_t address = 0;       // of a block or segment on the device
  std::uint32_t seq = 0;
  std::uint32_t block = 0;         // 0: none. alloc and free of one block share it
  std::uint32_t version = 0;       // blocks that began at this address before
  std::uint32_t segment = 0;       // 0: none
  std::uint32_t step = 0;
  std::int16_t layer = -1;
  RowKind kind = RowKind::alloc;
  Category category = Category::weights;
  Phase phase = Phase::load;
  Op op = Op::weights;
  std::uint8_t stream = 0;
};

class EventRows final : public EventSink {
 public:
  /// Rows [from, from + count).
  EventRows(AllocatorSettings allocator, std::uint64_t from, std::uint64_t count);

  bool on(const Event& event) override;

  const std::vector<EventRow>& rows() const { return rows_; }
  /// Whether there are rows after them.
  bool more() const { return more_; }

 private:
  EventRow about(const Event& event, RowKind kind) const;
  void put(EventRow row);

  CachingAllocator allocator_;
  std::unordered_map<std::uint64_t, std::uint32_t> blocks_at_;  // by address, so far
  std::uint64_t from_, end_, next_ = 0;
  std::vector<EventRow> rows_;
  bool more_ = false, started_ = false;
  Phase phase_ = Phase::load;
  std::uint32_t step_ = 0;
};

}  // namespace attnscope::memory
