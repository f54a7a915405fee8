// One driver a family: each feeds a policy as a run would and writes down what every evaluated row keeps.
#pragma once
#include "core/replay/trace.h"

namespace attnscope {

/// Whether the plan's arrays fit each other and the prompt: E_REPLAY_PLAN.
Status check_plan(const PrefillPlan& plan, std::uint32_t prompt_tokens);

Result<HeadTrace> replay_prefill(const PrefillPolicy& policy, const LayerInput& input, std::uint32_t head,
                                 std::span<const std::uint32_t> rows, PrefillPlan& plan);

/// Feeds one kv head: the prompt [0, context) in one piece or in chunks, then token by token.
Result<HeadTrace> replay_retention(RetentionPolicy& policy, const LayerInput& input, std::uint32_t head,
                                   std::span<const std::uint32_t> rows, const Schedule& schedule, std::span<const double> future);

/// Indexes the context, then asks for every evaluated row after it.
Result<HeadTrace> replay_retrieval(RetrievalPolicy& policy, const LayerInput& input, std::uint32_t head,
                                   std::span<const std::uint32_t> rows, std::uint32_t context);

}  // namespace attnscope
