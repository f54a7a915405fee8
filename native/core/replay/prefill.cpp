// Prefill policies: one plan for the whole prompt, its spans for the evaluated rows, its cost over all rows.
#include "core/replay/drivers.h"
#include "core/replay/plan_zones.h"
#include "core/replay/trace_writer.h"

namespace attnscope {
namespace prefill_replay {

Cost cost_of(const PrefillPlan& plan, Visibility visibility) {
  constexpr std::uint64_t tile_cells = std::uint64_t{PrefillPlan::block} * PrefillPlan::block;
  std::vector<PlanZone> zones;
  std::uint64_t attended = 0, tiles = 0, column_tiles = 0;
  for (std::uint32_t b = 0; b < plan.row_blocks(); ++b) {
    attended += attended_pairs(plan, b, visibility, zones);
    tiles += plan_tiles(plan, b).size();
    column_tiles += (plan_columns(plan, b).size() + PrefillPlan::block - 1) / PrefillPlan::block;
  }
  Cost cost;
  cost.causal_cells = static_cast<double>(visible_pairs({0, plan.tokens}, {0, plan.tokens}, visibility));
  cost.token_cells = plan.token_cells;
  cost.attended_cells = static_cast<double>(attended);
  cost.kernel_cells = static_cast<double>((tiles + column_tiles) * tile_cells);
  cost.kernel_tiles = static_cast<double>(tiles);
  cost.kernel_column_tiles = static_cast<double>(column_tiles);
  cost.mean_run = plan.mean_run > 0 ? plan.mean_run : Cost::none;
  cost.estimated_recall = plan.estimated_recall;
  cost.index_bytes = plan.index_bytes;
  return cost;
}

/// Keys of a zone at a distance below `limit` from the row.
KeySpan within_distance(KeySpan keys, std::uint32_t row, std::uint32_t limit) {
  if (limit == 0) return {};
  if (limit != PlanZone::unlimited && row + 1 > limit) keys.begin = std::max(keys.begin, row + 1 - limit);
  return keys;
}

}  // namespace prefill_replay

Status check_plan(const PrefillPlan& plan, std::uint32_t prompt_tokens) {
  const auto wrong = [](std::string what) {
    return Error{"E_REPLAY_PLAN", "The prefill plan " + what + "; make it again for this prompt."};
  };
  if (plan.tokens != prompt_tokens)
    return wrong("is for " + std::to_string(plan.tokens) + " tokens, the prompt has " + std::to_string(prompt_tokens));
  const std::size_t blocks = plan.row_blocks();
  for (const auto* offset : {&plan.tile_offset, &plan.column_offset}) {
    const std::size_t entries = offset == &plan.tile_offset ? plan.tile.size() : plan.column.size();
    if (offset->size() != blocks + 1 || offset->front() != 0 || offset->back() != entries || !std::is_sorted(offset->begin(), offset->end()))
      return wrong("has offsets that do not fit its " + std::to_string(blocks) + " row blocks");
  }
  for (std::uint32_t b = 0; b < blocks; ++b)
    for (const auto list : {plan_tiles(plan, b), plan_columns(plan, b)})
      if (std::adjacent_find(list.begin(), list.end(), std::greater_equal<>()) != list.end())
        return wrong("has tiles or columns of row block " + std::to_string(b) + " out of order");
  return success();
}

HeadTrace trace_plan(const PrefillPlan& plan, const LayerInput& input, std::span<const std::uint32_t> rows) {
  TraceWriter writer(input.tokens, rows.size(), input.visibility);
  std::vector<PlanZone> zones;
  std::uint32_t block_of_zones = ~std::uint32_t{0};
  SpanList kept, forced;
  for (const std::uint32_t row : rows) {
    if (row >= plan.tokens) {
      writer.dense(row);
      continue;
    }
    const std::uint32_t block = row / PrefillPlan::block;
    if (block != block_of_zones) plan_zones(plan, block_of_zones = block, 0, plan.tokens, zones);
    kept.clear();
    forced.clear();
    for (const PlanZone& zone : zones) {
      append_span(kept, prefill_replay::within_distance(zone.keys, row, zone.kept));
      append_span(forced, prefill_replay::within_distance(zone.keys, row, zone.forced));
    }
    writer.row(row, kept, forced);
  }
  HeadTrace trace = writer.take();
  trace.cost = prefill_replay::cost_of(plan, input.visibility);
  return trace;
}

Result<HeadTrace> replay_prefill(const PrefillPolicy& policy, const LayerInput& input, std::uint32_t head,
                                 std::span<const std::uint32_t> rows, PrefillPlan& plan) {
  plan = {};
  if (const Status status = policy.plan(input, head, plan); !status) return status.error();
  if (const Status status = check_plan(plan, input.prompt_tokens); !status) return status.error();
  return trace_plan(plan, input, rows);
}

}  // namespace attnscope
