// Prefill plans from what was selected: columns and distances, lists of blocks, aligned tiles. Used by the policies and
// for indices that come from another prompt.
#pragma once
#include <span>

#include "core/policy/policy.h"

namespace attnscope {

/// Sets `plan` to `tokens` prompt rows without any tile yet; rows are then added one after the other.
void start_plan(PrefillPlan& plan, std::uint32_t tokens);
/// Ends the row block that tiles and columns were appended to.
void finish_row_block(PrefillPlan& plan);

/// First key that some query of row block m sees.
inline std::uint32_t first_visible_key(std::uint32_t m, Visibility visibility) { return visibility.first_key(m * PrefillPlan::block); }
/// Visible pairs of a prompt.
double causal_cells(std::uint32_t tokens, Visibility visibility);

/// Columns and distances (any order, repetitions allowed, those >= tokens are dropped) as MInference tiles them. Sets
/// token_cells, index_bytes, mean_run and indices; nothing is marked as forced, and estimated_recall is NaN.
PrefillPlan plan_from_vertical_slash(std::uint32_t tokens, std::vector<std::uint32_t> columns, std::vector<std::uint32_t> distances,
                                     Visibility visibility = {});

/// Blocks of 64 keys at [block_offset[m], block_offset[m + 1]) for row block m, in any order; blocks beyond the diagonal
/// are dropped. Row blocks past the end of the lists are computed dense, so that a longer prompt loses nothing unseen.
PrefillPlan plan_from_blocks(std::uint32_t tokens, std::span<const std::uint32_t> block_offset, std::span<const std::uint32_t> blocks,
                             Visibility visibility = {});

/// Pairs (i, i - distance) and (i, column) that a prompt sees, each counted once, in closed form: sum over columns of the
/// rows that see them, plus sum over distances, minus pairs in both. Columns ascending, distances descending, all < tokens.
double vertical_slash_cells(std::uint32_t tokens, std::span<const std::uint32_t> columns, std::span<const std::uint32_t> distances,
                            Visibility visibility);
/// Mean length of runs of neighbouring distances, given in descending order; 0 for none.
double mean_run_length(std::span<const std::uint32_t> distances);

}  // namespace attnscope
