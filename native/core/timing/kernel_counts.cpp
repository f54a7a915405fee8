#include "core/timing/kernel_counts.h"

#include "core/policy/vertical_slash.h"

namespace attnscope {
namespace kernel_counting {

/// 0 where the policy has no such parameter.
double parameter(const PolicyChoice& policy, std::string_view name) {
  const std::vector<Parameter>& parameters = policy.entry->descriptor.parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (name == parameters[i].name) return policy.config[i];
  return 0;
}

}  // namespace kernel_counting

KernelCounts kernel_counts(const PolicyChoice& policy, std::string_view op, std::uint32_t tokens) {
  using kernel_counting::parameter;
  const std::string_view id = policy.entry->descriptor.id;
  if (op == "vertical-slash" && id == op) {
    const vertical_slash::Kept kept = vertical_slash::kept(policy.config, tokens);
    return {.columns = static_cast<double>(kept.columns), .distances = static_cast<double>(kept.distances)};
  }
  if (op == "a-shape") return {.columns = parameter(policy, "n_init"), .distances = parameter(policy, "n_local")};
  if (op == "block-sparse") return {.top_k = parameter(policy, "top_k")};
  if (op == "simhash") return {.columns = parameter(policy, "L"), .top_k = parameter(policy, "K")};
  return {};
}

}  // namespace attnscope
