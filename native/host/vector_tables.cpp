#include "host/vector_tables.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace attnscope {
namespace {

/// `count` rows in storage precision: raw 16-bit values or float32. row(i) -> where row i begins.
template <class RowAt>
Column packed(const char* name, DType from, RowAt row, std::size_t count, std::size_t dim, DType dtype) {
  auto gather = [&]<class T>(std::vector<T> values) {
    for (std::size_t i = 0; i < count; ++i) {
      if (from == dtype) std::memcpy(values.data() + i * dim, row(i), dim * sizeof(T));
      else from_float(dtype, static_cast<const float*>(row(i)), dim, values.data() + i * dim);
    }
    return column(name, std::move(values), static_cast<std::uint32_t>(dim));
  };
  if (dtype == DType::f32) return gather(std::vector<float>(count * dim));
  return gather(std::vector<std::uint16_t>(count * dim));
}

/// `count` rows of every head of q, k or v in batches. token(i) -> position of row i; row(h, i) -> where row i of heads[h] begins.
template <class TokenAt, class RowAt>
Status emit_vectors(TableEmitter& emitter, const char* table, const char* head_column, std::uint32_t first_head, std::size_t heads, DType from, std::size_t count,
                    TokenAt token, RowAt row) {
  const std::size_t batches = (count + kVectorBatchRows - 1) / kVectorBatchRows;  // of a head
  return emitter.emit_each(table, heads * batches, [&](std::size_t batch) {
    const std::size_t h = batch / batches, begin = batch % batches * kVectorBatchRows, n = std::min<std::size_t>(kVectorBatchRows, count - begin);
    std::vector<std::uint32_t> tokens(n);
    for (std::size_t i = 0; i < n; ++i) tokens[i] = token(begin + i);
    std::vector<Column> columns;
    columns.push_back(constant<std::uint16_t>(head_column, n, first_head + static_cast<std::uint32_t>(h)));
    columns.push_back(column("token", std::move(tokens)));
    columns.push_back(packed(table, from, [&](std::size_t i) { return row(h, begin + i); }, n, emitter.plan().model.head_dim, emitter.plan().vectors));
    return TableEmitter::Rows{n, std::move(columns)};
  });
}

/// Rows of tokens `range` of all heads; a head's row `skipped` is the first.
Status emit_range(TableEmitter& emitter, const char* table, const char* head_column, std::uint32_t first_head, std::span<const StoredRows> heads, std::size_t skipped, TokenRange range) {
  if (heads.empty()) return success();
  return emit_vectors(emitter, table, head_column, first_head, heads.size(), heads[0].dtype, range.size(), [&](std::size_t i) { return range.begin + static_cast<std::uint32_t>(i); },
                      [&](std::size_t h, std::size_t i) { return heads[h].row(skipped + i); });
}

}  // namespace

Status emit_keys_values(TableEmitter& emitter, std::span<const StoredRows> keys, std::span<const StoredRows> values, TokenRange range) {
  ATTNSCOPE_TRY(emit_range(emitter, "k", "kv_head", 0, keys, range.begin, range));
  return emit_range(emitter, "v", "kv_head", 0, values, range.begin, range);
}

Status emit_keys_values(TableEmitter& emitter, std::span<const KvView> heads, TokenRange range) {
  std::vector<StoredRows> keys, values;
  for (const KvView& view : heads) keys.emplace_back(view.keys), values.emplace_back(view.values);
  return emit_keys_values(emitter, keys, values, range);
}

Status emit_picked_queries(TableEmitter& emitter, std::uint32_t head, const StoredRows& rows, std::span<const std::uint32_t> tokens) {
  return emit_vectors(emitter, "q", "head", head, 1, rows.dtype, tokens.size(), [&](std::size_t i) { return tokens[i]; }, [&](std::size_t, std::size_t i) { return rows.row(i); });
}

Status emit_all_queries(TableEmitter& emitter, std::uint32_t head, const StoredRows& rows, std::uint32_t first, std::uint32_t count) {
  return emit_range(emitter, "q", "head", head, {&rows, 1}, 0, {first, first + count});
}

bool stores_every_query(const Plan& plan, std::uint32_t layer, std::uint32_t head) {
  return plan.store.full_query_heads[std::size_t(layer) * plan.model.heads + head] != 0;
}

Status emit_pooled_queries(TableEmitter& emitter, std::uint32_t head, std::span<const float> means) {
  const std::uint32_t dim = emitter.plan().model.head_dim;
  const std::size_t blocks = means.size() / dim;
  for (std::size_t begin = 0; begin < blocks; begin += kVectorBatchRows) {
    const std::size_t n = std::min<std::size_t>(kVectorBatchRows, blocks - begin);
    std::vector<Column> columns;
    columns.push_back(constant<std::uint16_t>("head", n, head));
    columns.push_back(counting("block", n, static_cast<std::uint32_t>(begin)));
    columns.push_back(column("q", std::vector<float>(means.begin() + begin * dim, means.begin() + (begin + n) * dim), dim));
    ATTNSCOPE_TRY(emitter.emit("qPooled", n, std::move(columns)));
  }
  return success();
}

Status emit_query_stats(TableEmitter& emitter, std::span<const MeanCovariance> stats) {
  const std::uint32_t heads = emitter.plan().model.heads, dim = emitter.plan().model.head_dim, prompt = emitter.plan().prompt_tokens();
  std::vector<std::uint16_t> ids(heads);
  std::iota(ids.begin(), ids.end(), std::uint16_t{0});
  std::vector<float> mean, covariance;
  for (const MeanCovariance& s : stats) {
    mean.insert(mean.end(), s.mean.begin(), s.mean.end());
    covariance.insert(covariance.end(), s.covariance.begin(), s.covariance.end());
  }
  std::vector<Column> columns;
  columns.push_back(column("head", std::move(ids)));
  columns.push_back(constant<std::uint32_t>("tokens", heads, prompt - std::min(emitter.plan().reduce.sink_tokens, prompt)));
  columns.push_back(column("mean", std::move(mean), dim));
  columns.push_back(column("covariance", std::move(covariance), dim * dim));
  return emitter.emit("queryStats", heads, std::move(columns));
}

}  // namespace attnscope
