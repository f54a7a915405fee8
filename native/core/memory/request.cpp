#include "core/memory/request.h"

#include <algorithm>

namespace attnscope::memory {
namespace requests {
namespace {

/// Peaks by phase, and keys and values wherever they are.
struct Phases final : EventSink {
  std::array<std::uint64_t, Transfers::phases> peaks{};
  std::uint64_t now = 0, cache = 0, after_prefill = 0;

  bool on(const Event& e) override {
    const bool in = e.kind == Kind::alloc;
    if (in || e.kind == Kind::free) {
      now += in ? e.bytes : -e.bytes;
      if (e.category == Category::kv) cache += in ? e.bytes : -e.bytes;
    }
    if (e.kind == Kind::d2h) cache += e.bytes;       // its pages are pinned under another size
    else if (e.kind == Kind::h2d) cache -= e.bytes;
    std::uint64_t& peak = peaks[static_cast<std::size_t>(e.phase)];
    peak = std::max(peak, now);
    if (e.phase == Phase::prefill) after_prefill = cache;
    return true;
  }
};

}  // namespace
}  // namespace requests

Result<RequestTotals> request_totals(const Implementation& implementation, const Config& config, const AllocatorSettings& settings,
                                     const DevicePeaks& device, const Efficiency& reached) {
  RequestTotals out;
  requests::Phases phases;
  CachingAllocator allocator(settings);
  Both counted(out.transfers, out.peak), first(phases, counted), all(allocator, first);
  if (const Status ran = run_script(implementation, config, all); !ran) return ran.error();
  out.weights = weight_bytes(config.model, config.dtype);
  out.cache_after_prefill = phases.after_prefill;
  out.cache_at_end = phases.cache;
  out.prefill_peak = phases.peaks[static_cast<std::size_t>(Phase::prefill)];
  out.reload_peak = phases.peaks[static_cast<std::size_t>(Phase::reload)];
  out.decode_peak = phases.peaks[static_cast<std::size_t>(Phase::decode)];
  out.allocator = allocator.report();
  if (device.flops > 0 && reached.products > 0) out.time = request_time(config, out.transfers, device, reached);
  return out;
}

Result<std::vector<Remedy>> remedies(const Implementation& implementation, const Config& config) {
  const Result<ClosedForm> now = peak(implementation, config);
  if (!now) return now.error();
  struct Switch {
    const char* what;
    void (*set)(Scheme&);
  };
  constexpr Switch switches[] = {
      {"logits of the last token alone", [](Scheme& s) { s.logits.rows = LogitsMode::Rows::last; }},
      {"logits without the fp32 copy", [](Scheme& s) { s.logits.upcast = false; }},
      {"MLP in mini-sequences of 4096", [](Scheme& s) { s.mini.mode = MiniSequence::Mode::by_size, s.mini.piece_tokens = 4096; }},
      {"prefill in chunks of 8192", [](Scheme& s) { s.chunk_tokens = 8192; }},
      {"keys and values on the host during prefill", [](Scheme& s) { s.offload = {Offload::Unit::layer, true}, s.cache = Scheme::Cache::growing; }},
      {"a cache written in place", [](Scheme& s) { s.cache = Scheme::Cache::in_place, s.offload.unit = Offload::Unit::none; }},
  };
  std::vector<Remedy> out;
  for (const Switch& one : switches) {
    Config changed = config;
    one.set(changed.scheme);
    const Result<ClosedForm> then = peak(implementation, changed);
    if (then && then.value().bytes < now.value().bytes) out.push_back({one.what, then.value(), changed.scheme});
  }
  std::stable_sort(out.begin(), out.end(), [](const Remedy& a, const Remedy& b) { return a.peak.bytes < b.peak.bytes; });
  return out;
}

}  // namespace attnscope::memory
