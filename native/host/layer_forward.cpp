#include "host/layer_forward.h"

#include <algorithm>

#include "host/failure.h"

namespace attnscope {
namespace {

/// Rows of queries a task of pass 1 handles. 128 rows against 128K keys take about 0.1 s, the grain of cancellation.
constexpr std::size_t kAttentionRows = 128;
constexpr std::size_t kRoundingRows = 64;

/// Rounds every row to the plan's precision; refuses values that precision cannot hold.
Status round_rows(RunContext& run, std::uint32_t layer, const char* what, MutableRows rows) {
  const DType dtype = run.plan.vectors;
  if (dtype == DType::f32) return success();
  std::atomic<std::size_t> overflowed{0};
  run.pool.parallel_for((rows.count + kRoundingRows - 1) / kRoundingRows, [&](std::size_t task, unsigned) {
    const std::size_t begin = task * kRoundingRows, end = std::min(begin + kRoundingRows, rows.count);
    std::size_t count = 0;
    for (std::size_t i = begin; i < end; ++i) count += round_in_place(dtype, {rows.row(i), rows.dim});
    overflowed.fetch_add(count, std::memory_order_relaxed);
  });
  if (overflowed == 0) return success();
  return vectors_overflow(overflowed, what, layer, dtype);
}

}  // namespace

Error not_finite(const std::string& tensor, std::uint32_t layer, std::uint32_t layers, DType precision) {
  if (!tensor.empty())
    return failure("E_MODEL_NOT_FINITE", "tensor ", tensor, " holds NaN or infinite values; the checkpoint is damaged, download it again");
  constexpr const char* names[] = {"fp32", "f16", "bf16"};
  const std::string where = layer < layers ? text("layer ", layer) : std::string("the embedding or the head");
  return failure("E_MODEL_NOT_FINITE", "the activations of ", where, " became NaN or infinite although its weights are finite; the checkpoint does not work in ",
                 names[static_cast<std::size_t>(precision)], " with this prompt");
}

Error vectors_overflow(std::size_t count, const std::string& what, std::uint32_t layer, DType dtype) {
  return failure("E_VECTORS_OVERFLOW", count, " values of the ", what, " of layer ", layer, " are too large for ", dtype == DType::f16 ? "f16" : "bf16",
                 "; run with --vectors ", dtype == DType::f16 ? "bf16" : "f32");
}

Status check_finite(const RunContext& run, Rows rows, std::uint32_t layer) {
  bool finite = true;
  for (std::size_t i = 0; i < rows.count && finite; ++i) finite = all_finite(std::span(rows.row(i), rows.dim));
  if (finite) return success();
  return not_finite(run.model.non_finite_tensor(layer), layer, run.plan.model.layers, DType::f32);
}

Status project_rows(RunContext& run, std::uint32_t layer, Rows hidden, std::uint32_t first, MutableRows queries, MutableRows keys,
                    MutableRows values) {
  run.model.project(layer, hidden, queries, keys, values);
  if (!run.pool.keep_going(0)) return cancelled();
  for (const Rows& rows : {Rows(queries), Rows(keys), Rows(values)}) ATTNSCOPE_TRY(check_finite(run, rows, layer));
  run.model.rotate(layer, keys, first);
  if (!run.pool.keep_going(0)) return cancelled();
  ATTNSCOPE_TRY(round_rows(run, layer, "keys", keys));
  return round_rows(run, layer, "values", values);
}

Status append_rows(RunContext& run, std::uint32_t layer, Rows keys, Rows values) {
  const std::size_t dim = run.plan.model.head_dim;
  for (std::uint32_t h = 0; h < run.plan.model.kv_heads; ++h)
    ATTNSCOPE_TRY(run.cache.append(layer, h, head_rows(keys, h, dim), head_rows(values, h, dim)));
  return success();
}

Status project_block(RunContext& run, std::uint32_t layer, Rows hidden, std::uint32_t first, MutableRows queries,
                     ProjectionBlock& block) {
  const std::size_t width = run.kv_width();
  block.keys.resize(hidden.count * width);
  block.values.resize(hidden.count * width);
  const MutableRows keys{block.keys.data(), hidden.count, width, width}, values{block.values.data(), hidden.count, width, width};
  ATTNSCOPE_TRY(project_rows(run, layer, hidden, first, queries, keys, values));
  return append_rows(run, layer, keys, values);
}

Status finish_queries(RunContext& run, std::uint32_t layer, MutableRows queries, std::uint32_t first) {
  run.model.rotate(layer, queries, first);
  if (!run.pool.keep_going(0)) return cancelled();
  return round_rows(run, layer, "queries", queries);
}

Status attend(RunContext& run, Rows queries, std::uint32_t first, const LayerKeys& keys, MutableRows out, float* lse,
              std::size_t lse_stride) {
  const ModelPlan& model = run.plan.model;
  const std::size_t blocks = (queries.count + kAttentionRows - 1) / kAttentionRows;
  // Last rows first: they see the most keys, and the short ones at the end fill the threads evenly. Heads that share
  // keys are neighbours, so a block of keys is read while it is still in cache.
  const bool complete = run.pool.parallel_for(blocks * model.heads, [&](std::size_t task, unsigned worker) {
    const std::size_t head = task % model.heads, kv_head = head / run.plan.group();
    const std::size_t begin = (blocks - 1 - task / model.heads) * kAttentionRows;
    const std::size_t count = std::min(kAttentionRows, queries.count - begin);
    const HeadInput input{head_rows(queries, head, model.head_dim).slice(begin, count), static_cast<std::uint32_t>(first + begin),
                          &keys.panels(kv_head), model.attention_scale, Visibility{}};
    attention_forward(input, keys.view(kv_head).values, head_rows(out, head, model.head_dim).slice(begin, count),
                      {lse + head * lse_stride + begin, count}, run.scratch[worker]);
    run.progress.advance(causal_pairs(first + begin, count));
  });
  return complete ? success() : Status(cancelled());
}

}  // namespace attnscope
