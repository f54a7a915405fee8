// One request in numbers: what it holds, when, what it moves and how long that takes by the model; and what would make it smaller.
#pragma once
#include "core/memory/caching_allocator.h"
#include "core/memory/implementation.h"
#include "core/memory/times.h"

namespace attnscope::memory {

struct RequestTotals {
  std::uint64_t weights = 0;
  std::uint64_t cache_after_prefill = 0, cache_at_end = 0;   // keys and values on the device and the host together
  std::uint64_t prefill_peak = 0, reload_peak = 0, decode_peak = 0;  // bytes asked for, weights included
  Peak peak;                                                 // of the whole request
  AllocatorReport allocator;
  Transfers transfers;
  RequestTime time;                                          // modelled; all 0 without a device
};

/// One pass over the script. Where the allocator runs out of memory, what follows is not counted. E_MEMORY_CONFIG.
Result<RequestTotals> request_totals(const Implementation& implementation, const Config& config, const AllocatorSettings& allocator,
                                     const DevicePeaks& device = {}, const Efficiency& reached = {});

/// A switch, and the peak with it.
struct Remedy {
  const char* what = "";
  ClosedForm peak;
  Scheme scheme;                   // with the switch thrown
};
/// Every switch of the scheme that lowers this configuration's peak, the most effective first: last-token logits, no upcast, mini
/// sequences, chunks of 8192, offloading, a cache in place.
Result<std::vector<Remedy>> remedies(const Implementation& implementation, const Config& config);

}  // namespace attnscope::memory
