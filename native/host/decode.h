// Token by token after the prompt, greedily or along given tokens, then the decode segment of every layer.
#pragma once
#include "host/prefill.h"
#include "host/run_context.h"

namespace attnscope {

struct DecodeResult {
  std::uint32_t steps = 0;   // finished
  bool cancelled = false;    // before the planned number
};

/// A request to cancel ends the decoding; what was decoded is still reduced and emitted, unless cancelled once more.
Result<DecodeResult> decode(RunContext& run, Cancellation& cancellation, PrefillResult& prefill);

}  // namespace attnscope
