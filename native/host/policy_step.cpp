// One token through every layer, and what policies decide about it.
#include <algorithm>
#include <numeric>

#include "core/replay/spans.h"
#include "host/failure.h"
#include "host/policy_model.h"

namespace attnscope {

Status PolicyModel::step(std::uint32_t id) {
  ATTNSCOPE_TRY(backend_->begin({&id, 1}, fed_));
  for (std::uint32_t layer = 0; layer < model_.layers; ++layer) {
    ATTNSCOPE_TRY(step_layer(layer));
    ATTNSCOPE_TRY(backend_->keep_residual(layer));
  }
  ++fed_;
  return backend_->end();
}

Status PolicyModel::step_layer(std::uint32_t layer) {
  const LayerPolicies& policies = policies_[layer];
  const TokenRange row{fed_, fed_ + 1};
  LayerUse use;
  use.rows = policies.act_in_steps();
  use.evicts = !policies.retention.empty();
  ATTNSCOPE_TRY(backend_->project(layer, use));
  ATTNSCOPE_TRY(backend_->refresh(layer));
  peak_tokens_ = std::max(peak_tokens_, backend_->tokens());

  LayerReads reads;
  if (!policies.retention.empty()) {
    AppendEvent event;
    event.added = 1;
    event.prefill = false;
    ATTNSCOPE_TRY(decide(layer, backend_->queries(row), fed_, event));
  }
  if (!policies.retrieval.empty()) {
    ATTNSCOPE_TRY(select(layer, backend_->queries(row), fed_));
    reads.selected = selected_;
  }
  if (policies.retention.empty()) trace_rows(layer, fed_, fed_ + 1, {});
  ATTNSCOPE_TRY(backend_->attend(layer, row, reads));
  return evict(layer, false);
}

Status PolicyModel::decide(std::uint32_t layer, Rows queries, std::uint32_t first, const AppendEvent& event) {
  const std::uint32_t kv_heads = model_.kv_heads;
  const std::uint32_t end = first + event.added;
  // A prompt fed in one piece is attended to whole, then compressed, whatever the policy does in its steps.
  const bool whole = event.prefill && plan_.schedule.chunk == 0;
  if (!whole) trace_rows(layer, first, end, {});
  PolicyInput input(plan_.base, layer, end, context_);
  input.set_queries(queries, first);
  for (auto& slots : evict_) slots.clear();
  for (auto& unit : policies_[layer].retention) {
    std::vector<ResidentTokens> resident(kv_heads);
    std::vector<std::vector<std::uint32_t>> evict(kv_heads);
    for (std::uint32_t h = 0; h < kv_heads; ++h)
      if (unit.rules[h]) resident[h] = resident_tokens(layer, h);
    ATTNSCOPE_TRY(unit.policy->append(input.with(unit.memo), resident, event, evict));
    const bool before = !whole && unit.policy->evicts_before_attention();
    double transient = 0;
    for (std::uint32_t h = 0; h < kv_heads; ++h) {
      if (!unit.rules[h]) continue;
      // The policy tells its largest copy so far; this one is no larger than what is held now.
      if (!evict[h].empty()) transient += std::min(unit.policy->transient_tokens(), static_cast<double>(resident[h].size()));
      evict_[h] = std::move(evict[h]);
      evict_before_[h] = before;
    }
    peak_tokens_ = std::max(peak_tokens_, backend_->tokens() + static_cast<std::uint64_t>(transient));
  }
  std::vector<std::uint8_t> shrunk(kv_heads);
  for (std::uint32_t h = 0; h < kv_heads; ++h) shrunk[h] = evict_before_[h] && !evict_[h].empty();
  ATTNSCOPE_TRY(evict(layer, true));
  if (!whole) trace_rows(layer, first, end, shrunk);
  return success();
}

ResidentTokens PolicyModel::resident_tokens(std::uint32_t layer, std::uint32_t kv_head) const {
  const KvView& view = backend_->views()[kv_head];
  return {view.keys, view.values, backend_->positions(layer, kv_head), false};
}

Status PolicyModel::evict(std::uint32_t layer, bool before_attention) {
  std::vector<std::vector<std::uint32_t>> slots(model_.kv_heads);
  bool moved = false;
  for (std::uint32_t h = 0; h < model_.kv_heads; ++h) {
    if ((evict_before_[h] != 0) != before_attention || evict_[h].empty()) continue;
    slots[h].swap(evict_[h]);
    moved = true;
  }
  if (!moved) return success();
  ATTNSCOPE_TRY(backend_->evict(layer, slots));
  return before_attention ? backend_->refresh(layer) : success();
}

Status PolicyModel::select(std::uint32_t layer, Rows query, std::uint32_t position) {
  auto& units = policies_[layer].retrieval;
  const std::size_t dim = model_.head_dim;
  PolicyInput input(plan_.base, layer, position + 1, context_);
  input.set_rows(backend_->views());
  input.set_queries(query, position);
  for (auto& each : selected_) each.dense = true;
  const bool complete = pool_.parallel_for(units.size(), [&](std::size_t i, unsigned) {
    auto& unit = units[i];
    const LayerInput seen = input.with(unit.memo);
    unit.policy->insert(seen, unit.kv_head, {position, position + 1});
    for (std::uint32_t head : unit.heads) {
      selections_[head].clear();
      unit.policy->query(seen, head, position, head_rows(query, head, dim).row(0), selections_[head]);
      merge_selection(selections_[head], position + 1, selected_[head]);
    }
  });
  return complete ? success() : Status(cancelled());
}

void PolicyModel::trace_plans(std::uint32_t layer, const PolicyInput& input) {
  for (Tracer& tracer : tracers_) {
    if (tracer.layer != layer || plans_[tracer.head].tokens == 0) continue;
    std::vector<std::uint32_t> rows(plans_[tracer.head].tokens);
    std::iota(rows.begin(), rows.end(), 0u);
    Memo memo;
    tracer.plan = trace_plan(plans_[tracer.head], input.with(memo), rows);
  }
}

void PolicyModel::trace_rows(std::uint32_t layer, std::uint32_t first, std::uint32_t end, std::span<const std::uint8_t> again) {
  const LayerPolicies& policies = policies_[layer];
  SpanList kept, forced, slots;
  for (Tracer& tracer : tracers_) {
    if (tracer.layer != layer) continue;
    const std::uint32_t kv_head = tracer.head / plan_.base.group();
    if (!again.empty() && !again[kv_head]) continue;
    if (!again.empty()) tracer.writer.rewind(tracer.writer.size() - (end - first));
    const auto rules = [&](const LayerPolicies::Retention& unit) { return unit.rules[kv_head] != 0; };
    const auto retention = std::find_if(policies.retention.begin(), policies.retention.end(), rules);
    for (std::uint32_t row = first; row < end; ++row) {
      kept.clear(), forced.clear(), slots.clear();
      if (retention != policies.retention.end()) {
        ResidentTokens resident = resident_tokens(layer, kv_head);
        const auto visible = std::upper_bound(resident.positions.begin(), resident.positions.end(), row) - resident.positions.begin();
        resident.positions = resident.positions.first(static_cast<std::size_t>(visible));
        retention->policy->forced(resident, slots);
        for (std::uint32_t position : resident.positions) append_span(kept, {position, position + 1});
        for (const KeySpan& span : slots)
          for (std::size_t s = span.begin; s < std::min<std::size_t>(span.end, resident.size()); ++s)
            append_span(forced, {resident.positions[s], resident.positions[s] + 1});
        tracer.writer.row(row, kept, forced);
      } else if (!policies.retrieval.empty() && !selected_[tracer.head].dense) {
        const SelectedKeys& selected = selected_[tracer.head];
        for (std::uint32_t key : selected.keys) append_span(kept, {key, key + 1});
        clip_spans(selections_[tracer.head].fixed, 0, row + 1, forced);
        tracer.writer.weighted(row, kept, forced, selected.log_weight);
      } else {
        tracer.writer.dense(row);
      }
    }
  }
}

std::vector<PolicyRunResult::Trace> PolicyModel::take_traces() {
  std::vector<PolicyRunResult::Trace> traces;
  for (Tracer& tracer : tracers_)
    traces.push_back({tracer.layer, tracer.head, tracer.plan.rows.empty() ? tracer.writer.take() : std::move(tracer.plan)});
  tracers_.clear();
  return traces;
}

}  // namespace attnscope
