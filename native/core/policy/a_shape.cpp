#include <algorithm>

#include "core/policy/plan_builder.h"

namespace attnscope {
namespace a_shape {
namespace {

enum Index { index_n_init, index_n_local };

PolicyDescriptor descriptor() {
  constexpr double longest = 1 << 20;  // 1M tokens, the longest prompts published
  constexpr std::uint32_t published = 131072;
  return {
      .id = "a-shape",
      .title = "A-shape (MInference)",
      .family = Family::prefill,
      .unit = DecisionUnit::query_head,
      .granularity = "token, computed as aligned 64 x 64 tiles",
      .phase = "prefill",
      .frees = Frees::nothing,
      .query_aware = QueryAware::no,
      .doc = "Keeps the first n_init keys and the last n_local keys of every row, the row's own included.",
      .source = "MInference 1.0 (Jiang et al. 2024); microsoft/MInference minference/ops/streaming_kernel.py",
      .kernels = {{PolicyKernel::When::prefill, "a-shape", "attention"}, {PolicyKernel::When::step, "decode", "attention"}},
      .parameters = {{.name = "n_init", .unit = "tokens", .minimum = 1, .maximum = longest, .fallback = 128,
                      .doc = "First keys that every row keeps.", .logarithmic = true, .scales = true},
                     {.name = "n_local", .unit = "tokens", .minimum = 1, .maximum = longest, .fallback = 3968,
                      .doc = "Last keys that every row keeps, its own included.", .logarithmic = true, .scales = true}},
      .presets = {
          {"default", "microsoft/MInference minference/models_patch.py: A-shape as the attention type of a whole model", {128, 3968}, published},
          {"search-100-800", "microsoft/MInference minference/modules/minference_forward.py, search_pattern", {100, 800}, published},
          {"paper", "MInference paper (Jiang et al. 2024), table of the search space; recalled, not checked at the source", {1024, 4096}, published},
          {"flexprefill-baseline", "bytedance/FlexPrefill experiments/scripts/streaming_llm", {1024, 8192}, published},
      }};
}

class Policy : public PrefillPolicy {
 public:
  explicit Policy(const PolicyConfig& config) : sink_(config.count(index_n_init)), local_(config.count(index_n_local)) {}

  Status plan(const LayerInput& input, std::uint32_t, PrefillPlan& plan) const override {
    constexpr std::uint32_t block = PrefillPlan::block;
    const std::uint32_t tokens = input.prompt_tokens;
    start_plan(plan, tokens);
    plan.windowed = true;
    plan.sink = sink_;
    plan.local = local_;
    plan.forced_columns = sink_;
    plan.forced_distances = local_;
    // A sliding-window layer sees no further than its own window.
    const std::uint32_t window = input.visibility.window;
    const Visibility local{window == 0 ? local_ : std::min(window, local_)};
    const std::uint32_t sink_blocks = (std::min(sink_, tokens) + block - 1) / block;
    for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
      const std::uint32_t first_local = first_visible_key(m, local) / block, first_sink = first_visible_key(m, input.visibility);
      if (first_sink < sink_)
        for (std::uint32_t b = first_sink / block; b < std::min(sink_blocks, first_local); ++b) plan.tile.push_back(b * block);
      for (std::uint32_t b = first_local; b <= m; ++b) plan.tile.push_back(b * block);
      finish_row_block(plan);
    }
    const TokenRange rows{0, tokens}, sinks{0, std::min(sink_, tokens)};
    plan.token_cells = static_cast<double>(visible_pairs(rows, rows, local) + visible_pairs(rows, sinks, input.visibility) - visible_pairs(rows, sinks, local));
    return success();
  }

 private:
  std::uint32_t sink_, local_;
};

}  // namespace
}  // namespace a_shape

PolicyEntry a_shape_entry() {
  return {.descriptor = a_shape::descriptor(),
          .prefill = [](const PolicyConfig& config) -> Result<std::unique_ptr<PrefillPolicy>> {
            return std::unique_ptr<PrefillPolicy>(std::make_unique<a_shape::Policy>(config));
          }};
}

}  // namespace attnscope
