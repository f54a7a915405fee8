// Tables of the cached keys and values: kv for both segments; pages and channels of the prompt.
#pragma once
#include <span>

#include "host/kv_cache.h"
#include "host/table_emitter.h"

namespace attnscope {

// `heads`: the layer's keys and values by kv head, every token from position 0 on.

/// Norms and LagKV deviations of the tokens in `rows`; the deviations see the whole cached sequence.
Status emit_kv(TableEmitter& emitter, std::span<const KvView> heads, TokenRange rows);

Status emit_pages(TableEmitter& emitter, std::span<const KvView> heads);
Status emit_channels(TableEmitter& emitter, std::span<const KvView> heads);

}  // namespace attnscope
