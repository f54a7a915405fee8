// The measurements of each operation at one length and shape. All return errors only where the run cannot go on; what cannot be
// measured is skipped with its reason.
#pragma once
#include "host/timing/bench.h"

namespace attnscope::timing {

Status time_dense(Bench& bench, const Group& group);
Status time_a_shape(Bench& bench, const Group& group);
Status time_vertical_slash(Bench& bench, const Group& group);
Status time_block_sparse(Bench& bench, const Group& group);
Status time_decode(Bench& bench, const Group& group);
Status time_decode_list(Bench& bench, const Group& group);
Status time_lagkv(Bench& bench, const Group& group);
Status time_simhash(Bench& bench, const Group& group);
Status time_reduce(Bench& bench, const Group& group);
/// For every shape once, whatever the length.
Status time_merge(Bench& bench, const TimingShape& shape);
Status time_copies(Bench& bench, const TimingShape& shape);

/// Work of an operation of this group; callers add what is its own.
KernelShape work_of(const Bench& bench, const Group& group, const TimingRow& row);

/// 1 - cells of so many 64 x 64 blocks (over all heads) / causal pairs.
double sparsity_of(const Group& group, double blocks);

/// Ways to launch that the plan asks for: all heads at once, head by head.
struct Batching {
  const char* name;
  bool per_head;
};
std::vector<Batching> batchings(const TimingPlan& plan);

/// The part of a tensor or index that one head reads, as a problem of a single head.
HeadTensor of_head(const HeadTensor& tensor, std::uint32_t head, DType dtype);
AttentionArgs of_head(const AttentionArgs& all, std::uint32_t head);
SparseIndex of_head(const SparseIndex& all, std::uint32_t head, std::uint32_t row_blocks);

/// An index in device memory.
struct IndexMemory {
  DeviceMemory tile_offset, tile, column_offset, column;
  SparseIndex index;
};
/// Space for `tiles` and `columns` a head; columns 0: a list of tiles alone.
Result<IndexMemory> allocate_index(Bench& bench, const Group& group, std::uint64_t tiles, std::uint64_t columns);
/// What an index on the device holds.
struct IndexWork {
  std::uint64_t tiles = 0, column_tiles = 0;  // over all heads; columns of a row block padded to 64
  double sparsity = 0;                        // 1 - 64 x 64 cells of both / causal pairs
};
Result<IndexWork> count_index(Bench& bench, const Group& group, const SparseIndex& index);

/// Runs `launch` for every head, or once for all.
template <class Launch>
Outcome each_head(const Group& group, bool per_head, const Launch& launch) {
  if (!per_head) return launch(-1);
  for (std::uint32_t head = 0; head < group.shape.heads; ++head)
    if (const Outcome outcome = launch(static_cast<int>(head))) return outcome;
  return nullptr;
}

}  // namespace attnscope::timing

/// Leaves a measurement out where memory for it cannot be had.
#define ATTNSCOPE_OR_SKIP(bench, row, result)                      \
  if (!(result).ok()) {                                            \
    (bench).skip(row, (result).error().message);                   \
    return success();                                              \
  }
