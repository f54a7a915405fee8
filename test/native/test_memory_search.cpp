// The search for the longest context with policies that follow the length, and the time of transfers.
#include <algorithm>

#include "check.h"
#include "core/memory/max_context.h"
#include "core/memory/request.h"
#include "core/policy/lagkv_size.h"
#include "test_memory_cases.h"

using namespace memory_cases;

namespace {

const Implementation& hf() { return implementations()[0]; }
constexpr std::uint64_t budget = 40ull << 30;

}  // namespace

TEST("what a policy keeps follows the length: LagKV in chunks reaches further than the same chunks without") {
  const auto at = [](bool lagkv) {
    return [lagkv](std::uint32_t tokens) {
      Config c = config(llama3_8b(), "chunked", tokens, 5);
      c.scheme.logits.rows = LogitsMode::Rows::last;
      if (!lagkv) return c;
      for (std::uint32_t call = 0; call < prefill_calls(c); ++call) {
        const std::uint32_t fed = std::min(tokens, (call + 1) * c.scheme.chunk_tokens);
        c.retention.kept.insert(c.retention.kept.end(), c.model.layers, attnscope::lagkv_kept(fed, 16, 1024, 0.25));
      }
      return c;
    };
  };
  const ContextSearch search{.budget = budget, .grid = 20000, .confirm = 2};
  const ContextBand plain = max_context(hf(), at(false), search).value(), lagkv = max_context(hf(), at(true), search).value();
  CHECK(plain.longest > 100000 && lagkv.longest > 2.5 * plain.longest);
  for (const ContextBand& band : {plain, lagkv}) {
    CHECK(band.all_below <= band.longest && band.longest <= band.by_bytes);
    CHECK(std::is_sorted(band.tried.begin(), band.tried.end(), [](const ContextPoint& a, const ContextPoint& b) { return a.tokens < b.tokens; }));
    for (const ContextPoint& point : band.tried) CHECK(point.feasible ? point.peak_reserved <= budget : point.failure.wanted > 0);
  }
}

TEST("nothing fits where not even the weights do; a larger budget never shortens what bytes allow; what cannot be is refused") {
  const ConfigAt at = [](std::uint32_t tokens) { return config(llama3_8b(), "standard", tokens, 1); };
  const ContextBand none = max_context(hf(), at, {.budget = 8ull << 30}).value();
  CHECK_EQUAL(none.longest + none.all_below + none.by_bytes, 0);
  CHECK(none.tried.empty());
  std::uint32_t before = 0;
  for (std::uint64_t gib = 14; gib < 60; gib += 3) {
    const std::uint32_t tokens = max_context_by_bytes(hf(), at, {.budget = gib << 30, .grid = 100}).value();
    CHECK(tokens >= before);
    if (tokens > 0) CHECK(peak(hf(), at(tokens).value()).value().bytes <= gib << 30);
    CHECK(peak(hf(), at(tokens + 100).value()).value().bytes > gib << 30);
    before = tokens;
  }
  const auto refused = max_context(hf(), [&](std::uint32_t tokens) { return config({}, "standard", tokens, 1); }, {.budget = budget});
  CHECK(!refused.ok() && refused.error().code == "E_MEMORY_CONFIG");
}

TEST("transfers: apart they add up, overlapped the slowest of three hides the others but for one copy") {
  Transfers moved;
  moved.to_host[std::size_t(Phase::prefill)] = 10e9;
  moved.to_device[std::size_t(Phase::prefill)] = 5e9;
  moved.largest_copy = 1e9;
  const LinkTime slow = link_time(moved, Phase::prefill, {10e9, 20e9}, 0.4);
  CHECK_NEAR(slow.link_s, 1.25, 1e-12, 0);
  CHECK_NEAR(slow.apart_s, 1.65, 1e-12, 0);
  CHECK_NEAR(slow.overlapped_s, 1.1, 1e-12, 0);
  CHECK_NEAR(link_time(moved, Phase::prefill, {10e9, 20e9}, 3).overlapped_s, 3.1, 1e-12, 0);
  CHECK_EQUAL(link_time(moved, Phase::decode, {10e9, 20e9}, 3).link_s, 0);
}

TEST("a cache that stays on the host is read whole in every step, and pinned in powers of two") {
  for (const Offload::Unit unit : {Offload::Unit::layer, Offload::Unit::head}) {
    Config c = config(llama3_8b(), "last-token", 40000, 3);
    c.scheme.offload = {unit, false};
    const RequestTotals totals = request_totals(hf(), c, {}).value();
    const std::uint64_t entries = unit == Offload::Unit::head ? 256 : 32, entry = cache_bytes(c, 1) / entries;
    // The first is there when a step begins; it is brought again, one token longer, for the next.
    std::uint64_t read = 0;
    for (std::uint32_t step = 0; step < 3; ++step) read += (entries - 1) * entry * (40000 + step) + entry * (40001 + step);
    CHECK_EQUAL(totals.transfers.to_device[std::size_t(Phase::decode)], read);
    CHECK(totals.transfers.host_bytes >= totals.transfers.host_used && totals.transfers.host_bytes < 2.2 * totals.transfers.host_used);
    CHECK_EQUAL(totals.cache_at_end, cache_bytes(c, 40003));
    CHECK_EQUAL(totals.reload_peak, 0);
    CHECK(totals.decode_peak < totals.prefill_peak);
  }
}
