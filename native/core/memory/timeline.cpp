#include "core/memory/timeline.h"

#include <algorithm>

namespace attnscope::memory {
namespace timelines {
namespace {

void join(TimelinePoint& a, const TimelinePoint& b) {
  const TimelinePoint first = a;
  if (b.total > a.total) a = b;
  a.begin = first.begin;
  a.least = std::min(first.least, b.least);
  a.most_reserved = std::max(first.most_reserved, b.most_reserved);
  a.host = std::max(first.host, b.host);
  a.to_host = first.to_host + b.to_host;
  a.to_device = first.to_device + b.to_device;
}

}  // namespace
}  // namespace timelines

Timeline::Timeline(const AllocatorSettings& allocator, std::uint32_t max_points, std::uint64_t from, std::uint64_t to)
    : allocator_(allocator), from_(from), to_(to), max_points_(std::max(2u, max_points)) {
  width_ = to > from ? (to - from + max_points_ - 1) / max_points_ : 1;
}

bool Timeline::on(const Event& e) {
  if (!allocator_.on(e)) return false;
  if (calls_.empty() || calls_.back().phase != e.phase || calls_.back().step != e.step) calls_.push_back({events_, e.phase, e.step});
  std::uint64_t& used = used_[static_cast<std::size_t>(e.category)];
  if (e.kind == Kind::alloc) {
    used += e.bytes, now_ += e.bytes;
    if (now_ > peak_) peak_ = now_, peak_at_ = events_;
  } else if (e.kind == Kind::free) {
    used -= e.bytes, now_ -= e.bytes;
  } else if (e.kind == Kind::host_alloc) {
    host_ += e.bytes;
  } else if (e.kind == Kind::host_free) {
    host_ -= e.bytes;
  }
  if (events_ >= from_ && (to_ <= from_ || events_ < to_)) take(e);
  ++events_;
  return true;
}

void Timeline::take(const Event& e) {
  if (points_.empty() || (events_ - from_) % width_ == 0) {
    if (points_.size() == max_points_) halve();
    if (points_.empty() || (events_ - from_) % width_ == 0) {
      points_.emplace_back();
      points_.back().begin = events_;
      points_.back().least = now_;
    }
  }
  TimelinePoint& point = points_.back();
  if (point.begin == events_ || now_ > point.total) {
    point.at = events_, point.event = e, point.total = now_, point.by_category = used_;
    point.reserved = allocator_.reserved(), point.largest_free = allocator_.largest_free();
  }
  point.least = std::min(point.least, now_);
  point.most_reserved = std::max(point.most_reserved, allocator_.reserved());
  point.host = std::max(point.host, host_);
  if (e.kind == Kind::d2h) point.to_host += e.bytes;
  if (e.kind == Kind::h2d) point.to_device += e.bytes;
}

/// Two points into one: how many events there will be is not known before they came.
void Timeline::halve() {
  for (std::size_t i = 0; i < points_.size(); ++i) {
    if (i % 2 == 0) points_[i / 2] = points_[i];
    else timelines::join(points_[i / 2], points_[i]);
  }
  points_.resize((points_.size() + 1) / 2);
  width_ *= 2;
}

bool AllocatorState::on(const Event& e) {
  if (events_ > last_ || !allocator_.on(e)) return false;
  if (e.kind == Kind::alloc) made_.emplace(e.block, e);
  else if (e.kind == Kind::free) made_.erase(e.block);
  return ++events_ <= last_;
}

}  // namespace attnscope::memory
