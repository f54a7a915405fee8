#include "core/policy/policy.h"

namespace attnscope {

// One function a policy, defined in the policy's own file; the order is that of the documentation.
PolicyEntry dense_entry();
PolicyEntry a_shape_entry();
PolicyEntry vertical_slash_entry();
PolicyEntry block_sparse_entry();
PolicyEntry lagkv_official_entry();
PolicyEntry lagkv_kvpress_entry();
PolicyEntry streaming_llm_entry();
PolicyEntry keydiff_entry();
PolicyEntry magicpig_authors_entry();
PolicyEntry magicpig_paper_entry();
PolicyEntry topk_exact_entry();
PolicyEntry oracle_sampling_entry();
PolicyEntry oracle_mass_entry();
PolicyEntry random_entry();

std::span<const PolicyEntry> policies() {
  static const std::vector<PolicyEntry> all = {
      dense_entry(),
      a_shape_entry(),
      vertical_slash_entry(),
      block_sparse_entry(),
      lagkv_official_entry(),
      lagkv_kvpress_entry(),
      streaming_llm_entry(),
      keydiff_entry(),
      magicpig_authors_entry(),
      magicpig_paper_entry(),
      topk_exact_entry(),
      oracle_sampling_entry(),
      oracle_mass_entry(),
      random_entry(),
  };
  return all;
}

}  // namespace attnscope
