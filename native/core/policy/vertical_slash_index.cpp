#include <algorithm>

#include "core/policy/plan_builder.h"
#include "core/policy/vertical_slash.h"

namespace attnscope::vertical_slash {
namespace {

constexpr std::uint32_t block = PrefillPlan::block;
constexpr std::uint32_t none = ~0u;

/// [tokens]: the largest distance at or below x, or none. With it a row block costs one step a tile instead of one a distance
/// (6,096 of them in 512 row blocks at 32K).
std::vector<std::uint32_t> largest_at_or_below(std::span<const std::uint32_t> distances, std::uint32_t tokens) {
  std::vector<std::uint32_t> below(tokens, none);
  for (std::uint32_t t : distances) below[t] = t;
  for (std::uint32_t x = 1; x < tokens; ++x)
    if (below[x] == none) below[x] = below[x - 1];
  return below;
}

/// [tokens + 1]: how many columns lie below x.
std::vector<std::uint32_t> count_below(std::span<const std::uint32_t> columns, std::uint32_t tokens) {
  std::vector<std::uint32_t> count(tokens + std::size_t{1});
  for (std::uint32_t j : columns) ++count[j + 1];
  for (std::uint32_t x = 0; x < tokens; ++x) count[x + 1] += count[x];
  return count;
}

}  // namespace

void convert_indices(std::span<const std::uint32_t> columns, std::span<const std::uint32_t> distances, PrefillPlan& plan) {
  const std::uint32_t tokens = plan.tokens;
  const std::vector<std::uint32_t> below = largest_at_or_below(distances, tokens), columns_below = count_below(columns, tokens);
  for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
    const std::uint32_t rows_end = (m + 1) * block;
    std::uint32_t column = 0;  // of `columns`: the next that is neither emitted nor inside a range
    const auto emit_columns = [&](std::uint32_t key_end) {
      const std::uint32_t end = columns_below[std::min(key_end, tokens)];
      if (end > column) plan.column.insert(plan.column.end(), columns.begin() + column, columns.begin() + end);
    };
    const auto close = [&](KeySpan range) {
      for (std::uint32_t key = range.begin; key < range.end; key += block) plan.tile.push_back(key);
      emit_columns(range.begin);
      column = columns_below[std::min(range.end, tokens)];
    };
    std::uint32_t t = below[std::min(rows_end, tokens) - 1];
    KeySpan open;
    if (t != none) {
      // A tile cannot start left of key 0, so none ends before key 64.
      open.end = std::max(rows_end - t, block);
      open.begin = open.end - block;
      while (open.end < rows_end) {
        t = below[std::min(rows_end - open.end, tokens) - 1];  // the next whose tile ends past the range
        if (t == none) break;
        const std::uint32_t tile_end = rows_end - t;
        if (tile_end > open.end + block) {
          close(open);
          open = {tile_end - block, tile_end};
        } else {
          open.end += block;
        }
      }
      close(open);
    }
    emit_columns(rows_end);
    finish_row_block(plan);
  }
}

}  // namespace attnscope::vertical_slash
