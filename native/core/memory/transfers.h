// What offloading moves and holds on the host, and the time of it.
#pragma once
#include "core/memory/events.h"

namespace attnscope::memory {

/// Sums a script's transfers. Host memory is pinned, each buffer rounded up to a power of two.
struct Transfers final : EventSink {
  static constexpr std::size_t phases = 4;
  std::array<std::uint64_t, phases> to_host{}, to_device{};  // bytes, by phase
  std::uint64_t copies = 0;
  std::uint64_t largest_copy = 0;
  std::uint64_t host_bytes = 0, host_used = 0;               // the most pinned at once, and what of that holds something

  bool on(const Event& event) override;
  std::uint64_t bytes(Phase phase) const { return to_host[static_cast<std::size_t>(phase)] + to_device[static_cast<std::size_t>(phase)]; }

 private:
  std::uint64_t pinned_ = 0;
  std::uint64_t used_ = 0;
};

/// Bytes a second each way between pinned host memory and the device.
struct Link {
  double to_host = 0, to_device = 0;
};

struct LinkTime {
  double link_s = 0;               // every byte of the phase, both ways one after the other
  double apart_s = 0;              // compute, then link: nothing overlaps, as transformers' cache runs it in prefill
  double overlapped_s = 0;         // the longer of both ways and compute, and one copy that nothing hides
};
LinkTime link_time(const Transfers& transfers, Phase phase, const Link& link, double compute_s);

}  // namespace attnscope::memory
