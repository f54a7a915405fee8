// The prompt through every layer: forward pass, reduction, emission, one layer after the other.
#pragma once
#include "host/layer_keys.h"
#include "host/run_context.h"

namespace attnscope {

/// What decoding continues from.
struct PrefillResult {
  std::vector<float> last_logits;   // of the last prompt position
  std::vector<LayerKeys> keys;      // by layer; empty when nothing will be decoded
  std::vector<KvExpansion> expansions;
};

Status prefill(RunContext& run, PrefillResult& result);

}  // namespace attnscope
