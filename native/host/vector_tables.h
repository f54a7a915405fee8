// Tables of vectors: q, k and v as stored, pooled queries, and statistics of the queries before rotation.
#pragma once
#include "core/dtype.h"
#include "core/kv_stats.h"
#include "host/kv_cache.h"
#include "host/table_emitter.h"

namespace attnscope {

/// Rows of one head's vectors as they lie in memory: fp32, or as the plan stores them.
struct StoredRows {
  const void* data = nullptr;
  std::size_t stride = 0;  // elements
  DType dtype = DType::f32;

  StoredRows() = default;
  StoredRows(Rows rows) : data(rows.data), stride(rows.stride) {}
  StoredRows(const void* data, std::size_t stride, DType dtype) : data(data), stride(stride), dtype(dtype) {}
  const void* row(std::size_t i) const { return static_cast<const std::byte*>(data) + i * stride * size_of(dtype); }
};

/// Keys and values of the tokens in `range`, by kv head; row = position.
Status emit_keys_values(TableEmitter& emitter, std::span<const StoredRows> keys, std::span<const StoredRows> values, TokenRange range);
Status emit_keys_values(TableEmitter& emitter, std::span<const KvView> heads, TokenRange range);

/// Queries of one head: row i is that of tokens[i].
Status emit_picked_queries(TableEmitter& emitter, std::uint32_t head, const StoredRows& rows, std::span<const std::uint32_t> tokens);
/// The queries of tokens first, first + 1, ..., a row each.
Status emit_all_queries(TableEmitter& emitter, std::uint32_t head, const StoredRows& rows, std::uint32_t first, std::uint32_t count);
/// Prompt positions whose queries a head stores: all, or the plan's rows.
bool stores_every_query(const Plan& plan, std::uint32_t layer, std::uint32_t head);

/// Mean queries of one head by block, [blocks][head dim].
Status emit_pooled_queries(TableEmitter& emitter, std::uint32_t head, std::span<const float> means);

/// Of the queries of every head before rotation and rounding, from position sink_tokens on.
Status emit_query_stats(TableEmitter& emitter, std::span<const MeanCovariance> stats);

}  // namespace attnscope
