#include "host/plan.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "host/device/open_device.h"
#include "host/failure.h"

namespace attnscope {
namespace {

/// 2^20 tokens: the most keys a row's coverage histogram counts (core/coverage.h); a head of that many takes an hour.
constexpr std::uint64_t kMostTokens = 1u << 20;

template <class... Parts>
Error refuse(const char* field, const Parts&... why) {
  return failure("E_PLAN_INVALID", "plan field ", field, " ", why...);
}

Status validate_model(const ModelPlan& m) {
  const std::pair<const char*, std::uint32_t> sizes[] = {
      {"model.layers", m.layers}, {"model.heads", m.heads}, {"model.kvHeads", m.kv_heads}, {"model.headDim", m.head_dim},
      {"model.hiddenSize", m.hidden_size}, {"model.feedForwardSize", m.feed_forward_size}, {"model.vocabSize", m.vocab_size}};
  for (auto [field, value] : sizes)
    if (value == 0 || value > 1u << 22) return refuse(field, "is ", value, "; wanted 1 to 4194304");
  if (m.layers > 4096) return refuse("model.layers", "is ", m.layers, "; wanted 1 to 4096");
  if (m.heads > 4096) return refuse("model.heads", "is ", m.heads, "; wanted 1 to 4096");
  if (m.heads % m.kv_heads != 0) return refuse("model.kvHeads", "is ", m.kv_heads, ", which does not divide the ", m.heads, " heads");
  if (m.head_dim % 2 != 0 || m.head_dim > 1024) return refuse("model.headDim", "is ", m.head_dim, "; wanted an even number up to 1024");
  if (!(m.norm_epsilon >= 0) || !std::isfinite(m.norm_epsilon)) return refuse("model.normEpsilon", "is not a finite number >= 0");
  if (!(m.attention_scale > 0) || !std::isfinite(m.attention_scale)) return refuse("model.attentionScale", "is not a finite number > 0");
  return success();
}

Status validate_tokens(const Plan& p) {
  if (p.tokens.empty()) return refuse("tokens", "is empty; a capture needs at least one prompt token");
  if (p.tokens.size() + std::uint64_t(p.decode_steps) > kMostTokens)
    return refuse("tokens", "and decode.steps together hold more than ", kMostTokens, " tokens");
  if (!p.forced.empty() && p.forced.size() != p.decode_steps)
    return refuse("decode.forced", "holds ", p.forced.size(), " ids for ", p.decode_steps, " steps; give one a step or none");
  for (const auto* ids : {&p.tokens, &p.forced})
    for (std::uint32_t id : *ids)
      if (id >= p.model.vocab_size)
        return refuse(ids == &p.tokens ? "tokens" : "decode.forced", "holds id ", id, ", outside the vocabulary of ", p.model.vocab_size);
  return success();
}

Status validate_reduce(const Plan& p) {
  const ReducePlan& r = p.reduce;
  if (!r.enabled) return success();
  const std::size_t heads = std::size_t(p.model.layers) * p.model.heads;
  if (r.cells.size() != heads) return refuse("reduce.cells", "holds ", r.cells.size(), " values for ", heads, " heads");
  for (std::uint32_t cell : r.cells) {
    if (!std::has_single_bit(cell)) return refuse("reduce.cells", "holds ", cell, ", which is no power of two");
    // 8,192 cells a side are 800 MB of accumulators a head: more is a mistake.
    if ((p.total_tokens() + std::uint64_t(cell) - 1) / cell > 8192)
      return refuse("reduce.cells", "holds ", cell, ", which gives more than 8192 cells for ", p.total_tokens(), " tokens; use larger cells");
  }
  const std::pair<const char*, std::uint32_t> edges[] = {{"reduce.tileEdge", r.tile_edge}, {"reduce.thumbEdge", r.thumb_edge}};
  for (auto [field, value] : edges)
    if (value == 0 || value > 2048) return refuse(field, "is ", value, "; wanted 1 to 2048");
  const std::pair<const char*, std::uint32_t> positive[] = {
      {"reduce.localTokens", r.local_tokens}, {"reduce.pageTokens", r.page_tokens},
      {"reduce.queryPoolTokens", r.query_pool_tokens}, {"reduce.lagSize", r.lag_size}};
  for (auto [field, value] : positive)
    if (value == 0) return refuse(field, "is 0; wanted at least 1");
  return success();
}

Status validate_store(const Plan& p) {
  const std::size_t heads = std::size_t(p.model.layers) * p.model.heads;
  if (!p.store.vectors) return success();
  if (p.store.full_query_heads.size() != heads)
    return refuse("store.fullQueryHeads", "holds ", p.store.full_query_heads.size(), " values for ", heads, " heads");
  const auto& rows = p.store.query_rows;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] >= p.tokens.size()) return refuse("store.queryRows", "holds ", rows[i], ", past the prompt's ", p.tokens.size(), " tokens");
    if (i > 0 && rows[i] <= rows[i - 1]) return refuse("store.queryRows", "is not strictly ascending at entry ", i);
  }
  return success();
}

Status validate_device(const Plan& p) {
  if (p.device.name == "cpu") return success();
  if (!cuda_index(p.device.name)) return refuse("device.name", "is \"", p.device.name, "\"; wanted cpu, cuda or cuda:<index>");
  if (p.vectors == DType::f32)
    return failure("E_DEVICE_DTYPE", "plan field vectors is f32, which the kernels of device ", p.device.name, " do not take; run with --vectors bf16 or f16");
  return success();
}

}  // namespace

bool Plan::skips(std::uint32_t layer) const {
  return std::find(skip_layers.begin(), skip_layers.end(), layer) != skip_layers.end();
}

Status validate(const Plan& plan) {
  ATTNSCOPE_TRY(validate_model(plan.model));
  ATTNSCOPE_TRY(validate_tokens(plan));
  ATTNSCOPE_TRY(validate_reduce(plan));
  ATTNSCOPE_TRY(validate_store(plan));
  ATTNSCOPE_TRY(validate_device(plan));
  for (std::uint32_t layer : plan.skip_layers)
    if (layer >= plan.model.layers) return refuse("skipLayers", "holds ", layer, "; the model has ", plan.model.layers, " layers");
  for (const TensorPlan& tensor : plan.tensors)
    if (tensor.file >= plan.files.size()) return refuse("tensors", "entry ", tensor.name, " names file ", tensor.file, " of ", plan.files.size());
  if (plan.threads == 0 || plan.threads > 1024) return refuse("threads", "is ", plan.threads, "; wanted 1 to 1024");
  return success();
}

}  // namespace attnscope
