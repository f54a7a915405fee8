// Tables of the cached keys and values: kv for both segments; pages and channels of the prompt.
#pragma once
#include "host/layer_keys.h"
#include "host/table_emitter.h"

namespace attnscope {

/// Norms and LagKV deviations of the tokens in `rows`; the deviations see the whole cached sequence.
Status emit_kv(TableEmitter& emitter, const LayerKeys& keys, TokenRange rows);

Status emit_pages(TableEmitter& emitter, const LayerKeys& keys);
Status emit_channels(TableEmitter& emitter, const LayerKeys& keys);

}  // namespace attnscope
