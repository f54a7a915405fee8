#include <algorithm>

#include "core/policy/synthetic_indices.h"
#include "host/failure.h"
#include "host/timing/cells.h"

namespace attnscope::timing {
namespace {

/// The last query of every head over the group's keys.
DecodeArgs decode_args(const Group& group) {
  DecodeArgs args;
  args.dtype = group.attention.dtype;
  args.heads = group.shape.heads, args.kv_heads = group.shape.kv_heads, args.head_dim = group.shape.head_dim;
  args.keys = group.tokens, args.scale = group.attention.scale;
  args.q = group.attention.q, args.k = group.attention.k, args.v = group.attention.v;
  args.q.data = static_cast<std::uint8_t*>(args.q.data) + std::uint64_t{group.tokens - 1} * args.q.row_stride * size_of(args.dtype);
  return args;
}

DecodeArgs decode_of_head(const DecodeArgs& all, std::uint32_t head) {
  DecodeArgs one = all;
  const std::uint32_t kv_head = head / (all.heads / all.kv_heads), list = all.lists == all.kv_heads ? kv_head : head;
  one.heads = one.kv_heads = 1;
  one.q = of_head(all.q, head, all.dtype), one.k = of_head(all.k, kv_head, all.dtype), one.v = of_head(all.v, kv_head, all.dtype);
  if (all.list != nullptr) one.lists = 1, one.list += list * all.list_capacity, one.list_count += list;
  if (all.out != nullptr) one.out += std::size_t{head} * all.head_dim;
  if (all.lse != nullptr) one.lse += head;
  return one;
}

/// Measures with space for results and workspace.
Status measure_decode(Bench& bench, const Group& group, TimingRow row, KernelShape shape, DecodeArgs args) {
  // A single head may be cut into more parts than all of them.
  const std::uint64_t workspace_bytes = std::max(bench.device().workspace_bytes(args), bench.device().workspace_bytes(decode_of_head(args, 0)));
  auto out = bench.allocate(std::uint64_t{4} * group.shape.heads * (group.shape.head_dim + 1), "outputs"), workspace = bench.allocate(workspace_bytes, "workspace of a decode step");
  ATTNSCOPE_OR_SKIP(bench, row, out);
  ATTNSCOPE_OR_SKIP(bench, row, workspace);
  args.out = out.value().as<float>();
  args.lse = args.out + std::size_t{group.shape.heads} * group.shape.head_dim;
  args.workspace = workspace.value().as();
  for (const auto& [name, per_head] : batchings(bench.plan())) {
    row.batching = name;
    ATTNSCOPE_TRY(bench.measure(row, shape, [&] {
      return each_head(group, per_head, [&](int head) { return bench.device().decode(head < 0 ? args : decode_of_head(args, head)); });
    }));
  }
  return success();
}

}  // namespace

Status time_decode(Bench& bench, const Group& group) {
  TimingRow row = bench.row(group, "decode", "attention");
  row.queries = 1;
  return measure_decode(bench, group, row, work_of(bench, group, row), decode_args(group));
}

Status time_decode_list(Bench& bench, const Group& group) {
  for (const double share : bench.plan().shares) {
    const auto count = std::max(1u, static_cast<std::uint32_t>(share * group.tokens + 0.5));
    for (const bool shared : {true, false}) {
      if (!shared && group.shape.heads == group.shape.kv_heads) continue;
      TimingRow row = bench.row(group, "decode-list", "attention");
      row.queries = 1;
      row.indices = shared ? "synthetic, a list a kv head" : "synthetic, a list a query head";
      row.sparsity = 1 - static_cast<double>(count) / group.tokens;
      DecodeArgs args = decode_args(group);
      args.lists = shared ? group.shape.kv_heads : group.shape.heads;
      args.list_capacity = count;
      std::vector<std::uint32_t> keys;
      for (std::uint32_t i = 0; i < args.lists; ++i) {
        std::vector<std::uint32_t> drawn = draw_runs(group.tokens, count, 1, 0, seeded::Stream("timing lists", {bench.plan().seed, group.tokens, i}));
        std::sort(drawn.begin(), drawn.end());
        keys.insert(keys.end(), drawn.begin(), drawn.end());
      }
      const auto list = bench.upload(keys, "lists"), counts = bench.upload(std::vector<std::uint32_t>(args.lists, count), "lists");
      ATTNSCOPE_OR_SKIP(bench, row, list);
      ATTNSCOPE_OR_SKIP(bench, row, counts);
      args.list = list.value().as<std::uint32_t>(), args.list_count = counts.value().as<std::uint32_t>();
      KernelShape shape = work_of(bench, group, row);
      shape.keys = count, shape.columns = args.lists;
      ATTNSCOPE_TRY(measure_decode(bench, group, row, shape, args));
    }
  }
  return success();
}

Status time_merge(Bench& bench, const TimingShape& of) {
  // A decode step merges one row a head; chunks of a prompt merge many.
  for (const std::uint32_t queries : {1u, 16u, 256u, 4096u}) {
    TimingRow row = bench.row("merge", "merge");
    row.tokens = row.queries = queries;
    row.heads = static_cast<std::uint16_t>(of.heads), row.kv_heads = static_cast<std::uint16_t>(of.kv_heads), row.head_dim = static_cast<std::uint16_t>(of.head_dim);
    row.note = "2 parts";
    MergeArgs args;
    args.parts = 2, args.rows = of.heads * queries, args.head_dim = of.head_dim;
    // Scores and outputs of the parts are normal numbers as well; fp32 whatever the plan's dtype.
    std::vector<float> values(std::size_t{args.parts} * args.rows * (args.head_dim + 1));
    const seeded::Stream stream("timing merge", {bench.plan().seed});
    for (std::size_t pair = 0; 2 * pair + 1 < values.size(); ++pair) stream.normal_pair(pair % 4096, values[2 * pair], values[2 * pair + 1]);
    const auto parts = bench.upload(values, "parts"), out = bench.allocate(std::uint64_t{4} * args.rows * (args.head_dim + 1), "merged rows");
    ATTNSCOPE_OR_SKIP(bench, row, parts);
    ATTNSCOPE_OR_SKIP(bench, row, out);
    args.part_out = parts.value().as<float>();
    args.part_lse = args.part_out + std::size_t{args.parts} * args.rows * args.head_dim;
    args.out = out.value().as<float>();
    args.lse = args.out + std::size_t{args.rows} * args.head_dim;
    Group group;
    group.shape = of;
    KernelShape shape = work_of(bench, group, row);
    shape.keys = args.parts;
    ATTNSCOPE_TRY(bench.measure(row, shape, [&] { return bench.device().merge(args); }));
  }
  return success();
}

}  // namespace attnscope::timing
