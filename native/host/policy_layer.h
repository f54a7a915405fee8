// The policies of one layer of a live run, each with the heads it was given.
#pragma once
#include <memory>
#include <vector>

#include "host/kv_cache.h"
#include "host/policy_run.h"

namespace attnscope {

struct LayerPolicies {
  /// One state machine and the kv heads whose cache it rules.
  struct Retention {
    std::unique_ptr<RetentionPolicy> policy;
    std::vector<std::uint8_t> rules;  // [kv heads]
    Memo memo;
  };
  /// One index over one kv head, and the query heads that read through it. An object a kv head, so that kv heads are
  /// worked on in parallel: policies keep state between calls.
  struct Retrieval {
    std::unique_ptr<RetrievalPolicy> policy;
    std::uint32_t kv_head = 0;
    std::vector<std::uint32_t> heads;
    Memo memo;
  };

  std::vector<std::unique_ptr<PrefillPolicy>> prefill;  // [heads], null: dense; empty: no such policy in this layer
  std::vector<Retention> retention;
  std::vector<Retrieval> retrieval;

  /// Whether they look at each decoded token, not at the prompt alone.
  bool act_in_steps() const { return !retention.empty() || !retrieval.empty(); }
  bool any() const { return !prefill.empty() || act_in_steps(); }
};

/// Of a validated plan. Fails where a policy refuses its configuration.
Result<LayerPolicies> make_layer_policies(const PolicyRunPlan& plan, std::uint32_t layer);

/// What policies see of a layer; owns the lists that LayerInput points to. Keep it where it is while it is in use.
class PolicyInput {
 public:
  PolicyInput(const Plan& plan, std::uint32_t layer, std::uint32_t tokens, std::uint32_t prompt_tokens);
  PolicyInput(const PolicyInput&) = delete;

  /// Keys and values of every kv head, row = position: only while nothing was evicted.
  void set_rows(std::span<const KvView> views);
  /// Queries [rows][heads * head dim] at positions first, first + 1, ...
  void set_queries(Rows all_heads, std::uint32_t first);

  LayerInput with(Memo& memo) const {
    LayerInput input = input_;
    input.memo = &memo;
    return input;
  }

 private:
  LayerInput input_;
  std::vector<Rows> keys_, values_;
  std::vector<std::uint32_t> positions_;
  std::vector<QueryRows> queries_;
};

}  // namespace attnscope
