#include "host/policy_attention.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "core/subset_attention.h"

namespace attnscope {
namespace {

/// Rows a task handles: as in dense runs, so that a policy that keeps everything does the same work in the same order.
constexpr std::size_t kTaskQueries = 128;

/// Keys of row block `block`, as far as its last query sees: columns, then tiles.
void collect_keys(const PrefillPlan& plan, std::uint32_t block, std::uint32_t last_query, std::vector<std::uint32_t>& rows, KeySubset& subset) {
  rows.clear();
  for (std::uint64_t c = plan.column_offset[block]; c < plan.column_offset[block + 1] && plan.column[c] <= last_query; ++c)
    rows.push_back(plan.column[c]);
  subset.rule_begin = plan.windowed ? rows.size() : ~std::size_t{0};
  subset.sink = plan.sink;
  subset.local = plan.local;
  for (std::uint64_t t = plan.tile_offset[block]; t < plan.tile_offset[block + 1]; ++t)
    for (std::uint32_t k = plan.tile[t]; k < plan.tile[t] + PrefillPlan::block && k <= last_query; ++k) rows.push_back(k);
  subset.rows = subset.positions = rows;
}

struct HeadRows {
  Rows queries;
  std::uint32_t first;
  const KvView& view;
  MutableRows out;
  std::span<float> lse;
  float scale;
  Scratch& scratch;

  SubsetInput subset() const { return {queries, first, view.keys, view.values, {}, scale}; }
};

void attend_plan(const HeadRows& head, const PrefillPlan& plan) {
  std::vector<std::uint32_t> rows;
  for (std::size_t begin = 0; begin < head.queries.count; begin += PrefillPlan::block) {
    const std::size_t count = std::min<std::size_t>(PrefillPlan::block, head.queries.count - begin);
    SubsetInput input = head.subset();
    input.queries = head.queries.slice(begin, count);
    input.first_query = static_cast<std::uint32_t>(head.first + begin);
    collect_keys(plan, input.first_query / PrefillPlan::block, static_cast<std::uint32_t>(input.first_query + count - 1), rows, input.subset);
    subset_attention(input, head.out.slice(begin, count), head.lse.subspan(begin, count), head.scratch);
  }
}

void attend_selected(const HeadRows& head, const SelectedKeys& selected) {
  SubsetInput input = head.subset();
  input.subset.rows = input.subset.positions = selected.keys;
  input.subset.log_weight = selected.log_weight;
  subset_attention(input, head.out, head.lse, head.scratch);
}

/// Everything that is held and visible. Where the queries' own keys are all there, what is visible to query i ends with its
/// own key's slot, as in a dense cache; else positions decide.
void attend_held(const HeadRows& head, const KeyPanels& panels) {
  const std::size_t held = head.view.keys.count, count = head.queries.count;
  const std::uint32_t* positions = head.view.positions;
  const std::size_t slot = positions ? std::lower_bound(positions, positions + held, head.first) - positions : head.first;
  const bool own_keys = slot + count <= held && (!positions || (positions[slot] == head.first && positions[slot + count - 1] == head.first + count - 1));
  if (own_keys) {
    attention_forward({head.queries, static_cast<std::uint32_t>(slot), &panels, head.scale, Visibility{}}, head.view.values, head.out,
                      head.lse, head.scratch);
    return;
  }
  std::vector<std::uint32_t> rows(held);
  std::iota(rows.begin(), rows.end(), 0u);
  SubsetInput input = head.subset();
  input.subset.rows = rows;
  input.subset.positions = {positions, held};
  subset_attention(input, head.out, head.lse, head.scratch);
}

}  // namespace

void merge_selection(const Selection& selection, std::uint32_t end, SelectedKeys& out) {
  out.dense = selection.dense;
  out.keys.clear();
  out.log_weight.clear();
  if (selection.dense) return;
  const bool weighted = !selection.log_weight.empty();
  std::size_t next = 0;
  const auto keys_before = [&](std::uint32_t limit) {
    for (; next < selection.keys.size() && selection.keys[next] < limit; ++next) {
      if (!out.keys.empty() && out.keys.back() >= selection.keys[next]) continue;
      out.keys.push_back(selection.keys[next]);
      if (weighted) out.log_weight.push_back(selection.log_weight[next]);
    }
  };
  for (const KeySpan& span : selection.fixed) {
    keys_before(std::min(span.begin, end));
    for (std::uint32_t k = span.begin; k < std::min(span.end, end); ++k) out.keys.push_back(k);
    if (weighted) out.log_weight.resize(out.keys.size(), 0.0f);
  }
  keys_before(end);
}

Status attend_layer(RunContext& run, Rows queries, std::uint32_t first, const LayerKeys& keys, const LayerReads& reads, MutableRows out) {
  const ModelPlan& model = run.plan.model;
  const std::size_t blocks = (queries.count + kTaskQueries - 1) / kTaskQueries;
  // Last rows first, heads that share keys side by side: see attend() in layer_forward.cpp.
  const bool complete = run.pool.parallel_for(blocks * model.heads, [&](std::size_t task, unsigned worker) {
    const std::size_t head = task % model.heads, kv_head = head / run.plan.group();
    const std::size_t begin = (blocks - 1 - task / model.heads) * kTaskQueries, count = std::min(kTaskQueries, queries.count - begin);
    std::array<float, kTaskQueries> lse;
    const HeadRows rows{head_rows(queries, head, model.head_dim).slice(begin, count), static_cast<std::uint32_t>(first + begin), keys.view(kv_head),
                        head_rows(out, head, model.head_dim).slice(begin, count), {lse.data(), count}, model.attention_scale, run.scratch[worker]};
    if (!reads.plans.empty() && reads.plans[head].tokens != 0) attend_plan(rows, reads.plans[head]);
    else if (!reads.selected.empty() && !reads.selected[head].dense) attend_selected(rows, reads.selected[head]);
    else attend_held(rows, keys.panels(kv_head));
    run.progress.advance(causal_pairs(first + begin, count));
  });
  return complete ? success() : Status(cancelled());
}

}  // namespace attnscope
