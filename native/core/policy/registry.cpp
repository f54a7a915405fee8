#include "core/policy/policy.h"

namespace attnscope {

// One function a policy, defined in the policy's own file; the order is that of the documentation.
PolicyEntry dense_entry();
PolicyEntry a_shape_entry();
PolicyEntry vertical_slash_entry();
PolicyEntry block_sparse_entry();

std::span<const PolicyEntry> policies() {
  static const std::vector<PolicyEntry> all = {
      dense_entry(),
      a_shape_entry(),
      vertical_slash_entry(),
      block_sparse_entry(),
  };
  return all;
}

}  // namespace attnscope
