#include "core/policy/plan_indices.h"

#include <algorithm>

#include "core/policy/plan_builder.h"

namespace attnscope {

Result<PolicyChoice> prefill_policy(std::string_view text) {
  Result<PolicyChoice> choice = parse_policy(text);
  if (choice && choice.value().entry->prefill == nullptr)
    return Error{"E_REPLAY_INDICES", "policy " + std::string(choice.value().entry->descriptor.id) + " makes no prefill plan; indices go with prefill policies"};
  return choice;
}

Result<PrefillPlan> plan_from_indices(const PlanIndices& indices, std::uint32_t tokens, Visibility visibility) {
  const auto& offset = indices.block_offset;
  const bool lines = !indices.columns.empty() || !indices.distances.empty();
  if (lines == !offset.empty())
    return Error{"E_REPLAY_INDICES", lines ? "indices hold block lists beside columns and distances; give one kind"
                                           : "indices hold neither columns and distances nor block lists; take them from a run of a prefill policy that makes some"};
  if (lines) return plan_from_vertical_slash(tokens, indices.columns, indices.distances, visibility);
  if (offset.front() != 0 || offset.back() != indices.blocks.size() || !std::is_sorted(offset.begin(), offset.end()))
    return Error{"E_REPLAY_INDICES", "block lists end at " + std::to_string(offset.back()) + " of " + std::to_string(indices.blocks.size()) +
                                         " blocks or are out of order; blockOffset starts at 0, ascends and ends at the number of blocks"};
  return plan_from_blocks(tokens, offset, indices.blocks, visibility);
}

}  // namespace attnscope
