#include <algorithm>

#include "core/policy/plan_builder.h"
#include "core/policy/vertical_slash.h"

namespace attnscope::vertical_slash {
namespace {

constexpr std::uint32_t block = PrefillPlan::block;

/// Neighbouring distances [near, far]. Within a run tiles end one key after the other, so the walk over it has a closed
/// form: after the first tile the range grows by 64 until it holds the last one.
struct Run {
  std::uint32_t near, far;
};

std::vector<Run> runs_of(std::span<const std::uint32_t> distances) {
  std::vector<Run> runs;
  for (std::uint32_t t : distances) {
    if (!runs.empty() && runs.back().near == t + 1)
      runs.back().near = t;
    else
      runs.push_back({t, t});
  }
  return runs;
}

}  // namespace

void convert_indices(std::span<const std::uint32_t> columns, std::span<const std::uint32_t> distances, PrefillPlan& plan) {
  const std::vector<Run> runs = runs_of(distances);
  std::size_t first_run = runs.size();  // of those with a distance below the row block's end; falls as rows go down
  for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
    const std::uint32_t rows_end = (m + 1) * block;
    while (first_run > 0 && runs[first_run - 1].near < rows_end) --first_run;

    std::size_t column = 0;
    const auto close = [&](KeySpan range) {
      for (std::uint32_t key = range.begin; key < range.end; key += block) plan.tile.push_back(key);
      for (; column < columns.size() && columns[column] < range.begin; ++column) plan.column.push_back(columns[column]);
      while (column < columns.size() && columns[column] < range.end) ++column;
    };
    KeySpan open;
    for (std::size_t r = first_run; r < runs.size(); ++r) {
      // Tiles cannot start left of key 0, so none ends before key 64.
      const std::uint32_t first_end = std::max(rows_end - std::min(runs[r].far, rows_end), block);
      const std::uint32_t last_end = std::max(rows_end - runs[r].near, block);
      if (open.end == 0 || first_end > open.end + block) {
        close(open);
        open = {first_end - block, first_end};
      } else if (first_end > open.end) {
        open.end += block;
      }
      if (last_end > open.end) open.end += (last_end - open.end + block - 1) / block * block;
    }
    close(open);
    const std::uint32_t last_row_end = std::min(rows_end, plan.tokens);
    for (; column < columns.size() && columns[column] < last_row_end; ++column) plan.column.push_back(columns[column]);
    finish_row_block(plan);
  }
}

}  // namespace attnscope::vertical_slash
