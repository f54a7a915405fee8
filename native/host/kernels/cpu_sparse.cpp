// Attention over listed tiles and columns.
#include <algorithm>

#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_prompt.h"

namespace attnscope::cpu {

Outcome sparse(Context& context, const AttentionArgs& args, const SparseIndex& index) {
  const std::size_t offsets = args.row_blocks() + std::size_t{1};
  return attend_prompt(context, args, {}, [&](const PromptBlock& block, KeyBatch& batch) {
    // Columns first: the batch that holds the diagonal then ends with it, and half of its tile can be left out.
    if (index.column_offset != nullptr) {
      const std::uint32_t* offset = index.column_offset + block.head * offsets + block.m;
      const std::uint32_t* column = index.column + block.head * index.column_capacity;
      for (std::uint32_t i = offset[0]; i < offset[1]; ++i)
        if (column[i] < block.end_query) batch.add(column[i]);
    }
    const std::uint32_t* offset = index.tile_offset + block.head * offsets + block.m;
    const std::uint32_t* tile = index.tile + block.head * index.tile_capacity;
    for (std::uint32_t i = offset[0]; i < offset[1]; ++i)
      batch.add_run(tile[i], std::min<std::uint32_t>(tile[i] + block_rows, block.end_query));
  });
}

}  // namespace attnscope::cpu
