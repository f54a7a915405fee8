// A model that runs with policies active: the context layer by layer, then token by token. Without policies, the dense
// run that they are compared with: both take the same path.
#pragma once
#include <memory>

#include "core/replay/trace_writer.h"
#include "host/policy_backend.h"
#include "host/policy_layer.h"
#include "host/progress.h"
#include "host/thread_pool.h"

namespace attnscope {

class PolicyModel {
 public:
  /// `active`: false runs the plan's model densely. Plan, pool and progress outlive this.
  PolicyModel(const PolicyRunPlan& plan, std::uint32_t context, bool active, std::unique_ptr<PolicyBackend> backend, ThreadPool& pool,
              ProgressReporter& progress);

  /// Tokens [0, context) through every layer. Progress counts layers from `layers_done` on, of `layers_in_all`.
  Status prefill(std::uint32_t layers_done, std::uint32_t layers_in_all);
  /// The token at the next position.
  Status step(std::uint32_t id);

  /// Of the newest position: logits, the residual stream after every layer; what its cache holds.
  const PolicyBackend& backend() const { return *backend_; }
  std::uint64_t peak_tokens() const { return peak_tokens_; }
  /// Of the prompt over all heads: visible pairs, and what 64 x 64 tiles and gathered columns compute of them.
  double causal_cells() const { return causal_cells_; }
  double kernel_cells() const { return kernel_cells_; }
  /// The kept sets of the plan's heads, in its order.
  std::vector<PolicyRunResult::Trace> take_traces();

 private:
  Status prefill_layer(std::uint32_t layer);
  Status feed_chunk(std::uint32_t layer, TokenRange rows, bool apart);
  Status plan_heads(std::uint32_t layer);
  Status build_indices(std::uint32_t layer);
  Status step_layer(std::uint32_t layer);

  /// Asks the layer's state machines about the tokens just appended, whose queries begin at `first`, and drops what the
  /// attention of these queries shall no longer see.
  Status decide(std::uint32_t layer, Rows queries, std::uint32_t first, const AppendEvent& event);
  /// Drops what was decided from the kv heads that do so at this point, before or after the attention.
  Status evict(std::uint32_t layer, bool before_attention);
  /// As of the last refresh of the layer's views.
  ResidentTokens resident_tokens(std::uint32_t layer, std::uint32_t kv_head) const;
  Status select(std::uint32_t layer, Rows query, std::uint32_t position);

  void trace_plans(std::uint32_t layer, const PolicyInput& input);
  /// Writes down what rows see as the cache is now; `again` (empty: all heads) marks kv heads whose last rows are replaced.
  void trace_rows(std::uint32_t layer, std::uint32_t first, std::uint32_t end, std::span<const std::uint8_t> again);

  const PolicyRunPlan& plan_;
  const ModelPlan& model_;
  const std::uint32_t context_;
  std::unique_ptr<PolicyBackend> backend_;
  ThreadPool& pool_;
  ProgressReporter& progress_;
  std::uint32_t fed_ = 0;                 // tokens so far
  std::vector<LayerPolicies> policies_;   // [layers]; empty lists in a dense run
  bool active_;

  // Of the layer being worked on, [kv heads] or [heads].
  std::vector<std::vector<std::uint32_t>> evict_;
  std::vector<std::uint8_t> evict_before_;
  std::vector<PrefillPlan> plans_;
  std::vector<Selection> selections_;
  std::vector<SelectedKeys> selected_;

  /// A head under a prefill policy has the rows of its plan, any other those that it acts on.
  struct Tracer {
    std::uint32_t layer, head;
    TraceWriter writer;
    HeadTrace plan;
  };
  std::vector<Tracer> tracers_;

  std::uint64_t peak_tokens_ = 0;
  double causal_cells_ = 0, kernel_cells_ = 0;
};

}  // namespace attnscope
