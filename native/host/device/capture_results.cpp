#include "host/device/capture_results.h"

#include <algorithm>
#include <optional>

#include "host/kv_tables.h"
#include "host/vector_tables.h"

namespace attnscope {
namespace capture_results {

template <class T>
const T* values(const std::byte* results, std::uint64_t offset) {
  return reinterpret_cast<const T*>(results + offset);
}

/// What core/reduce.h would have accumulated for one head of a run.
HeadReduction reduction_of(const Plan& plan, const HeadRun& run, std::uint32_t index, const CaptureRows& rows, const std::byte* results) {
  HeadReduction head({plan.total_tokens(), run.cell, plan.reduce.sink_tokens, plan.reduce.local_tokens}, {rows.first, rows.end()});
  // The device's grid ends with the last key, the plan's with the last token that was planned.
  const std::size_t cells = run.cells, all = head.cells, keys = rows.end(), n = rows.kernel_rows();
  const double* sums = values<double>(results, run.cell_sum) + index * cells * cells;
  const float* maxima = values<float>(results, run.cell_max) + index * cells * cells;
  for (std::size_t row = 0; row < cells; ++row) {
    std::copy_n(sums + row * cells, cells, head.cell_sum.begin() + static_cast<std::ptrdiff_t>(row * all));
    std::copy_n(maxima + row * cells, cells, head.cell_max.begin() + static_cast<std::ptrdiff_t>(row * all));
  }
  std::copy_n(values<double>(results, run.column_sum) + index * keys, keys, head.column_sum.begin());
  std::copy_n(values<double>(results, run.diagonal_sum) + index * keys, keys, head.diagonal_sum.begin());
  const auto column = [&]<class T>(std::vector<T>& to, std::uint64_t offset) { std::copy_n(values<T>(results, offset) + index * n + rows.padding, rows.count, to.begin()); };
  RowStats& stats = head.row_stats;
  column(stats.entropy, run.entropy), column(stats.sink_mass, run.sink_mass), column(stats.local_mass, run.local_mass);
  column(stats.previous_mass, run.previous_mass), column(stats.top1_mass, run.top1_mass), column(stats.top1_key, run.top1_key);
  column(stats.coverage_90, run.coverage_90), column(stats.coverage_95, run.coverage_95), column(stats.coverage_99, run.coverage_99);
  return head;
}

/// Mean and covariance from moments about a pivot.
MeanCovariance statistics_of(const double* sum, const double* product, const float* pivot, std::size_t dim, std::size_t count) {
  MeanCovariance stats{std::vector<float>(dim), std::vector<float>(dim * dim)};
  if (count == 0) return stats;
  const auto n = static_cast<double>(count);
  for (std::size_t a = 0; a < dim; ++a) {
    stats.mean[a] = static_cast<float>(pivot[a] + sum[a] / n);
    for (std::size_t b = 0; b < dim; ++b) stats.covariance[a * dim + b] = static_cast<float>(product[a * dim + b] / n - sum[a] / n * (sum[b] / n));
  }
  return stats;
}

}  // namespace capture_results

LayerResults::LayerResults(EmitContext& context, std::uint32_t layer, const CaptureRows& rows, const std::byte* parts, const float* lse, std::size_t lse_stride)
    : emitter_(context, rows.prompt ? Segment::prefill : Segment::decode, static_cast<std::int32_t>(layer)), rows_(rows), at_(context.plan), parts_(parts),
      tables_(emitter_, {rows.first, rows.end()}, lse, lse_stride) {}

Status LayerResults::add(const CaptureJob& job, const std::byte* results) {
  if (rows_.prompt && !std::exchange(begun_, true)) ATTNSCOPE_TRY(emit_statistics());
  EmitContext& context = emitter_.context();
  struct Head {
    const HeadRun* run;
    std::uint32_t index;
    std::optional<HeadReduction> reduction;
    HeadFigures figures;
  };
  std::vector<Head> heads;
  for (const HeadRun& run : job.runs)
    for (std::uint32_t i = 0; i < run.count; ++i) heads.push_back({&run, i, std::nullopt, {}});
  {
    PhaseClock::Section section(context.clock, Work::reduce);
    const bool complete = context.pool.parallel_for(heads.size(), [&](std::size_t i, unsigned) {
      Head& head = heads[i];
      head.reduction = capture_results::reduction_of(context.plan, *head.run, head.index, rows_, results);
      head.figures = HeadFigures::of(context.plan.reduce, *head.reduction);
    });
    if (!complete) return cancelled();
  }
  std::vector<ReducedHead> reduced;
  for (const Head& head : heads) reduced.push_back({head.run->first + head.index, *head.reduction, head.figures});
  ATTNSCOPE_TRY(tables_.add(reduced));
  if (!context.plan.store.vectors) return success();
  for (const HeadRun& run : job.runs) ATTNSCOPE_TRY(emit_queries(run, results));
  return success();
}

Status LayerResults::emit_statistics() {
  EmitContext& context = emitter_.context();
  const ModelPlan& model = context.plan.model;
  const MomentParts at(model);
  const std::byte* moments = parts_ + at_.moments;
  const std::size_t dim = model.head_dim, skipped = std::min(context.plan.reduce.sink_tokens, rows_.count), tokens = rows_.count - skipped;
  std::vector<MeanCovariance> stats(model.heads);
  {
    PhaseClock::Section section(context.clock, Work::reduce);
    const bool complete = context.pool.parallel_for(stats.size(), [&](std::size_t h, unsigned) {
      stats[h] = capture_results::statistics_of(capture_results::values<double>(moments, at.sum) + h * dim, capture_results::values<double>(moments, at.product) + h * dim * dim,
                                                capture_results::values<float>(moments, at.pivot) + h * dim, dim, tokens);
    });
    if (!complete) return cancelled();
  }
  return emit_query_stats(emitter_, stats);
}

Status LayerResults::emit_queries(const HeadRun& run, const std::byte* results) {
  const Plan& plan = emitter_.plan();
  const std::size_t dim = plan.model.head_dim, width = run.count * dim;
  for (std::uint32_t i = 0; rows_.prompt && i < run.count; ++i) ATTNSCOPE_TRY(emit_pooled(run, i, results));
  for (std::uint32_t i = 0; i < run.count; ++i) {
    const std::uint32_t head = run.first + i;
    const std::byte* data = results + run.queries + i * dim * size_of(plan.vectors);
    const StoredRows rows(data, width, plan.vectors);
    if (!rows_.prompt) {
      ATTNSCOPE_TRY(emit_all_queries(emitter_, head, rows, rows_.first, rows_.count));
    } else if (stores_every_query(plan, emitter_.layer(), head)) {
      ATTNSCOPE_TRY(emit_all_queries(emitter_, head, rows, 0, rows_.count));
    } else if (!run.every_query) {
      ATTNSCOPE_TRY(emit_picked_queries(emitter_, head, rows, plan.store.query_rows));
    } else {
      // All came because their means are made here; the plan's rows are among them.
      const std::size_t row_bytes = dim * size_of(plan.vectors);
      std::vector<std::byte> picked(plan.store.query_rows.size() * row_bytes);
      for (std::size_t r = 0; r < plan.store.query_rows.size(); ++r)
        std::copy_n(static_cast<const std::byte*>(rows.row(plan.store.query_rows[r])), row_bytes, picked.begin() + static_cast<std::ptrdiff_t>(r * row_bytes));
      ATTNSCOPE_TRY(emit_picked_queries(emitter_, head, {picked.data(), dim, plan.vectors}, plan.store.query_rows));
    }
  }
  return success();
}

Status LayerResults::emit_pooled(const HeadRun& run, std::uint32_t index, const std::byte* results) {
  const Plan& plan = emitter_.plan();
  const std::uint32_t dim = plan.model.head_dim, block = plan.reduce.query_pool_tokens, tokens = rows_.count;
  const std::size_t blocks = (std::size_t{tokens} + block - 1) / block;
  std::vector<float> means(blocks * dim);
  {
    PhaseClock::Section section(emitter_.context().clock, Work::reduce);
    if (run.pooled) {
      // Sums over 64 rows divided by 64, also where the last of them are missing.
      const std::size_t parts = (tokens + 63) / 64, parts_of_block = block / 64;
      const float* pooled = capture_results::values<float>(results, run.pooled_queries) + index * parts * dim;
      for (std::size_t b = 0; b < blocks; ++b) {
        const std::size_t begin = b * parts_of_block, end = std::min(parts, begin + parts_of_block), rows = std::min<std::size_t>(block, tokens - b * block);
        for (std::size_t c = 0; c < dim; ++c) {
          double sum = 0;
          for (std::size_t part = begin; part < end; ++part) sum += pooled[part * dim + c];
          means[b * dim + c] = static_cast<float>(sum * 64 / static_cast<double>(rows));
        }
      }
    } else {
      std::vector<float> queries(std::size_t{tokens} * dim);
      const std::byte* data = results + run.queries + index * dim * size_of(plan.vectors);
      for (std::size_t row = 0; row < tokens; ++row)
        to_float(plan.vectors, data + row * run.count * dim * size_of(plan.vectors), dim, queries.data() + row * dim);
      pool_rows({queries.data(), tokens, dim, dim}, block, {means.data(), blocks, dim, dim});
    }
  }
  return emit_pooled_queries(emitter_, run.first + index, means);
}

Result<std::vector<KvView>> LayerResults::views(std::vector<KvExpansion>& expansions) {
  EmitContext& context = emitter_.context();
  const Plan& plan = context.plan;
  const std::size_t kv_heads = plan.model.kv_heads, dim = plan.model.head_dim, width = kv_heads * dim, element = size_of(plan.vectors), tokens = rows_.end();
  std::vector<KvView> views(kv_heads);
  if (plan.vectors == DType::f32) {
    const Rows keys{capture_results::values<float>(parts_, at_.keys), tokens, width, width}, values{capture_results::values<float>(parts_, at_.values), tokens, width, width};
    for (std::size_t h = 0; h < kv_heads; ++h) views[h] = {head_rows(keys, h, dim), head_rows(values, h, dim), nullptr};
    return views;
  }
  expansions.resize(kv_heads);
  for (std::size_t h = 0; h < kv_heads; ++h) {
    expansions[h].keys.resize(tokens * dim);
    expansions[h].values.resize(tokens * dim);
    views[h] = {{expansions[h].keys.data(), tokens, dim, dim}, {expansions[h].values.data(), tokens, dim, dim}, nullptr};
  }
  constexpr std::size_t task_rows = 1024;
  PhaseClock::Section section(context.clock, Work::reduce);
  const bool complete = context.pool.parallel_for((tokens + task_rows - 1) / task_rows, [&](std::size_t task, unsigned) {
    for (std::size_t row = task * task_rows; row < std::min(tokens, (task + 1) * task_rows); ++row)
      for (std::size_t h = 0; h < kv_heads; ++h) {
        const std::uint64_t offset = (row * width + h * dim) * element;
        to_float(plan.vectors, parts_ + at_.keys + offset, dim, expansions[h].keys.data() + row * dim);
        to_float(plan.vectors, parts_ + at_.values + offset, dim, expansions[h].values.data() + row * dim);
      }
  });
  if (!complete) return cancelled();
  return views;
}

Status LayerResults::finish(std::vector<KvExpansion>& expansions) {
  ATTNSCOPE_TRY(tables_.finish());
  auto expanded = views(expansions);
  if (!expanded) return expanded.error();
  ATTNSCOPE_TRY(emit_kv(emitter_, expanded.value(), range()));
  if (rows_.prompt) {
    ATTNSCOPE_TRY(emit_pages(emitter_, expanded.value()));
    ATTNSCOPE_TRY(emit_channels(emitter_, expanded.value()));
  }
  const Plan& plan = emitter_.plan();
  if (plan.store.vectors) {
    const std::size_t dim = plan.model.head_dim, width = plan.model.kv_heads * dim;
    std::vector<StoredRows> keys, values;
    for (std::size_t h = 0; h < plan.model.kv_heads; ++h) {
      keys.emplace_back(parts_ + at_.keys + h * dim * size_of(plan.vectors), width, plan.vectors);
      values.emplace_back(parts_ + at_.values + h * dim * size_of(plan.vectors), width, plan.vectors);
    }
    ATTNSCOPE_TRY(emit_keys_values(emitter_, keys, values, range()));
  }
  return emitter_.layer_done();
}

}  // namespace attnscope
