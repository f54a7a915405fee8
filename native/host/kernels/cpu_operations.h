// The operations of KernelDevice on the CPU; kernel_device.h says what each computes.
#pragma once
#include "host/kernels/cpu_context.h"

namespace attnscope::cpu {

Outcome dense(Context& context, const AttentionArgs& args);
Outcome a_shape(Context& context, const AttentionArgs& args, std::uint32_t sink, std::uint32_t local);
Outcome sparse(Context& context, const AttentionArgs& args, const SparseIndex& index);
Outcome decode(Context& context, const DecodeArgs& args);
Outcome merge(Context& context, const MergeArgs& args);
Outcome strip(Context& context, const StripArgs& args);
Outcome select(Context& context, const SelectArgs& args);
Outcome convert(Context& context, const ConvertArgs& args);
Outcome pool(Context& context, const PoolArgs& args);
Outcome select_blocks(Context& context, const BlockSelectArgs& args);
Outcome lag_score(Context& context, const LagArgs& args);
Outcome hash(Context& context, const HashArgs& args);
Outcome sort_buckets(Context& context, const BucketArgs& args);
Outcome reduce(Context& context, const ReduceArgs& args);
Outcome embed(Context& context, const EmbedArgs& args);
Outcome norm(Context& context, const NormArgs& args);
Outcome multiply(Context& context, const MultiplyArgs& args);
Outcome rotate(Context& context, const RotateArgs& args);
Outcome activate(Context& context, const ActivateArgs& args);
Outcome cast(Context& context, const CastArgs& args);
Outcome gather(Context& context, const GatherArgs& args);
Outcome count_non_finite(Context& context, const NonFiniteArgs& args);
Outcome moments(Context& context, const MomentsArgs& args);
Outcome coverage(Context& context, const CoverageArgs& args);

std::size_t strip_workspace(const Context& context, const StripArgs& args);

}  // namespace attnscope::cpu
