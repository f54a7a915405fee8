// What MInference's budgets cost a 64 x 64 kernel, and Sparse Frontier's ladder of equal budgets v = s, with the engine's
// own conversion of columns and distances to tiles.
#pragma once
#include <vector>

#include "tools/published_tables/row.h"

namespace attnscope::published_tables {

/// Columns are drawn uniformly, distances in runs of `run` with random starts (0: one run from distance 0 on; s or more: one
/// run anywhere); the first `forced_columns` and `forced_distances` are among them. Means over `seeds` draws.
struct KernelWork {
  double sparsity = 0;     // 1 - (64 x 64 cells computed, columns padded to 64) / those of all causal blocks
  double compression = 0;  // N (N + 1) / 2 over the cells of tiles and single columns: Sparse Frontier's rule
};
KernelWork kernel_work(std::uint32_t tokens, std::uint32_t v, std::uint32_t s, std::uint32_t run, std::uint32_t forced_columns, std::uint32_t forced_distances,
                       std::uint32_t seeds);

/// Kernel sparsity by budget and run length, then the ladder v = s at three lengths. About 3 s on one core.
std::vector<Row> prefill_rows();

}  // namespace attnscope::published_tables
