#include "core/memory/event_rows.h"

namespace attnscope::memory {
namespace event_row_names {
namespace {

constexpr const char* kinds[] = {"alloc", "free", "host_alloc", "host_free", "d2h", "h2d", "seg_alloc", "seg_free", "phase", "oom"};
static_assert(std::size(kinds) == kRowKinds && static_cast<int>(RowKind::h2d) == static_cast<int>(Kind::h2d));

}  // namespace
}  // namespace event_row_names

const char* name_of(RowKind kind) { return event_row_names::kinds[static_cast<std::size_t>(kind)]; }

EventRows::EventRows(AllocatorSettings allocator, std::uint64_t from, std::uint64_t count)
    : allocator_([&] {
        allocator.trace = true;
        return allocator;
      }()),
      from_(from), end_(from + count) {}

EventRow EventRows::about(const Event& e, RowKind kind) const {
  EventRow row;
  row.kind = kind;
  row.bytes = e.bytes;
  row.block = e.block;
  row.stream = e.stream;
  row.category = e.category, row.layer = e.layer, row.phase = e.phase, row.step = e.step, row.op = e.op;
  return row;
}

void EventRows::put(EventRow row) {
  row.seq = static_cast<std::uint32_t>(next_);
  if (next_ >= end_) more_ = true;
  else if (next_ >= from_) rows_.push_back(row);
  ++next_;
}

bool EventRows::on(const Event& e) {
  if (!started_ || phase_ != e.phase || step_ != e.step) {
    EventRow row = about(e, RowKind::phase);
    row.bytes = 0, row.block = 0, row.stream = 0;
    put(row);
    started_ = true, phase_ = e.phase, step_ = e.step;
  }
  EventRow row = about(e, static_cast<RowKind>(e.kind));
  const Placement freed = e.kind == Kind::free ? allocator_.placement(e.block) : Placement{};
  const bool served = allocator_.on(e);
  for (const SegmentChange& change : allocator_.take_changes()) {
    EventRow segment = about(e, change.made ? RowKind::seg_alloc : RowKind::seg_free);
    segment.bytes = segment.rounded = change.bytes;
    segment.address = change.address, segment.segment = change.segment, segment.stream = change.stream;
    segment.block = 0;
    put(segment);
  }
  if (!served) {
    row.kind = RowKind::oom;
    row.rounded = allocator_.report().failure.wanted;
  } else if (e.kind == Kind::alloc || e.kind == Kind::free) {
    const Placement at = e.kind == Kind::alloc ? allocator_.placement(e.block) : freed;
    row.address = at.address, row.segment = at.segment, row.rounded = at.bytes;
    std::uint32_t& blocks = blocks_at_[at.address];
    row.version = e.kind == Kind::alloc ? blocks++ : blocks - 1;
  } else {
    row.rounded = e.bytes;
  }
  put(row);
  return served && !more_;
}

}  // namespace attnscope::memory
