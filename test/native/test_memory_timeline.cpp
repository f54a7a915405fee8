// The request over event index, as rows of a table, and what retention policies leave: against sums over the plain event list.
#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "check.h"
#include "core/memory/event_rows.h"
#include "core/memory/retained.h"
#include "core/memory/timeline.h"
#include "core/policy/lagkv_size.h"
#include "test_memory_cases.h"

using namespace memory_cases;

namespace {

const Implementation& hf() { return implementations()[0]; }

/// After every event, from nothing but the list.
struct Sums {
  std::vector<std::uint64_t> device, host, to_host, to_device;
  std::vector<Breakdown> by_category;
};
Sums sums_of(const std::vector<Event>& events) {
  Sums out;
  Breakdown used{};
  std::uint64_t host = 0;
  for (const Event& e : events) {
    std::uint64_t& own = used[static_cast<std::size_t>(e.category)];
    if (e.kind == Kind::alloc) own += e.bytes;
    if (e.kind == Kind::free) own -= e.bytes;
    if (e.kind == Kind::host_alloc) host += e.bytes;
    if (e.kind == Kind::host_free) host -= e.bytes;
    out.by_category.push_back(used);
    out.device.push_back(std::accumulate(used.begin(), used.end(), std::uint64_t{0}));
    out.host.push_back(host);
    out.to_host.push_back(e.kind == Kind::d2h ? e.bytes : 0);
    out.to_device.push_back(e.kind == Kind::h2d ? e.bytes : 0);
  }
  return out;
}

std::vector<Event> events_of(const Config& config) {
  EventList list;
  CHECK(run_script(hf(), config, list).ok());
  return list.events;
}

void check_points(const Timeline& timeline, const std::vector<Event>& events, std::uint64_t from, std::uint64_t to, std::uint32_t most) {
  const Sums sums = sums_of(events);
  const std::vector<TimelinePoint>& points = timeline.points();
  CHECK(points.size() <= most);
  CHECK(!points.empty() && points.front().begin == from);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const TimelinePoint& p = points[i];
    const std::uint64_t end = i + 1 < points.size() ? points[i + 1].begin : to;
    CHECK(p.begin < end && p.at >= p.begin && p.at < end);
    const auto over = [&](const std::vector<std::uint64_t>& values) { return std::pair(values.begin() + static_cast<std::ptrdiff_t>(p.begin), values.begin() + static_cast<std::ptrdiff_t>(end)); };
    const auto [first, last] = over(sums.device);
    const auto most_at = std::max_element(first, last);
    CHECK_EQUAL(p.total, *most_at);
    CHECK_EQUAL(p.at, p.begin + static_cast<std::uint64_t>(most_at - first));
    CHECK_EQUAL(p.least, *std::min_element(first, last));
    CHECK(p.by_category == sums.by_category[p.at]);
    CHECK(p.event.op == events[p.at].op && p.event.layer == events[p.at].layer && p.event.phase == events[p.at].phase);
    const auto [host, host_end] = over(sums.host);
    CHECK_EQUAL(p.host, *std::max_element(host, host_end));
    const auto [out, out_end] = over(sums.to_host);
    CHECK_EQUAL(p.to_host, std::accumulate(out, out_end, std::uint64_t{0}));
    const auto [in, in_end] = over(sums.to_device);
    CHECK_EQUAL(p.to_device, std::accumulate(in, in_end, std::uint64_t{0}));
    CHECK(p.reserved >= p.total && p.most_reserved >= p.reserved);
  }
}

}  // namespace

TEST("points of a timeline are maxima, minima and sums of their events, at any number of points and in any range") {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    const Config c = random_config(random);
    const std::vector<Event> events = events_of(c);
    for (const std::uint32_t most : {2u, 37u, 1000u, 1u << 20}) {
      Timeline whole({}, most);
      CHECK(run_script(hf(), c, whole).ok());
      CHECK_EQUAL(whole.events(), events.size());
      check_points(whole, events, 0, events.size(), most);
      CHECK(2 * whole.points().size() >= std::min<std::size_t>(most, events.size()));
    }
    const std::uint64_t from = events.size() / 3, to = events.size() / 2 + 2;
    if (to > events.size()) continue;
    Timeline part({}, 20, from, to);
    CHECK(run_script(hf(), c, part).ok());
    check_points(part, events, from, to, 20);
    Peak peak;
    for (const Event& e : events) peak.on(e);
    CHECK_EQUAL(part.peak(), peak.bytes);
    CHECK_EQUAL(part.peak_at(), peak.at);
    for (std::size_t i = 0; i < part.calls().size(); ++i) {
      const CallStart& call = part.calls()[i];
      CHECK(events[call.begin].phase == call.phase && events[call.begin].step == call.step);
      if (i > 0) CHECK(events[call.begin - 1].phase != call.phase || events[call.begin - 1].step != call.step);
    }
  }
}

TEST("a timeline and the state end where the allocator does") {
  const Config c = config(llama3_8b(), "standard", 160000, 5);
  const AllocatorSettings settings{.limit = static_cast<std::uint64_t>(78.7 * GiB)};
  Timeline timeline(settings, 500);
  CHECK(run_script(hf(), c, timeline).ok());
  const AllocatorReport report = timeline.allocator();
  CHECK(report.failed && report.failure.at == timeline.events() && report.failure.event.op == Op::lm_head);
  AllocatorState state(settings, ~0ull);
  CHECK(run_script(hf(), c, state).ok());
  CHECK_EQUAL(state.events(), timeline.events());
  std::uint64_t used = 0, reserved = 0;
  std::uint32_t segment = ~0u;
  for (const BlockView& block : state.allocator().blocks()) {
    if (block.segment != segment) reserved += block.segment_bytes, segment = block.segment;
    if (block.block == 0) continue;
    used += block.bytes;
    const Event* made = state.made_by(block.block);
    CHECK(made != nullptr && made->bytes == block.requested && made->kind == Kind::alloc);
  }
  CHECK_EQUAL(used, report.failure.allocated);
  CHECK_EQUAL(reserved, report.failure.reserved);
  CHECK(state.made_by(1u << 30) == nullptr);
}

TEST("rows of the event table: events in order, blocks where nothing else lies, segments that add up, pages that join") {
  std::mt19937 random(12);
  for (int round = 0; round < 40; ++round) {
    const Config c = random_config(random);
    const AllocatorSettings settings{.limit = round % 3 == 0 ? 64ull << 20 : 0, .expandable_segments = round % 2 == 1};
    EventRows all(settings, 0, 1u << 24);
    CHECK(run_script(hf(), c, all).ok());
    CHECK(!all.more());
    const std::vector<Event> events = events_of(c);
    CachingAllocator allocator(settings);
    std::size_t next = 0;
    std::uint64_t reserved = 0;
    std::map<std::uint64_t, EventRow> held;                // by address
    std::map<std::uint64_t, std::uint32_t> begun;
    for (std::size_t i = 0; i < all.rows().size(); ++i) {
      const EventRow& row = all.rows()[i];
      CHECK_EQUAL(row.seq, i);
      if (row.kind == RowKind::phase) continue;
      if (row.kind == RowKind::seg_alloc || row.kind == RowKind::seg_free) {
        reserved += row.kind == RowKind::seg_alloc ? row.bytes : -row.bytes;
        continue;
      }
      const Event& e = events[next++];
      CHECK(row.bytes == e.bytes && row.block == e.block && row.layer == e.layer && row.category == e.category && row.op == e.op && row.step == e.step);
      const bool served = allocator.on(e);
      CHECK_EQUAL(reserved, allocator.reserved());
      CHECK_EQUAL(served, row.kind != RowKind::oom);
      if (row.kind == RowKind::oom) {
        CHECK_EQUAL(i + 1, all.rows().size());
        CHECK_EQUAL(row.rounded, allocator.report().failure.wanted);
        break;
      }
      CHECK_EQUAL(static_cast<int>(row.kind), static_cast<int>(e.kind));
      if (e.kind == Kind::alloc) {
        CHECK(row.rounded >= row.bytes && row.segment > 0);
        CHECK_EQUAL(row.version, begun[row.address]++);
        const auto after = held.lower_bound(row.address);
        if (after != held.end()) CHECK(row.address + row.rounded <= after->first);
        if (after != held.begin()) CHECK(std::prev(after)->first + std::prev(after)->second.rounded <= row.address);
        held[row.address] = row;
      } else if (e.kind == Kind::free) {
        const auto found = held.find(row.address);
        CHECK(found != held.end());
        if (found == held.end()) return;
        CHECK(found->second.block == row.block && found->second.segment == row.segment && found->second.rounded == row.rounded && found->second.version == row.version);
        held.erase(found);
      }
    }
    std::uint64_t used = 0;
    for (const auto& [address, row] : held) used += row.rounded;
    CHECK_EQUAL(used, allocator.report().allocated);
    std::size_t at = 0;
    for (bool more = true; more;) {
      EventRows page(settings, at, 100);
      CHECK(run_script(hf(), c, page).ok());
      for (const EventRow& row : page.rows()) {
        const EventRow& same = all.rows()[at++];
        CHECK(row.seq == same.seq && row.kind == same.kind && row.block == same.block && row.address == same.address && row.version == same.version);
      }
      more = page.more();
    }
    CHECK_EQUAL(at, all.rows().size());
  }
}

TEST("retention: what policies keep by their own closed form, in layers they act on and when they evict") {
  Config c = config(llama3_8b(), "chunked", 20000, 5);
  const auto kept = [&](std::string_view text) { return retained_by(c, attnscope::parse_policy(text).value()).value(); };
  const Retention lag = kept("lagkv-official:skip_layers=2");
  CHECK_EQUAL(lag.kept.size(), 3 * 32);
  const std::uint32_t fed[] = {8192, 16384, 20000};
  const auto& descriptor = attnscope::find_policy("lagkv-official").value()->descriptor;
  const auto value = [&](std::string_view name) {
    for (const attnscope::Parameter& p : descriptor.parameters)
      if (name == p.name) return p.fallback;
    return 0.0;
  };
  for (int call = 0; call < 3; ++call)
    for (int layer = 0; layer < 32; ++layer)
      CHECK_EQUAL(lag.kept[call * 32 + layer], layer < 2 ? fed[call] : attnscope::lagkv_kept(fed[call], static_cast<std::uint32_t>(value("sink")), static_cast<std::uint32_t>(value("lag")), value("ratio")));
  CHECK(lag.decode == Retention::Decode::grows);

  const Retention stream = kept("streaming-llm:sink=4,recent=1000");
  CHECK(std::all_of(stream.kept.begin(), stream.kept.end(), [](std::uint32_t n) { return n == 1004; }));
  CHECK(stream.decode == Retention::Decode::holds);

  // A budget evicts when the prompt ends.
  const Retention keydiff = kept("keydiff-budget:tokens=2000");
  for (int call = 0; call < 3; ++call) CHECK_EQUAL(keydiff.kept[call * 32], call < 2 ? fed[call] : 2000);

  const auto refused = retained_by(c, attnscope::parse_policy("vertical-slash").value());
  CHECK(!refused.ok() && refused.error().code == "E_MEMORY_POLICY");

  const Retention share = retained_share(c, 0.3).value();
  CHECK(share.kept[0] == 2458 && share.kept[95] == 6000);
  for (const double bad : {0.0, -1.0, 1.5, std::nan("")}) CHECK(!retained_share(c, bad).ok());
  c.retention = share;
  CHECK(validate(c).ok());
  CHECK(peak(hf(), c).value().bytes < peak(hf(), config(llama3_8b(), "chunked", 20000, 5)).value().bytes);
}

TEST("schemes have the names they are asked by") {
  CHECK_EQUAL(schemes().size(), 7);
  for (const NamedScheme& one : schemes()) {
    CHECK(named_scheme(one.id).ok());
    CHECK(std::string_view(one.doc).size() > 10);
  }
  const auto refused = named_scheme("nothing");
  CHECK(!refused.ok() && refused.error().code == "E_MEMORY_SCHEME" && refused.error().message.find("mini-sequence, offload, mom, headinfer") != std::string::npos);
}
