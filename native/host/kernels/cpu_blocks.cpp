// Block-sparse's estimate: means of 64 rows, their products, and the best blocks of every row of them.
#include <algorithm>

#include "core/policy/block_scores.h"
#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_rows.h"
#include "host/kernels/cpu_top.h"

namespace attnscope::cpu {

Outcome pool(Context& context, const PoolArgs& args) {
  constexpr std::size_t task_blocks = 16;
  const std::size_t dim = args.head_dim, blocks = (args.tokens + std::size_t{63}) / 64, tasks = (blocks + task_blocks - 1) / task_blocks;
  context.pool.parallel_for(args.heads * tasks, [&](std::size_t task, unsigned worker) {
    const std::size_t head = task / tasks, begin = task % tasks * task_blocks;
    const SourceRows source = source_rows(args.x, args.dtype, head, dim);
    Scratch& scratch = context.scratch[worker];
    float* copy = scratch.floats(slot_rows, source.in_place(1) ? 0 : 64 * dim);
    const std::span<double> sum{reinterpret_cast<double*>(scratch.floats(slot_sums, 2 * dim)), dim};
    for (std::size_t b = begin; b < std::min(begin + task_blocks, blocks); ++b) {
      float* mean = args.mean + (head * blocks + b) * dim;
      if (source.in_place(1)) {
        block_sparse::pool_block(source.rows(args.tokens), static_cast<std::uint32_t>(b), args.tokens, sum, mean);
        continue;
      }
      const std::size_t rows = std::min<std::size_t>(64, args.tokens - b * 64);
      for (std::size_t i = 0; i < rows; ++i) source.read(b * 64 + i, copy + i * dim, dim);
      block_sparse::pool_block({copy, rows, dim, dim}, 0, static_cast<std::uint32_t>(rows), sum, mean);
    }
  });
  return nullptr;
}

namespace {

/// Rows of blocks that one task scores and selects for.
constexpr std::uint32_t task_rows = 64;

/// Blocks kept for rows below m of a head: top_k each, all of them while there are fewer.
std::size_t kept_below(std::size_t m, std::size_t top_k) { return m <= top_k ? m * (m + 1) / 2 : top_k * (top_k + 1) / 2 + (m - top_k) * top_k; }

}  // namespace

Outcome select_blocks(Context& context, const BlockSelectArgs& args) {
  const std::size_t dim = args.head_dim, blocks = (args.tokens + std::size_t{63}) / 64, tasks = (blocks + task_rows - 1) / task_rows;
  const std::size_t group = args.heads / args.kv_heads, stride = round_up(blocks, panel_width);
  std::vector<KeyPanels> keys;
  keys.reserve(args.kv_heads);
  for (std::size_t kv = 0; kv < args.kv_heads; ++kv) keys.emplace_back(Rows{args.pooled_k + kv * blocks * dim, blocks, dim, dim});
  context.pool.parallel_for(args.heads * tasks, [&](std::size_t task, unsigned worker) {
    const std::size_t head = task % args.heads;
    const auto begin = static_cast<std::uint32_t>((tasks - 1 - task / args.heads) * task_rows);  // the longest rows first
    const auto rows = static_cast<std::uint32_t>(std::min<std::size_t>(task_rows, blocks - begin));
    float* scores = context.scratch[worker].floats(slot_scores, task_rows * stride);
    auto* value = reinterpret_cast<std::uint32_t*>(context.scratch[worker].floats(slot_rows, stride));
    block_sparse::score_block_rows(args.pooled_q + head * blocks * dim, keys[head / group], begin, rows, scores, stride);
    for (std::uint32_t r = 0; r < rows; ++r) {
      const std::uint32_t m = begin + r;
      const std::size_t at = kept_below(m, args.top_k);
      args.out.tile_offset[head * (blocks + 1) + m] = static_cast<std::uint32_t>(at);
      std::uint32_t* tile = args.out.tile + head * args.out.tile_capacity + at;
      if (m < args.top_k) {
        for (std::uint32_t b = 0; b <= m; ++b) *tile++ = b * 64;
        continue;
      }
      for (std::uint32_t b = 0; b <= m; ++b) value[b] = order_of(scores[r * stride + b]);
      for_top(value, m + std::size_t{1}, args.top_k, [&](std::uint32_t b) { *tile++ = b * 64; });
    }
  });
  for (std::size_t head = 0; head < args.heads; ++head)
    args.out.tile_offset[head * (blocks + 1) + blocks] = static_cast<std::uint32_t>(kept_below(blocks, args.top_k));
  return nullptr;
}

}  // namespace attnscope::cpu
