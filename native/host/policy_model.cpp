#include "host/policy_model.h"

#include <algorithm>
#include <numeric>

#include "core/replay/drivers.h"
#include "host/failure.h"
#include "host/logits_table.h"

namespace attnscope {
namespace {

/// Rows that go through matrix products at a time, as in prefill.cpp, and rows whose attention output is held: 63 row
/// blocks of 64 queries, so that the row blocks of plans are never cut.
constexpr std::size_t kBlockRows = 504;
constexpr std::uint32_t kAttentionRows = 8 * kBlockRows;
static_assert(kAttentionRows % PrefillPlan::block == 0);

/// Cells of all tiles of 64 x 64 that a causal map of `tokens` touches: what a kernel computes for a head without a plan.
double dense_cells(std::uint32_t tokens) {
  const double blocks = (tokens + PrefillPlan::block - 1) / PrefillPlan::block;
  return blocks * (blocks + 1) / 2 * PrefillPlan::block * PrefillPlan::block;
}

/// The first error of results that were written by parallel tasks.
Status first_error(const std::vector<Error>& errors) {
  for (const Error& error : errors)
    if (!error.code.empty()) return error;
  return success();
}

}  // namespace

/// The prompt's rows while it goes through the layers.
struct PolicyModel::PromptRows {
  std::uint32_t tokens = 0;
  Buffer<float> hidden_values, query_values, attention_values, key_values, value_values;
  MutableRows hidden, queries, attention, keys, values;
  std::vector<PrefillPlan> plans;

  Status allocate(const RunContext& run, std::uint32_t count, bool chunked) {
    tokens = count;
    const std::size_t held = std::min(count, kAttentionRows), apart = chunked ? count : 0;
    const std::tuple<Buffer<float>*, MutableRows*, std::size_t, std::size_t, const char*> wanted[] = {
        {&hidden_values, &hidden, tokens, run.plan.model.hidden_size, "hidden states"},
        {&query_values, &queries, tokens, run.query_width(), "queries"},
        {&attention_values, &attention, held, run.query_width(), "attention output"},
        {&key_values, &keys, apart, run.kv_width(), "keys before they are fed"},
        {&value_values, &values, apart, run.kv_width(), "values before they are fed"}};
    for (auto [buffer, rows, n, width, purpose] : wanted) {
      auto memory = Buffer<float>::allocate(n * width, purpose);
      if (!memory) return memory.error();
      *buffer = memory.take();
      *rows = {buffer->data(), n, width, width};
    }
    return success();
  }
};

PolicyModel::PolicyModel(const PolicyRunPlan& plan, std::uint32_t context, bool active, const Machine& machine)
    : plan_(plan), context_(context), cache_(plan.base.model, plan.base.vectors),
      run_{plan.base, machine.pool, machine.model, cache_, machine.sink, machine.progress, machine.clock, {}}, active_(active) {
  const ModelPlan& model = plan.base.model;
  run_.scratch.resize(machine.pool.threads());
  keys_.resize(model.layers);
  policies_.resize(model.layers);
  evict_.resize(model.kv_heads);
  evict_before_.resize(model.kv_heads);
  selections_.resize(model.heads);
  selected_.resize(model.heads);
  hidden_.resize(model.hidden_size);
  query_.resize(run_.query_width());
  attention_.resize(run_.query_width());
  logits_.resize(model.vocab_size);
  residuals_.resize(std::size_t(model.layers) * model.hidden_size);
  if (!active) return;
  for (const auto& head : plan.traces) tracers_.push_back({head.layer, head.head, TraceWriter(plan.base.total_tokens(), 0, Visibility{}), {}});
}

Status PolicyModel::prefill(std::uint32_t layers_done, std::uint32_t layers_in_all) {
  const ModelPlan& model = run_.plan.model;
  if (active_)
    for (std::uint32_t layer = 0; layer < model.layers; ++layer) {
      auto made = make_layer_policies(plan_, layer);
      if (!made) return made.error();
      policies_[layer] = made.take();
    }
  const bool chunked = active_ && plan_.schedule.chunk > 0;
  PromptRows rows;
  ATTNSCOPE_TRY(rows.allocate(run_, context_, chunked));
  for (std::size_t begin = 0; begin < context_; begin += kBlockRows) {
    const std::size_t count = std::min<std::size_t>(kBlockRows, context_ - begin);
    run_.model.embed(std::span(run_.plan.tokens).subspan(begin, count), rows.hidden.slice(begin, count));
    ATTNSCOPE_TRY(check_finite(run_, rows.hidden.slice(begin, count), model.layers));
    if (!run_.pool.keep_going(0)) return cancelled();
  }
  for (std::uint32_t layer = 0; layer < model.layers; ++layer) {
    run_.progress.begin(Phase::prefill, layers_done + layer, layers_in_all,
                        run_.row_work() * context_ + causal_pairs(0, context_) * model.heads);
    kernel_cells_ += model.heads * dense_cells(context_);
    ATTNSCOPE_TRY(prefill_layer(layer, rows));
    keep_residual(layer, rows.hidden.slice(context_ - 1, 1));
  }
  fed_ = context_;
  causal_cells_ = static_cast<double>(causal_pairs(0, context_)) * model.heads * model.layers;
  return compute_logits_of(rows.hidden.slice(context_ - 1, 1));
}

Status PolicyModel::prefill_layer(std::uint32_t layer, PromptRows& rows) {
  const LayerPolicies& policies = policies_[layer];
  const bool chunked = !policies.retention.empty() && plan_.schedule.chunk > 0;
  for (std::size_t begin = 0; begin < rows.tokens; begin += kBlockRows) {
    const std::size_t count = std::min<std::size_t>(kBlockRows, rows.tokens - begin);
    const Rows hidden = rows.hidden.slice(begin, count);
    const MutableRows queries = rows.queries.slice(begin, count);
    if (chunked)
      ATTNSCOPE_TRY(project_rows(run_, layer, hidden, static_cast<std::uint32_t>(begin), queries, rows.keys.slice(begin, count),
                                 rows.values.slice(begin, count)));
    else
      ATTNSCOPE_TRY(project_block(run_, layer, hidden, static_cast<std::uint32_t>(begin), queries, projection_));
    run_.progress.advance(count * run_.projection_work());
  }
  ATTNSCOPE_TRY(finish_queries(run_, layer, rows.queries, 0));

  const std::uint32_t chunk = chunked ? plan_.schedule.chunk : rows.tokens;
  const std::uint32_t first_chunk = chunked && plan_.schedule.first_chunk > 0 ? plan_.schedule.first_chunk : chunk;
  for (std::uint32_t begin = 0; begin < rows.tokens;) {
    const std::uint32_t end = begin + std::min(rows.tokens - begin, begin == 0 ? first_chunk : chunk);
    ATTNSCOPE_TRY(feed_chunk(layer, rows, begin, end));
    begin = end;
  }
  // Panels of what was dropped go now, not at the first step: the next layers need the memory.
  if (!policies.retention.empty()) keys_[layer].refresh(run_, layer, expansions_);
  return build_indices(layer);
}

Status PolicyModel::feed_chunk(std::uint32_t layer, PromptRows& rows, std::uint32_t begin, std::uint32_t end) {
  LayerPolicies& policies = policies_[layer];
  LayerKeys& keys = keys_[layer];
  const bool chunked = !policies.retention.empty() && plan_.schedule.chunk > 0;
  if (chunked) ATTNSCOPE_TRY(append_rows(run_, layer, rows.keys.slice(begin, end - begin), rows.values.slice(begin, end - begin)));
  keys.refresh(run_, layer, expansions_);
  if (!run_.pool.keep_going(0)) return cancelled();
  peak_tokens_ = std::max(peak_tokens_, cache_.tokens());
  ATTNSCOPE_TRY(plan_heads(layer, rows, rows.plans));
  if (!policies.retention.empty()) {
    AppendEvent event;
    event.added = end - begin;
    event.first_chunk = begin == 0;
    event.prefill_ends = end == rows.tokens;
    ATTNSCOPE_TRY(decide(layer, rows.queries.slice(begin, end - begin), begin, event));
  }
  for (std::uint32_t at = begin; at < end;) {
    const std::uint32_t piece_end = std::min(end, (at / kAttentionRows + 1) * kAttentionRows), held = (piece_end - 1) / kAttentionRows * kAttentionRows;
    ATTNSCOPE_TRY(attend_layer(run_, rows.queries.slice(at, piece_end - at), at, keys, {rows.plans, {}}, rows.attention.slice(at - held, piece_end - at)));
    at = piece_end;
    if (at != rows.tokens && at % kAttentionRows != 0) continue;
    for (std::size_t first = held; first < at; first += kBlockRows) {
      const std::size_t count = std::min<std::size_t>(kBlockRows, at - first);
      run_.model.finish_layer(layer, rows.attention.slice(first - held, count), rows.hidden.slice(first, count));
      if (!run_.pool.keep_going(0)) return cancelled();
      run_.progress.advance(count * (run_.row_work() - run_.projection_work()));
      ATTNSCOPE_TRY(check_finite(run_, rows.hidden.slice(first, count), layer));
    }
  }
  return evict(layer, false);
}

Status PolicyModel::plan_heads(std::uint32_t layer, const PromptRows& rows, std::vector<PrefillPlan>& plans) {
  const LayerPolicies& policies = policies_[layer];
  const ModelPlan& model = run_.plan.model;
  plans.clear();
  if (policies.prefill.empty()) return success();

  plans.resize(model.heads);
  std::vector<Error> errors(model.heads);
  std::vector<double> cells(model.heads, dense_cells(rows.tokens));
  PolicyInput input(run_.plan, layer, rows.tokens, rows.tokens);
  input.set_rows(keys_[layer]);
  input.set_queries(rows.queries, 0);
  const bool complete = run_.pool.parallel_for(model.heads, [&](std::size_t head, unsigned) {
    if (!policies.prefill[head]) return;
    Memo memo;
    const LayerInput seen = input.with(memo);
    Status status = policies.prefill[head]->plan(seen, static_cast<std::uint32_t>(head), plans[head]);
    if (status) status = check_plan(plans[head], rows.tokens);
    if (!status) errors[head] = status.error();
    else cells[head] = trace_plan(plans[head], seen, {}).cost.kernel_cells;
  });
  if (!complete) return cancelled();
  ATTNSCOPE_TRY(first_error(errors));
  kernel_cells_ = std::accumulate(cells.begin(), cells.end(), kernel_cells_ - model.heads * dense_cells(rows.tokens));
  trace_plans(layer, input, plans);
  return success();
}

Status PolicyModel::build_indices(std::uint32_t layer) {
  auto& units = policies_[layer].retrieval;
  if (units.empty()) return success();
  PolicyInput input(run_.plan, layer, context_, context_);
  input.set_rows(keys_[layer]);
  std::vector<Error> errors(units.size());
  const bool complete = run_.pool.parallel_for(units.size(), [&](std::size_t i, unsigned) {
    if (Status status = units[i].policy->build(input.with(units[i].memo), units[i].kv_head, context_); !status) errors[i] = status.error();
  });
  return complete ? first_error(errors) : Status(cancelled());
}

Status PolicyModel::compute_logits_of(Rows hidden) {
  return compute_logits(run_, hidden, {logits_.data(), 1, logits_.size(), logits_.size()});
}

void PolicyModel::keep_residual(std::uint32_t layer, Rows last) {
  std::copy_n(last.row(0), last.dim, residuals_.begin() + static_cast<std::ptrdiff_t>(layer * last.dim));
}

}  // namespace attnscope
