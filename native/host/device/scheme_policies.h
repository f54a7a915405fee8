// A retention policy in a run in an execution scheme: what it sees of a layer, and what it drops.
#pragma once
#include "host/device/scheme_cache.h"
#include "host/evicting_cache.h"
#include "host/policy_layer.h"

namespace attnscope {

class SchemePolicies {
 public:
  /// All arguments outlive this.
  SchemePolicies(const Plan& plan, const SchemePlan& scheme, KernelDevice& device, SchemeMemory& memory, SchemeCache& cache);
  Status open();
  bool active() const { return scheme_.retention.has_value(); }

  /// `count` rows joined the layer, whose queries [count][heads * head dim] stand at positions first, first + 1, ... Drops what their own
  /// attention shall not see. The layer is the one that the cache works on.
  Status appended(std::uint32_t layer, const std::byte* queries, std::uint32_t first, std::uint32_t count);
  /// Their attention is queued: drops the rest.
  Status attended(std::uint32_t layer);

 private:
  Status bring(std::uint32_t layer, const std::byte* queries, std::uint32_t count);
  Status evict(std::uint32_t layer);

  const Plan& plan_;
  const SchemePlan& scheme_;
  KernelDevice& device_;
  SchemeMemory& memory_;
  SchemeCache& cache_;
  PolicyRunPlan run_;
  std::vector<LayerPolicies> layers_;
  EvictingKvCache mirror_;   // fp32, of rows that are held: counted in no arena
  std::vector<float> queries_, rows_;
  std::vector<std::vector<std::uint32_t>> drop_;  // [kv heads], of the layer that is worked on
  std::vector<KvExpansion> expansions_;
};

}  // namespace attnscope
