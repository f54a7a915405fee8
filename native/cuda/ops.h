// Every operation of KernelDevice as kernels queued on a stream: what the CUDA device and the emulated one forward to.
// Each answers nullptr, or "CODE sentence" / the driver's words.
#pragma once
#include "device.h"
#include "host/kernels/kernel_device.h"

namespace attnscope::gpu {

Outcome run_dense(const AttentionArgs& args, Stream stream);
/// From how many blocks on attention over few keys uses its large warps: one and a half for each of 132 multiprocessors. Fewer blocks
/// leave multiprocessors with too few warps; then small warps, twice as many, are used. An H200 takes 67 us for 256 large blocks of
/// four warps where the same work in 512 small ones takes 85.
inline constexpr std::uint32_t many_blocks = 198;
Outcome run_a_shape(const AttentionArgs& args, std::uint32_t sink, std::uint32_t local, Stream stream, std::uint32_t many = many_blocks);
Outcome run_sparse(const AttentionArgs& args, const SparseIndex& index, Stream stream, std::uint32_t many = many_blocks);
Outcome run_decode(const DecodeArgs& args, Stream stream);
Outcome run_merge(const MergeArgs& args, Stream stream);
Outcome run_strip(const StripArgs& args, Stream stream);
Outcome run_select(const SelectArgs& args, Stream stream);
Outcome run_convert(const ConvertArgs& args, Stream stream);
Outcome run_pool(const PoolArgs& args, Stream stream);
Outcome run_select_blocks(const BlockSelectArgs& args, Stream stream);
Outcome run_lag_score(const LagArgs& args, Stream stream);
Outcome run_hash(const HashArgs& args, Stream stream);
Outcome run_sort_buckets(const BucketArgs& args, Stream stream);
Outcome run_reduce(const ReduceArgs& args, Stream stream);
Outcome run_embed(const EmbedArgs& args, Stream stream);
Outcome run_norm(const NormArgs& args, Stream stream);
/// By our own kernels; the CUDA device has cuBLAS where it is installed (cublas.h).
Outcome run_multiply(const MultiplyArgs& args, Stream stream);
Outcome run_rotate(const RotateArgs& args, Stream stream);
Outcome run_activate(const ActivateArgs& args, Stream stream);
Outcome run_cast(const CastArgs& args, Stream stream);
Outcome run_gather(const GatherArgs& args, Stream stream);
Outcome run_count_non_finite(const NonFiniteArgs& args, Stream stream);
Outcome run_moments(const MomentsArgs& args, Stream stream);
Outcome run_coverage(const CoverageArgs& args, Stream stream);

std::size_t workspace_of(const DecodeArgs& args);
std::size_t workspace_of(const StripArgs& args);
std::size_t workspace_of(const SelectArgs& args);
std::size_t workspace_of(const ConvertArgs& args);
std::size_t workspace_of(const BlockSelectArgs& args);
std::size_t workspace_of(const MultiplyArgs& args);
/// Shared memory of a block.
std::size_t shared_of(const CoverageArgs& args);

}  // namespace attnscope::gpu
