// The caching allocator against its rules, against a plain model of its free lists, and on whole requests.
#include <algorithm>
#include <map>

#include "check.h"
#include "core/memory/caching_allocator.h"
#include "test_memory_cases.h"

using namespace memory_cases;

namespace {

constexpr std::uint64_t MB = 1 << 20;

Event event(Kind kind, std::uint32_t block, std::uint64_t bytes, std::uint8_t stream = 0) {
  Event e;
  e.kind = kind, e.block = block, e.bytes = bytes, e.stream = stream;
  return e;
}

struct Run {
  CachingAllocator allocator;
  explicit Run(AllocatorSettings settings = {}) : allocator(settings) {}
  bool alloc(std::uint32_t block, std::uint64_t bytes, std::uint8_t stream = 0) { return allocator.on(event(Kind::alloc, block, bytes, stream)); }
  void free(std::uint32_t block) { allocator.on(event(Kind::free, block, 0)); }
  AllocatorReport report() const { return allocator.report(); }
};

/// Best fit over lists of free ranges kept in a map and searched from end to end: slow and plain. Answers addresses.
class Plain {
 public:
  std::uint64_t reserved = 0, allocated = 0;
  std::uint64_t alloc(std::uint32_t block, std::uint64_t bytes) {
    bytes = (std::max<std::uint64_t>(bytes, 512) + 511) / 512 * 512;
    const bool small = bytes <= MB;
    const Range* best = nullptr;
    for (const auto& [address, range] : ranges_)
      if (!range.used && range.small == small && range.bytes >= bytes && (best == nullptr || range.bytes < best->bytes)) best = &range;
    std::uint64_t at = best == nullptr ? top_ : best->address;
    if (best == nullptr) {
      const std::uint64_t segment = small ? 2 * MB : bytes < 10 * MB ? 20 * MB : (bytes + 2 * MB - 1) / (2 * MB) * 2 * MB;
      ranges_[at] = {at, segment, segments_++, small, false};
      top_ += segment;
      reserved += segment;
    }
    Range& range = ranges_[at];
    const std::uint64_t rest = range.bytes - bytes;
    if (small ? rest >= 512 : rest > MB) {
      ranges_[at + bytes] = {at + bytes, rest, range.segment, small, false};
      range.bytes = bytes;
    }
    range.used = true;
    allocated += range.bytes;
    return where_[block] = at;
  }
  void free(std::uint32_t block) {
    auto at = ranges_.find(where_[block]);
    at->second.used = false;
    allocated -= at->second.bytes;
    const auto join = [&](auto first, auto second) {
      if (first->second.used || second->second.used || first->second.segment != second->second.segment) return first;
      first->second.bytes += second->second.bytes;
      ranges_.erase(second);
      return first;
    };
    if (auto next = std::next(at); next != ranges_.end()) at = join(at, next);
    if (at != ranges_.begin()) join(std::prev(at), at);
  }

 private:
  struct Range {
    std::uint64_t address = 0, bytes = 0;
    std::uint32_t segment = 0;
    bool small = false, used = false;
  };
  std::map<std::uint64_t, Range> ranges_;
  std::map<std::uint32_t, std::uint64_t> where_;
  std::uint64_t top_ = 0;
  std::uint32_t segments_ = 0;
};

/// Blocks lie one behind the other, fill their segments, and no two free ones are neighbours.
void check_layout(const CachingAllocator& allocator) {
  const AllocatorReport report = allocator.report();
  std::uint64_t used = 0, all = 0, end = 0, faults = 0;
  std::uint32_t segment = ~0u;
  bool free_before = false;
  for (const BlockView& block : allocator.blocks()) {
    if (block.segment != segment) segment = block.segment, end = 0, free_before = false;
    const bool is_free = block.requested == 0, gap = block.offset != end;
    faults += block.offset < end || (is_free && free_before && !gap) || (!is_free && block.requested > block.bytes);
    end = block.offset + block.bytes;
    free_before = is_free;
    all += block.bytes;
    used += is_free ? 0 : block.bytes;
  }
  CHECK_EQUAL(faults, 0);
  CHECK_EQUAL(used, report.allocated);
  CHECK_EQUAL(all, report.reserved);
}

}  // namespace

TEST("requests take the segments that PyTorch gives them") {
  for (const auto& [bytes, first, segment] : {std::tuple{512ull, 512ull, 2 * MB}, {1ull, 512ull, 2 * MB}, {MB + 0ull, MB + 0ull, 2 * MB}, {MB + 1, MB + 512, 20 * MB},
                                             {10 * MB - 512, 10 * MB - 512, 20 * MB}, {10 * MB + 0ull, 10 * MB + 0ull, 10 * MB}, {10 * MB + 1, 10 * MB + 512, 12 * MB},
                                             {25 * MB, 26 * MB, 26 * MB}}) {
    Run run;
    CHECK(run.alloc(1, bytes));
    CHECK_EQUAL(run.report().reserved, segment);
    CHECK_EQUAL(run.report().allocated, first);   // a rest of 1 MiB or less stays with a large block
  }
}

TEST("the smallest free block that fits is taken, the lowest of equals, and neighbours merge when freed") {
  Run run;
  for (std::uint32_t i = 1; i <= 5; ++i) run.alloc(i, 4 * MB);  // one segment of 20 MiB
  CHECK_EQUAL(run.report().reserved, 20 * MB);
  run.free(2), run.free(4);
  run.alloc(6, 4 * MB);
  CHECK_EQUAL(run.allocator.blocks()[1].block, 6);
  run.free(3);  // joins what 4 left
  CHECK_EQUAL(run.report().largest_free, 8 * MB);
  CHECK(run.alloc(7, 8 * MB));
  CHECK_EQUAL(run.report().reserved, 20 * MB);
  check_layout(run.allocator);
}

TEST("no room: wholly free segments are given back once, then the request fails and says what there was") {
  Run run({.limit = 100 * MB});
  run.alloc(1, 40 * MB), run.alloc(2, 40 * MB), run.free(1);
  CHECK(run.alloc(3, 50 * MB));   // 40 + 50 would be 130 with the free segment kept
  CHECK_EQUAL(run.report().reserved, 90 * MB);
  CHECK_EQUAL(run.report().segments_released, 1);
  run.free(3), run.alloc(4, 20 * MB);  // splits the segment of 50: it cannot be given back
  CHECK(!run.alloc(5, 32 * MB));
  const AllocatorReport report = run.report();
  CHECK(report.failed);
  CHECK_EQUAL(report.failure.wanted, 32 * MB);
  CHECK_EQUAL(report.failure.reserved, 90 * MB);
  CHECK_EQUAL(report.failure.allocated, 60 * MB);
  CHECK_EQUAL(report.failure.largest_free, 30 * MB);
  CHECK_EQUAL(report.failure.at, 6);
  CHECK_EQUAL(report.retries, 2);
}

TEST("streams do not share what they have freed") {
  Run run;
  run.alloc(1, 30 * MB), run.free(1), run.alloc(2, 30 * MB, 1);
  CHECK_EQUAL(run.report().reserved, 60 * MB);
  run.alloc(3, 30 * MB);
  CHECK_EQUAL(run.report().reserved, 60 * MB);
}

TEST("random traffic lies where a plain best fit puts it") {
  std::mt19937 random(3);
  for (int round = 0; round < 40; ++round) {
    Run run;
    Plain plain;
    std::vector<std::uint32_t> held;
    for (std::uint32_t block = 1; block < 600; ++block) {
      if (!held.empty() && random() % 100 < 48) {
        const std::size_t i = random() % held.size();
        run.free(held[i]), plain.free(held[i]);
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        const std::uint64_t bytes = random() % (random() % 3 == 0 ? 3000 : random() % 2 == 0 ? 3 * MB : 40 * MB);
        CHECK(run.alloc(block, bytes + 1));
        plain.alloc(block, bytes + 1);
        held.push_back(block);
      }
      CHECK_EQUAL(run.report().reserved, plain.reserved);
      CHECK_EQUAL(run.report().allocated, plain.allocated);
    }
    check_layout(run.allocator);
  }
}

TEST("expandable segments: pages of 20 and 2 MiB, no fragments, holes are given back and used again") {
  Run run({.limit = 200 * MB, .expandable_segments = true});
  CHECK(run.alloc(1, 50 * MB));
  CHECK_EQUAL(run.report().reserved, 60 * MB);
  CHECK(run.alloc(2, 50 * MB));
  CHECK_EQUAL(run.report().reserved, 100 * MB);
  CHECK(run.alloc(3, 90 * MB));
  run.free(2);
  CHECK(run.alloc(4, 40 * MB));  // into the hole
  CHECK_EQUAL(run.report().reserved, 200 * MB);
  run.free(1);
  CHECK(run.alloc(5, 52 * MB) == false);
  run.free(4);
  CHECK(run.alloc(6, 100 * MB));  // 1, 4 and the rest of 2 are one
  check_layout(run.allocator);

  std::mt19937 random(4);
  for (int round = 0; round < 40; ++round) {
    Run any({.limit = 400 * MB, .expandable_segments = true});
    std::vector<std::uint32_t> held;
    for (std::uint32_t block = 1; block < 400; ++block) {
      if (!held.empty() && random() % 100 < 50) {
        const std::size_t i = random() % held.size();
        any.free(held[i]);
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
      } else if (any.alloc(block, 1 + random() % (random() % 2 == 0 ? 2000000 : 60 * MB))) {
        held.push_back(block);
      } else {
        CHECK(any.report().failed);
      }
      CHECK(any.report().reserved <= 400 * MB);
      CHECK(any.report().reserved >= any.report().allocated);
    }
    check_layout(any.allocator);
  }
}

TEST("of any request: reserved is never below allocated, allocated never below what was asked for, and neither depends on how it is read") {
  std::mt19937 random(5);
  for (int round = 0; round < 150; ++round) {
    const Config c = random_config(random);
    EventList list;
    Peak asked;
    Both both(list, asked);
    CHECK(run_script(implementations()[round % 2], c, both).ok());
    for (const bool expandable : {false, true}) {
      CachingAllocator allocator({.limit = 0, .expandable_segments = expandable, .sample_every = 7});
      CHECK(run_script(implementations()[round % 2], c, allocator).ok());
      const AllocatorReport live = allocator.report(), replayed = replay_allocator(list.events, {.limit = 0, .expandable_segments = expandable});
      CHECK_EQUAL(live.peak_reserved, replayed.peak_reserved);
      CHECK_EQUAL(live.peak_allocated, replayed.peak_allocated);
      CHECK_EQUAL(live.events, list.events.size());
      CHECK(live.peak_reserved >= live.peak_allocated && live.peak_allocated >= asked.bytes);
      for (const AllocatorSample& sample : live.curve) CHECK(sample.reserved >= sample.allocated && sample.largest_free <= sample.reserved - sample.allocated);
      check_layout(allocator);
    }
    // With exactly what it reserved it runs; with less than it ever asked for it does not.
    const AllocatorReport free_run = replay_allocator(list.events, {});
    CHECK(!replay_allocator(list.events, {.limit = free_run.peak_reserved}).failed);
    CHECK(replay_allocator(list.events, {.limit = asked.bytes - 1}).failed);
  }
}
