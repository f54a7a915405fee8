#include "core/policy/plan_builder.h"

namespace attnscope {
namespace dense {
namespace {

class Policy : public PrefillPolicy {
 public:
  Status plan(const LayerInput& input, std::uint32_t, PrefillPlan& plan) const override {
    // Lists for no row block: every row block is computed up to its diagonal.
    plan = plan_from_blocks(input.prompt_tokens, {}, {}, input.visibility);
    plan.indices = {};
    plan.index_bytes = 0;
    plan.estimated_recall = 1;
    return success();
  }
};

}  // namespace
}  // namespace dense

PolicyEntry dense_entry() {
  return {.descriptor = {.id = "dense",
                         .title = "Dense",
                         .family = Family::prefill,
                         .unit = DecisionUnit::query_head,
                         .granularity = "everything, computed as 64 x 64 tiles",
                         .phase = "prefill",
                         .frees = Frees::nothing,
                         .query_aware = QueryAware::no,
                         .yardstick = true,
                         .doc = "Keeps every pair that the model itself can see: the yardstick for cost and loss.",
                         .source = "FlashAttention-2 (Dao 2023) computes the same pairs, in tiles",
                         .kernels = {{PolicyKernel::When::prefill, "dense", "attention"}, {PolicyKernel::When::step, "decode", "attention"}},
                         .presets = {{"default", "no parameters", {}}}},
          .prefill = [](const PolicyConfig&) -> Result<std::unique_ptr<PrefillPolicy>> {
            return std::unique_ptr<PrefillPolicy>(std::make_unique<dense::Policy>());
          }};
}

}  // namespace attnscope
