#include "host/policy_model.h"

#include <algorithm>
#include <numeric>

#include "core/replay/drivers.h"
#include "host/failure.h"

namespace attnscope {
namespace {

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

PolicyModel::PolicyModel(const PolicyRunPlan& plan, std::uint32_t context, bool active, std::unique_ptr<PolicyBackend> backend, ThreadPool& pool,
                         ProgressReporter& progress)
    : plan_(plan), model_(plan.base.model), context_(context), backend_(std::move(backend)), pool_(pool), progress_(progress), active_(active) {
  policies_.resize(model_.layers);
  evict_.resize(model_.kv_heads);
  evict_before_.resize(model_.kv_heads);
  selections_.resize(model_.heads);
  selected_.resize(model_.heads);
  if (!active) return;
  for (const auto& head : plan.traces) tracers_.push_back({head.layer, head.head, TraceWriter(plan.base.total_tokens(), 0, Visibility{}), {}});
}

Status PolicyModel::prefill(std::uint32_t layers_done, std::uint32_t layers_in_all) {
  if (active_)
    for (std::uint32_t layer = 0; layer < model_.layers; ++layer) {
      auto made = make_layer_policies(plan_, layer);
      if (!made) return made.error();
      policies_[layer] = made.take();
    }
  ATTNSCOPE_TRY(backend_->begin(std::span(plan_.base.tokens).first(context_), 0));
  for (std::uint32_t layer = 0; layer < model_.layers; ++layer) {
    progress_.begin(Phase::prefill, layers_done + layer, layers_in_all, backend_->layer_work());
    kernel_cells_ += model_.heads * dense_cells(context_);
    ATTNSCOPE_TRY(prefill_layer(layer));
    ATTNSCOPE_TRY(backend_->keep_residual(layer));
  }
  fed_ = context_;
  causal_cells_ = static_cast<double>(causal_pairs(0, context_)) * model_.heads * model_.layers;
  return backend_->end();
}

Status PolicyModel::prefill_layer(std::uint32_t layer) {
  const LayerPolicies& policies = policies_[layer];
  LayerUse use;
  use.rows = policies.any();
  use.evicts = !policies.retention.empty();
  use.apart = use.evicts && plan_.schedule.chunk > 0;
  ATTNSCOPE_TRY(backend_->project(layer, use));

  const std::uint32_t chunk = use.apart ? plan_.schedule.chunk : context_;
  const std::uint32_t first_chunk = use.apart && plan_.schedule.first_chunk > 0 ? plan_.schedule.first_chunk : chunk;
  for (std::uint32_t begin = 0; begin < context_;) {
    const std::uint32_t end = begin + std::min(context_ - begin, begin == 0 ? first_chunk : chunk);
    ATTNSCOPE_TRY(feed_chunk(layer, {begin, end}, use.apart));
    begin = end;
  }
  // What was made of dropped rows goes now, not at the first step: the next layers need the memory.
  if (use.evicts) ATTNSCOPE_TRY(backend_->refresh(layer));
  ATTNSCOPE_TRY(build_indices(layer));
  if (use.rows && !policies.act_in_steps()) backend_->close(layer);
  return success();
}

Status PolicyModel::feed_chunk(std::uint32_t layer, TokenRange rows, bool apart) {
  if (apart) ATTNSCOPE_TRY(backend_->feed(layer, rows));
  ATTNSCOPE_TRY(backend_->refresh(layer));
  peak_tokens_ = std::max(peak_tokens_, backend_->tokens());
  ATTNSCOPE_TRY(plan_heads(layer));
  if (!policies_[layer].retention.empty()) {
    AppendEvent event;
    event.added = rows.size();
    event.first_chunk = rows.begin == 0;
    event.prefill_ends = rows.end == context_;
    ATTNSCOPE_TRY(decide(layer, backend_->queries(rows), rows.begin, event));
  }
  ATTNSCOPE_TRY(backend_->attend(layer, rows, {plans_, {}}));
  return evict(layer, false);
}

Status PolicyModel::plan_heads(std::uint32_t layer) {
  const LayerPolicies& policies = policies_[layer];
  plans_.clear();
  if (policies.prefill.empty()) return success();

  plans_.resize(model_.heads);
  std::vector<Error> errors(model_.heads);
  std::vector<double> cells(model_.heads, dense_cells(context_));
  PolicyInput input(plan_.base, layer, context_, context_);
  input.set_rows(backend_->views());
  input.set_queries(backend_->queries({0, context_}), 0);
  const bool complete = pool_.parallel_for(model_.heads, [&](std::size_t head, unsigned) {
    if (!policies.prefill[head]) return;
    Memo memo;
    const LayerInput seen = input.with(memo);
    Status status = policies.prefill[head]->plan(seen, static_cast<std::uint32_t>(head), plans_[head]);
    if (status) status = check_plan(plans_[head], context_);
    if (!status) errors[head] = status.error();
    else cells[head] = trace_plan(plans_[head], seen, {}).cost.kernel_cells;
  });
  if (!complete) return cancelled();
  ATTNSCOPE_TRY(first_error(errors));
  kernel_cells_ = std::accumulate(cells.begin(), cells.end(), kernel_cells_ - model_.heads * dense_cells(context_));
  trace_plans(layer, input);
  return success();
}

Status PolicyModel::build_indices(std::uint32_t layer) {
  auto& units = policies_[layer].retrieval;
  if (units.empty()) return success();
  PolicyInput input(plan_.base, layer, context_, context_);
  input.set_rows(backend_->views());
  std::vector<Error> errors(units.size());
  const bool complete = pool_.parallel_for(units.size(), [&](std::size_t i, unsigned) {
    if (Status status = units[i].policy->build(input.with(units[i].memo), units[i].kv_head, context_); !status) errors[i] = status.error();
  });
  return complete ? first_error(errors) : Status(cancelled());
}

}  // namespace attnscope
