// A whole capture run: map the weights, prefill, decode, emit. What bindings and plain executables call.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "host/cancellation.h"
#include "host/capture_sink.h"
#include "host/plan.h"

namespace attnscope {

struct CaptureSummary {
  bool cancelled = false;
  std::uint32_t prefill_tokens = 0;  // 0 unless every layer saw the prompt
  std::uint32_t decode_steps = 0;
  std::vector<float> inverse_frequencies;
  std::vector<std::pair<std::string, double>> seconds;  // wall clock by phase
  std::uint64_t peak_resident_bytes = 0;                // of the process so far
  // Of a run on a device: what it was, the most memory held at once, and of what.
  std::string device, driver, products, compute;
  bool streamed_weights = false;
  std::uint64_t peak_device_bytes = 0, peak_pinned_bytes = 0;
  std::vector<std::pair<std::string, std::uint64_t>> device_bytes_at_peak;  // by category
};

/// Runs on the calling thread plus plan.threads - 1 others. `cancellation` may be requested from any thread.
Result<CaptureSummary> run_capture(const Plan& plan, CaptureSink& sink, Cancellation& cancellation);

}  // namespace attnscope
