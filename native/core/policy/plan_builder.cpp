#include "core/policy/plan_builder.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "core/policy/vertical_slash.h"

namespace attnscope {

void start_plan(PrefillPlan& plan, std::uint32_t tokens) {
  plan = {};
  plan.tokens = tokens;
  plan.tile_offset.reserve(plan.row_blocks() + 1);
  plan.column_offset.reserve(plan.row_blocks() + 1);
  plan.tile_offset.push_back(0);
  plan.column_offset.push_back(0);
  plan.estimated_recall = std::numeric_limits<double>::quiet_NaN();
}

void finish_row_block(PrefillPlan& plan) {
  plan.tile_offset.push_back(plan.tile.size());
  plan.column_offset.push_back(plan.column.size());
}

double causal_cells(std::uint32_t tokens, Visibility visibility) {
  return static_cast<double>(visible_pairs({0, tokens}, {0, tokens}, visibility));
}

double vertical_slash_cells(std::uint32_t tokens, std::span<const std::uint32_t> columns, std::span<const std::uint32_t> distances,
                            Visibility visibility) {
  const std::uint32_t reach = visibility.window == 0 ? tokens : std::min(visibility.window, tokens);
  std::uint64_t cells = 0;
  for (std::uint32_t t : distances)
    if (t < reach) cells += tokens - t;
  // Row column + t sees the column and lies on distance t: one pair in both for every t < min(reach, tokens - column).
  std::size_t near = 0;
  for (std::uint32_t column : columns) {
    const std::uint32_t rows = std::min(reach, tokens - column);
    while (near < distances.size() && distances[near] >= rows) ++near;
    cells += rows - (distances.size() - near);
  }
  return static_cast<double>(cells);
}

double mean_run_length(std::span<const std::uint32_t> distances) {
  std::size_t runs = 0;
  for (std::size_t i = 0; i < distances.size(); ++i) runs += i == 0 || distances[i] + 1 != distances[i - 1];
  return runs == 0 ? 0 : static_cast<double>(distances.size()) / static_cast<double>(runs);
}

PrefillPlan plan_from_vertical_slash(std::uint32_t tokens, std::vector<std::uint32_t> columns, std::vector<std::uint32_t> distances,
                                     Visibility visibility) {
  if (!std::is_sorted(columns.begin(), columns.end())) std::sort(columns.begin(), columns.end());
  if (!std::is_sorted(distances.begin(), distances.end(), std::greater<>())) std::sort(distances.begin(), distances.end(), std::greater<>());
  for (auto* list : {&columns, &distances}) {
    list->erase(std::unique(list->begin(), list->end()), list->end());
    std::erase_if(*list, [&](std::uint32_t index) { return index >= tokens; });
  }
  PrefillPlan plan;
  start_plan(plan, tokens);
  vertical_slash::convert_indices(columns, distances, plan);
  plan.token_cells = vertical_slash_cells(tokens, columns, distances, visibility);
  plan.mean_run = mean_run_length(distances);
  // Four int32 arrays: tile count, tile starts [s], column count, columns [v] of every row block.
  plan.index_bytes = 4.0 * plan.row_blocks() * (static_cast<double>(columns.size()) + static_cast<double>(distances.size()) + 2);
  plan.indices.columns = std::move(columns);
  plan.indices.distances = std::move(distances);
  return plan;
}

PrefillPlan plan_from_blocks(std::uint32_t tokens, std::span<const std::uint32_t> block_offset, std::span<const std::uint32_t> blocks,
                             Visibility visibility) {
  PrefillPlan plan;
  start_plan(plan, tokens);
  PlanIndices& indices = plan.indices;
  indices.block_offset.push_back(0);
  std::uint64_t cells = 0;
  std::size_t widest = 0;
  for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
    const std::size_t begin = indices.blocks.size();
    const std::uint32_t first = first_visible_key(m, visibility) / PrefillPlan::block;
    if (m + std::size_t{1} < block_offset.size()) {
      for (std::size_t i = block_offset[m]; i < block_offset[m + 1] && i < blocks.size(); ++i)
        if (blocks[i] >= first && blocks[i] <= m) indices.blocks.push_back(blocks[i]);
    } else {
      for (std::uint32_t b = first; b <= m; ++b) indices.blocks.push_back(b);
    }
    const auto row = indices.blocks.begin() + static_cast<std::ptrdiff_t>(begin);
    if (!std::is_sorted(row, indices.blocks.end())) std::sort(row, indices.blocks.end());
    indices.blocks.erase(std::unique(row, indices.blocks.end()), indices.blocks.end());
    indices.block_offset.push_back(static_cast<std::uint32_t>(indices.blocks.size()));

    const TokenRange queries{m * PrefillPlan::block, std::min(tokens, (m + 1) * PrefillPlan::block)};
    for (std::size_t i = begin; i < indices.blocks.size(); ++i) {
      const std::uint32_t key = indices.blocks[i] * PrefillPlan::block;
      plan.tile.push_back(key);
      cells += visible_pairs(queries, {key, key + PrefillPlan::block}, visibility);
    }
    widest = std::max(widest, indices.blocks.size() - begin);
    finish_row_block(plan);
  }
  plan.token_cells = static_cast<double>(cells);
  plan.index_bytes = 4.0 * plan.row_blocks() * static_cast<double>(widest);
  return plan;
}

}  // namespace attnscope
