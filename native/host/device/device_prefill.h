// The prompt through every layer on a device, as host/prefill.h does on the CPU.
#pragma once
#include "host/device/capture_pipeline.h"

namespace attnscope {

/// `last_logits` receives those of the last prompt position.
Status prefill_on(DeviceRun& run, CapturePipeline& pipeline, std::vector<float>& last_logits);

/// Logits of the last layer's output of one row, on the host; waits for them and for all counters.
Status logits_of(DeviceRun& run, const float* hidden, std::vector<float>& logits);

}  // namespace attnscope
