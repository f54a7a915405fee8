// Times kernels of a device by the plan: phases apart, lengths ascending, shapes within a length.
#pragma once
#include <memory>

#include "host/timing/bench.h"

namespace attnscope {

enum class TimingOutcome : std::uint8_t { complete, cancelled };

/// First what depends on no length (merge, copy). Then for every length and shape: random normal queries, keys and values (zeros would flatter branch predictors and clocks), then
/// each operation of the plan. Each repetition: the cache is overwritten if the
/// plan says so, then the clock runs around the operation alone. Rows reach `sink` as they are measured; after a cancellation
/// those that were made stay. Fails where the sink does, or E_TIMING_DEVICE where the device stops answering; group_done() has been
/// called after the last row even then.
Result<TimingOutcome> run_timings(KernelDevice& device, const TimingPlan& plan, TimingSink& sink, const Cancellation& cancellation);

}  // namespace attnscope
