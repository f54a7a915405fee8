// Counts of a policy's parameters as its kernels take them, so that nobody who asks for a time reads parameters themselves.
#pragma once
#include "core/policy/policy.h"

namespace attnscope {

/// Fields of KernelShape of the same names; what the operation has no use for is 0.
struct KernelCounts {
  double columns = 0, distances = 0, top_k = 0;
};

/// Of one head over a prompt of `tokens`, as the operations of its descriptor count them: vertical-slash what it keeps, forced and
/// least counts included; a-shape n_init and n_local; block-sparse top_k; simhash tables and bits. All 0 for other operations.
KernelCounts kernel_counts(const PolicyChoice& policy, std::string_view op, std::uint32_t tokens);

}  // namespace attnscope
