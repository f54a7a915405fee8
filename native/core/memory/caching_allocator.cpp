#include "core/memory/caching_allocator.h"

#include <algorithm>

namespace attnscope::memory {
namespace allocators {
namespace {

constexpr std::uint64_t kibi = 1024, mebi = kibi * kibi;
constexpr std::uint64_t smallest = 512, small_request = mebi, small_segment = 2 * mebi, large_segment = 20 * mebi, own_segment_from = 10 * mebi;
constexpr std::uint64_t arena_bytes = 1ull << 46;  // addresses of an expandable segment; pages are mapped one after the other

std::uint64_t round_up(std::uint64_t bytes, std::uint64_t to) { return (bytes + to - 1) / to * to; }
std::uint64_t segment_bytes(std::uint64_t bytes) {
  if (bytes <= small_request) return small_segment;
  return bytes < own_segment_from ? large_segment : round_up(bytes, 2 * mebi);
}

struct BySize {
  template <class Free>
  bool operator()(const Free& a, const Free& b) const { return a.bytes != b.bytes ? a.bytes < b.bytes : a.address < b.address; }
};

}  // namespace
}  // namespace allocators

bool CachingAllocator::on(const Event& event) {
  if (event.kind == Kind::alloc) {
    if (!allocate(event)) return false;
  } else if (event.kind == Kind::free) {
    release(event);
  }
  ++report_.events;
  if (settings_.sample_every != 0 && report_.events % settings_.sample_every == 0) sample();
  return true;
}

bool CachingAllocator::allocate(const Event& event) {
  using namespace allocators;
  const std::uint64_t bytes = round_up(std::max(event.bytes, smallest), smallest);
  const auto pool = static_cast<std::uint8_t>(2 * (event.stream != 0) + (bytes > small_request));
  std::int32_t at = best_fit(pool, bytes);
  for (int attempt = 0; at < 0 && attempt < 2; ++attempt) {
    if (attempt == 1) ++report_.retries, release_cached();
    at = settings_.expandable_segments ? expand(pool, bytes) : new_segment(pool, bytes);
  }
  if (at < 0) {
    report_.failed = true;
    const std::uint64_t wanted = settings_.expandable_segments ? round_up(bytes, page_bytes(pool)) : segment_bytes(bytes);
    report_.failure = {report_.events, event, wanted, report_.reserved, report_.allocated, largest_free()};
    return false;
  }
  const std::uint64_t rest = pieces_[at].bytes - bytes;
  const bool any_rest = pool % 2 == 0 || settings_.expandable_segments;
  if (any_rest ? rest >= smallest : rest > small_request) list(split(at, bytes));
  Piece& piece = pieces_[at];
  piece.used = true;
  piece.requested = event.bytes;
  piece.block = event.block;
  report_.allocated += piece.bytes;
  if (report_.allocated > report_.peak_allocated) report_.peak_allocated = report_.allocated, report_.peak_allocated_at = report_.events;
  if (event.block >= of_block_.size()) of_block_.resize(std::max<std::size_t>(64, 2 * std::size_t{event.block}), -1);
  of_block_[event.block] = at;
  return true;
}

void CachingAllocator::release(const Event& event) {
  if (event.block >= of_block_.size() || of_block_[event.block] < 0) return;
  std::int32_t at = of_block_[event.block];
  of_block_[event.block] = -1;
  Piece& piece = pieces_[at];
  report_.allocated -= piece.bytes;
  piece.used = false;
  piece.block = 0;
  const auto joins = [&](std::int32_t other) { return other >= 0 && !pieces_[other].used && pieces_[other].mapped; };
  if (joins(piece.previous)) {
    unlist(piece.previous);
    at = merge(piece.previous, at);
  }
  if (const std::int32_t next = pieces_[at].next; joins(next)) {
    unlist(next);
    at = merge(at, next);
  }
  list(at);
}

std::int32_t CachingAllocator::best_fit(std::uint8_t pool, std::uint64_t bytes) {
  std::vector<Free>& from = free_[pool];
  const auto found = std::lower_bound(from.begin(), from.end(), bytes, [](const Free& f, std::uint64_t wanted) { return f.bytes < wanted; });
  if (found == from.end()) return -1;
  const std::int32_t at = found->piece;
  from.erase(found);
  return at;
}

bool CachingAllocator::reserve(std::uint64_t bytes) {
  if (settings_.limit != 0 && report_.reserved + bytes > settings_.limit) return false;
  report_.reserved += bytes;
  report_.peak_reserved = std::max(report_.peak_reserved, report_.reserved);
  return true;
}

std::int32_t CachingAllocator::new_segment(std::uint8_t pool, std::uint64_t bytes) {
  const std::uint64_t segment = allocators::segment_bytes(bytes);
  if (!reserve(segment)) return -1;
  ++report_.segments_made, ++report_.segments;
  const std::int32_t at = make_piece({.address = next_address_, .bytes = segment, .segment = static_cast<std::uint32_t>(report_.segments_made), .pool = pool});
  changed(at, next_address_, segment, true);
  next_address_ += segment;
  sample();
  return at;
}

/// The lowest free place that pages can be added to, and the pages.
std::int32_t CachingAllocator::expand(std::uint8_t pool, std::uint64_t bytes) {
  if (arena_[pool] < 0) {
    ++report_.segments_made, ++report_.segments;
    arena_[pool] = make_piece({.address = next_address_, .bytes = allocators::arena_bytes, .segment = static_cast<std::uint32_t>(report_.segments_made), .pool = pool, .mapped = false});
    next_address_ += allocators::arena_bytes;
  }
  const auto room = [&](std::int32_t from) {
    std::uint64_t sum = 0;
    for (std::int32_t at = from; at >= 0 && !pieces_[at].used && sum < bytes; at = pieces_[at].next) sum += pieces_[at].bytes;
    return sum >= bytes;
  };
  for (std::int32_t at = arena_[pool]; at >= 0; at = pieces_[at].next) {
    if (pieces_[at].mapped) continue;
    std::int32_t from = pieces_[at].previous >= 0 && !pieces_[pieces_[at].previous].used ? pieces_[at].previous : at;
    if (!room(from)) continue;
    if (!pieces_[from].mapped && !map(from, std::min(pieces_[from].bytes, bytes))) return -1;
    while (pieces_[from].bytes < bytes) {
      const std::int32_t next = pieces_[from].next;
      if (!pieces_[next].mapped && !map(next, std::min(pieces_[next].bytes, bytes - pieces_[from].bytes))) return -1;
      unlist(from), unlist(next);
      from = merge(from, next);
      list(from);
    }
    unlist(from);
    if (const std::int32_t next = pieces_[from].next; next >= 0 && pieces_[next].mapped && !pieces_[next].used) unlist(next), from = merge(from, next);
    sample();
    return from;
  }
  return -1;
}

/// Backs the first `bytes` of an unmapped piece by whole pages and lists it as free.
bool CachingAllocator::map(std::int32_t at, std::uint64_t bytes) {
  const std::uint64_t pages = std::min(pieces_[at].bytes, allocators::round_up(bytes, page_bytes(pieces_[at].pool)));
  if (!reserve(pages)) return false;
  if (pages < pieces_[at].bytes) split(at, pages);
  pieces_[at].mapped = true;
  changed(at, pieces_[at].address, pages, true);
  list(at);
  return true;
}

void CachingAllocator::release_cached() {
  for (std::vector<Free>& from : free_) {
    std::vector<std::int32_t> whole;
    for (const Free& f : from)
      if (settings_.expandable_segments || (pieces_[f.piece].previous < 0 && pieces_[f.piece].next < 0)) whole.push_back(f.piece);
    for (const std::int32_t at : whole) {
      if (settings_.expandable_segments) {
        unmap_free_pages(at);
        continue;
      }
      unlist(at);
      changed(at, pieces_[at].address, pieces_[at].bytes, false);
      report_.reserved -= pieces_[at].bytes;
      ++report_.segments_released, --report_.segments;
      pieces_[at].alive = false;
      spare_.push_back(at);
    }
  }
  sample();
}

/// Pages that lie in a free piece as a whole go back to the device; what is left of it on either side stays.
void CachingAllocator::unmap_free_pages(std::int32_t at) {
  const std::uint64_t page = page_bytes(pieces_[at].pool), first = pieces_[at].address;
  const std::uint64_t begin = allocators::round_up(first, page), end = (first + pieces_[at].bytes) / page * page;
  if (begin >= end) return;
  unlist(at);
  if (begin > pieces_[at].address) {
    const std::int32_t middle = split(at, begin - pieces_[at].address);
    list(at);
    at = middle;
  }
  if (end < pieces_[at].address + pieces_[at].bytes) list(split(at, end - pieces_[at].address));
  pieces_[at].mapped = false;
  changed(at, begin, end - begin, false);
  report_.reserved -= end - begin;
  for (const bool before : {true, false}) {
    const std::int32_t other = before ? pieces_[at].previous : pieces_[at].next;
    if (other >= 0 && !pieces_[other].mapped) at = before ? merge(other, at) : merge(at, other);
  }
}

std::int32_t CachingAllocator::make_piece(const Piece& piece) {
  if (spare_.empty()) {
    pieces_.push_back(piece);
    return static_cast<std::int32_t>(pieces_.size()) - 1;
  }
  const std::int32_t at = spare_.back();
  spare_.pop_back();
  pieces_[at] = piece;
  return at;
}

/// What is beyond `bytes` becomes a piece of its own, unlisted.
std::int32_t CachingAllocator::split(std::int32_t at, std::uint64_t bytes) {
  Piece rest = pieces_[at];
  rest.address += bytes;
  rest.bytes -= bytes;
  rest.previous = at;
  const std::int32_t made = make_piece(rest);
  if (rest.next >= 0) pieces_[rest.next].previous = made;
  pieces_[at].next = made;
  pieces_[at].bytes = bytes;
  return made;
}

/// Two neighbours, both unlisted, into the first.
std::int32_t CachingAllocator::merge(std::int32_t at, std::int32_t next) {
  Piece &first = pieces_[at], &second = pieces_[next];
  first.bytes += second.bytes;
  first.next = second.next;
  if (second.next >= 0) pieces_[second.next].previous = at;
  second.alive = false;
  spare_.push_back(next);
  return at;
}

void CachingAllocator::list(std::int32_t at) {
  std::vector<Free>& to = free_[pieces_[at].pool];
  const Free entry{pieces_[at].bytes, pieces_[at].address, at};
  to.insert(std::lower_bound(to.begin(), to.end(), entry, allocators::BySize{}), entry);
}

void CachingAllocator::unlist(std::int32_t at) {
  std::vector<Free>& from = free_[pieces_[at].pool];
  const auto found = std::lower_bound(from.begin(), from.end(), Free{pieces_[at].bytes, pieces_[at].address, at}, allocators::BySize{});
  if (found != from.end() && found->piece == at) from.erase(found);
}

std::uint64_t CachingAllocator::page_bytes(std::uint8_t pool) const { return pool % 2 == 0 ? allocators::small_segment : allocators::large_segment; }

void CachingAllocator::changed(std::int32_t at, std::uint64_t address, std::uint64_t bytes, bool made) {
  if (settings_.trace) changes_.push_back({pieces_[at].segment, address, bytes, made, static_cast<std::uint8_t>(pieces_[at].pool / 2)});
}

Placement CachingAllocator::placement(std::uint32_t block) const {
  if (block >= of_block_.size() || of_block_[block] < 0) return {};
  const Piece& piece = pieces_[of_block_[block]];
  return {piece.segment, piece.address, piece.bytes};
}

void CachingAllocator::sample() {
  const AllocatorSample now{report_.events, report_.allocated, report_.reserved, largest_free()};
  if (!report_.curve.empty() && report_.curve.back().event == now.event) report_.curve.back() = now;
  else report_.curve.push_back(now);
}

AllocatorReport CachingAllocator::report() const {
  AllocatorReport out = report_;
  out.largest_free = largest_free();
  return out;
}

std::vector<BlockView> CachingAllocator::blocks() const {
  std::vector<std::int32_t> heads;
  for (std::size_t i = 0; i < pieces_.size(); ++i)
    if (pieces_[i].alive && pieces_[i].previous < 0) heads.push_back(static_cast<std::int32_t>(i));
  std::sort(heads.begin(), heads.end(), [&](std::int32_t a, std::int32_t b) { return pieces_[a].address < pieces_[b].address; });
  std::vector<BlockView> out;
  for (std::uint32_t segment = 0; segment < heads.size(); ++segment) {
    const std::uint64_t start = pieces_[heads[segment]].address;
    std::uint64_t end = start;
    const std::size_t first = out.size();
    for (std::int32_t at = heads[segment]; at >= 0; at = pieces_[at].next) {
      const Piece& p = pieces_[at];
      if (!p.mapped) continue;
      end = p.address + p.bytes;
      out.push_back({segment, 0, p.address - start, p.bytes, p.used ? p.requested : 0, p.used ? p.block : 0,
                     static_cast<std::uint8_t>(p.pool / 2), p.pool % 2 == 0});
    }
    for (std::size_t i = first; i < out.size(); ++i) out[i].segment_bytes = end - start;
  }
  return out;
}

AllocatorReport replay_allocator(const std::vector<Event>& events, const AllocatorSettings& settings) {
  CachingAllocator allocator(settings);
  for (const Event& event : events)
    if (!allocator.on(event)) break;
  return allocator.report();
}

}  // namespace attnscope::memory
