#include "host/vector_tables.h"

#include <algorithm>
#include <numeric>

#include "core/kv_stats.h"

namespace attnscope {
namespace {

/// The rows at `positions` (relative to `rows`) in storage precision: raw 16-bit values or float32.
Column packed(const char* name, Rows rows, std::span<const std::uint32_t> positions, DType dtype) {
  const std::size_t dim = rows.dim;
  auto gather = [&]<class T>(std::vector<T> values) {
    for (std::size_t i = 0; i < positions.size(); ++i) from_float(dtype, rows.row(positions[i]), dim, values.data() + i * dim);
    return column(name, std::move(values), static_cast<std::uint32_t>(dim));
  };
  if (dtype == DType::f32) return gather(std::vector<float>(positions.size() * dim));
  return gather(std::vector<std::uint16_t>(positions.size() * dim));
}

/// One head of q, k or v in batches; `positions` index `rows` and start at token `first`.
Status emit_vectors(TableEmitter& emitter, const char* table, const char* head_column, std::uint32_t head, Rows rows,
                    std::span<const std::uint32_t> positions, std::uint32_t first) {
  for (std::size_t begin = 0; begin < positions.size(); begin += kVectorBatchRows) {
    const auto batch = positions.subspan(begin, std::min<std::size_t>(kVectorBatchRows, positions.size() - begin));
    std::vector<std::uint32_t> tokens(batch.begin(), batch.end());
    for (std::uint32_t& token : tokens) token += first;
    std::vector<Column> columns;
    columns.push_back(constant<std::uint16_t>(head_column, batch.size(), head));
    columns.push_back(column("token", std::move(tokens)));
    columns.push_back(packed(table, rows, batch, emitter.plan().vectors));
    ATTNSCOPE_TRY(emitter.emit(table, batch.size(), std::move(columns)));
  }
  return success();
}

std::vector<std::uint32_t> positions_below(std::size_t n) {
  std::vector<std::uint32_t> positions(n);
  std::iota(positions.begin(), positions.end(), 0u);
  return positions;
}

}  // namespace

Status emit_keys_values(TableEmitter& emitter, const LayerKeys& keys, TokenRange rows) {
  const auto positions = positions_below(rows.size());
  for (std::uint32_t h = 0; h < emitter.plan().model.kv_heads; ++h) {
    const KvView& view = keys.view(h);
    ATTNSCOPE_TRY(emit_vectors(emitter, "k", "kv_head", h, view.keys.slice(rows.begin, rows.size()), positions, rows.begin));
    ATTNSCOPE_TRY(emit_vectors(emitter, "v", "kv_head", h, view.values.slice(rows.begin, rows.size()), positions, rows.begin));
  }
  return success();
}

Status emit_prompt_queries(TableEmitter& emitter, Rows queries) {
  const Plan& plan = emitter.plan();
  const auto every = positions_below(queries.count);
  for (std::uint32_t h = 0; h < plan.model.heads; ++h) {
    const bool full = plan.store.full_query_heads[std::size_t(emitter.layer()) * plan.model.heads + h] != 0;
    const std::span<const std::uint32_t> positions = full ? every : plan.store.query_rows;
    ATTNSCOPE_TRY(emit_vectors(emitter, "q", "head", h, head_rows(queries, h, plan.model.head_dim), positions, 0));
  }
  return success();
}

Status emit_decode_queries(TableEmitter& emitter, Rows queries, std::uint32_t first) {
  const auto every = positions_below(queries.count);
  for (std::uint32_t h = 0; h < emitter.plan().model.heads; ++h)
    ATTNSCOPE_TRY(emit_vectors(emitter, "q", "head", h, head_rows(queries, h, emitter.plan().model.head_dim), every, first));
  return success();
}

Status emit_pooled_queries(TableEmitter& emitter, Rows queries) {
  const std::uint32_t block = emitter.plan().reduce.query_pool_tokens, dim = emitter.plan().model.head_dim;
  const std::size_t blocks = (queries.count + block - 1) / block;
  for (std::uint32_t h = 0; h < emitter.plan().model.heads; ++h) {
    std::vector<float> means(blocks * dim);
    {
      PhaseClock::Section section(emitter.run().clock, Work::reduce);
      pool_rows(head_rows(queries, h, dim), block, {means.data(), blocks, dim, dim});
    }
    for (std::size_t begin = 0; begin < blocks; begin += kVectorBatchRows) {
      const std::size_t n = std::min<std::size_t>(kVectorBatchRows, blocks - begin);
      std::vector<Column> columns;
      columns.push_back(constant<std::uint16_t>("head", n, h));
      columns.push_back(counting("block", n, static_cast<std::uint32_t>(begin)));
      columns.push_back(column("q", std::vector<float>(means.begin() + begin * dim, means.begin() + (begin + n) * dim), dim));
      ATTNSCOPE_TRY(emitter.emit("qPooled", n, std::move(columns)));
    }
  }
  return success();
}

Status emit_query_stats(TableEmitter& emitter, Rows queries) {
  RunContext& run = emitter.run();
  const std::uint32_t heads = run.plan.model.heads, dim = run.plan.model.head_dim;
  const std::size_t skipped = std::min<std::size_t>(run.plan.reduce.sink_tokens, queries.count), tokens = queries.count - skipped;
  std::vector<MeanCovariance> stats(heads);
  {
    PhaseClock::Section section(run.clock, Work::reduce);
    const bool complete = run.pool.parallel_for(heads, [&](std::size_t h, unsigned) {
      stats[h] = mean_covariance(head_rows(queries, h, dim).slice(skipped, tokens));
    });
    if (!complete) return cancelled();
  }
  std::vector<std::uint16_t> ids(heads);
  std::iota(ids.begin(), ids.end(), std::uint16_t{0});
  std::vector<float> mean, covariance;
  for (const MeanCovariance& s : stats) {
    mean.insert(mean.end(), s.mean.begin(), s.mean.end());
    covariance.insert(covariance.end(), s.covariance.begin(), s.covariance.end());
  }
  std::vector<Column> columns;
  columns.push_back(column("head", std::move(ids)));
  columns.push_back(constant<std::uint32_t>("tokens", heads, static_cast<std::uint32_t>(tokens)));
  columns.push_back(column("mean", std::move(mean), dim));
  columns.push_back(column("covariance", std::move(covariance), dim * dim));
  return emitter.emit("queryStats", heads, std::move(columns));
}

}  // namespace attnscope
