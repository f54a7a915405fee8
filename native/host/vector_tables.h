// Tables of vectors: q, k and v as stored, pooled queries, and statistics of the queries before rotation.
#pragma once
#include "host/layer_keys.h"
#include "host/table_emitter.h"

namespace attnscope {

/// Keys and values of the tokens in `rows`.
Status emit_keys_values(TableEmitter& emitter, const LayerKeys& keys, TokenRange rows);

/// Queries [rows][heads * head dim] of prompt positions 0, 1, ...: all of heads that keep every query, else the plan's rows.
Status emit_prompt_queries(TableEmitter& emitter, Rows queries);
/// Queries of every decode step; the first row is position `first`.
Status emit_decode_queries(TableEmitter& emitter, Rows queries, std::uint32_t first);

Status emit_pooled_queries(TableEmitter& emitter, Rows queries);

/// `queries` before rotation and rounding.
Status emit_query_stats(TableEmitter& emitter, Rows queries);

}  // namespace attnscope
