// Indices of one prompt's prefill plan laid over another prompt.
#pragma once
#include "core/policy/policy.h"

namespace attnscope {

/// A policy whose plans have indices, from its text. E_REPLAY_INDICES for other families.
Result<PolicyChoice> prefill_policy(std::string_view text);

/// The plan that `indices` give `tokens` prompt rows: block lists where there are any, else columns and distances.
/// E_REPLAY_INDICES where both or neither are there, or the block lists do not fit each other.
Result<PrefillPlan> plan_from_indices(const PlanIndices& indices, std::uint32_t tokens, Visibility visibility);

}  // namespace attnscope
