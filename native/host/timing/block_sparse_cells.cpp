#include <algorithm>

#include "host/failure.h"
#include "host/timing/cells.h"

namespace attnscope::timing {
namespace {

PoolArgs pool_of_head(const PoolArgs& all, std::uint32_t head, std::uint32_t blocks) {
  PoolArgs one = all;
  one.heads = 1;
  one.x = of_head(all.x, head, all.dtype);
  one.mean += std::size_t{head} * blocks * all.head_dim;
  return one;
}

BlockSelectArgs select_of_head(const BlockSelectArgs& all, std::uint32_t head, std::uint32_t blocks) {
  BlockSelectArgs one = all;
  one.heads = one.kv_heads = 1;
  one.pooled_q += std::size_t{head} * blocks * all.head_dim;
  one.pooled_k += std::size_t{head / (all.heads / all.kv_heads)} * blocks * all.head_dim;
  one.out = of_head(all.out, head, blocks);
  return one;
}

}  // namespace

Status time_block_sparse(Bench& bench, const Group& group) {
  KernelDevice& device = bench.device();
  const AttentionArgs& attention = group.attention;
  const std::uint32_t heads = group.shape.heads, kv_heads = group.shape.kv_heads, dim = group.shape.head_dim, blocks = attention.row_blocks();

  TimingRow row = bench.row(group, "block-sparse", "estimate");
  auto pooled_q = bench.allocate(std::uint64_t{4} * heads * blocks * dim, "pooled queries"), pooled_k = bench.allocate(std::uint64_t{4} * kv_heads * blocks * dim, "pooled keys");
  ATTNSCOPE_OR_SKIP(bench, row, pooled_q);
  ATTNSCOPE_OR_SKIP(bench, row, pooled_k);
  const PoolArgs q{attention.dtype, heads, dim, group.tokens, attention.q, pooled_q.value().as<float>()};
  const PoolArgs k{attention.dtype, kv_heads, dim, group.tokens, attention.k, pooled_k.value().as<float>()};
  for (const auto& [name, per_head] : batchings(bench.plan())) {
    row.batching = name;
    ATTNSCOPE_TRY(bench.measure(row, work_of(bench, group, row), [&] {
      return each_head(group, per_head, [&](int head) {
        // Head by head, as the published code runs: the keys of a kv head are pooled again for every query head.
        const Outcome outcome = device.pool(head < 0 ? q : pool_of_head(q, head, blocks));
        return outcome ? outcome : device.pool(head < 0 ? k : pool_of_head(k, head / (heads / kv_heads), blocks));
      });
    }));
  }
  for (const PoolArgs& pool : {q, k})
    if (const Outcome outcome = device.pool(pool)) return bench.skip(row, outcome), success();

  for (const PolicyChoice& policy : policies_at(bench.plan(), "block-sparse", group.tokens)) {
    row = bench.row(group, "block-sparse", "select");
    row.policy = write_policy(policy);
    row.indices = group.captured != nullptr ? "captured" : "from random vectors";
    const std::uint32_t top_k = std::min(policy.config.count(0), blocks);
    auto index = allocate_index(bench, group, std::uint64_t{blocks} * top_k, 0);
    ATTNSCOPE_OR_SKIP(bench, row, index);
    BlockSelectArgs args{heads, kv_heads, dim, group.tokens, q.mean, k.mean, top_k, index.value().index, nullptr};
    // Of all heads or of one, whichever takes more.
    auto workspace = bench.allocate(std::max(device.workspace_bytes(args), device.workspace_bytes(select_of_head(args, 0, blocks))), "workspace of the selection");
    ATTNSCOPE_OR_SKIP(bench, row, workspace);
    args.workspace = workspace.value().as();
    KernelShape shape = work_of(bench, group, row);
    shape.top_k = top_k;
    for (const auto& [name, per_head] : batchings(bench.plan())) {
      row.batching = name;
      ATTNSCOPE_TRY(bench.measure(row, shape, [&] {
        return each_head(group, per_head, [&](int head) { return device.select_blocks(head < 0 ? args : select_of_head(args, head, blocks)); });
      }));
    }
    if (const Outcome outcome = device.select_blocks(args)) return bench.skip(row, outcome), success();
    const auto counted = count_index(bench, group, args.out);
    ATTNSCOPE_OR_SKIP(bench, row, counted);

    row.phase = "attention";
    row.sparsity = counted.value().sparsity;
    shape.phase = row.phase;
    shape.tiles = static_cast<double>(counted.value().tiles);
    for (const auto& [name, per_head] : batchings(bench.plan())) {
      row.batching = name;
      ATTNSCOPE_TRY(bench.measure(row, shape, [&] {
        return each_head(group, per_head, [&](int head) {
          return head < 0 ? device.sparse(attention, args.out) : device.sparse(of_head(attention, head), of_head(args.out, head, blocks));
        });
      }));
    }
  }
  return success();
}

}  // namespace attnscope::timing
