// Token by token after the prompt on a device, then the decode segment of every layer: host/decode.h on a device.
#pragma once
#include "host/decode.h"
#include "host/device/capture_pipeline.h"

namespace attnscope {

/// `logits`: of the last prompt position. A request to cancel ends the decoding; what was decoded is still reduced and emitted, unless
/// cancelled once more.
Result<DecodeResult> decode_on(DeviceRun& run, CapturePipeline& pipeline, Cancellation& cancellation, std::vector<float> logits);

}  // namespace attnscope
