#include "host/timing/cells.h"

#include <cmath>

#include "host/failure.h"

namespace attnscope::timing {

Status time_dense(Bench& bench, const Group& group) {
  for (const auto& [name, per_head] : batchings(bench.plan())) {
    TimingRow row = bench.row(group, "dense", "attention");
    row.batching = name;
    ATTNSCOPE_TRY(bench.measure(row, work_of(bench, group, row), [&] {
      return each_head(group, per_head, [&](int head) { return bench.device().dense(head < 0 ? group.attention : of_head(group.attention, head)); });
    }));
  }
  return success();
}

Status time_a_shape(Bench& bench, const Group& group) {
  for (const PolicyChoice& policy : policies_at(bench.plan(), "a-shape", group.tokens)) {
    const auto sink = policy.config.count(0), local = policy.config.count(1);
    for (const auto& [name, per_head] : batchings(bench.plan())) {
      TimingRow row = bench.row(group, "a-shape", "attention");
      row.policy = write_policy(policy);
      row.batching = name;
      KernelShape shape = work_of(bench, group, row);
      shape.columns = sink, shape.distances = local;
      shape.tiles = group.shape.heads * a_shape_blocks(group.tokens, group.tokens, sink, local);
      row.sparsity = sparsity_of(group, shape.tiles);
      ATTNSCOPE_TRY(bench.measure(row, shape, [&] {
        return each_head(group, per_head, [&](int head) { return bench.device().a_shape(head < 0 ? group.attention : of_head(group.attention, head), sink, local); });
      }));
    }
  }
  return success();
}

Status time_reduce(Bench& bench, const Group& group) {
  constexpr std::uint32_t most_cells = 256;  // a side, as captures have without --heads
  const TimingRow row = bench.row(group, "reduce", "reduce");
  const std::uint32_t heads = group.shape.heads, tokens = group.tokens;
  ReduceArgs args;
  while ((tokens + args.cell - 1) / args.cell > most_cells) args.cell *= 2;
  args.cells = (tokens + args.cell - 1) / args.cell;
  args.attention = group.attention;

  // What the log-sum-exp of normal vectors is on average: a dense pass would take longer than the reduction.
  std::vector<float> lse(std::size_t{heads} * tokens);
  for (std::size_t i = 0; i < lse.size(); ++i) lse[i] = std::log(static_cast<float>(i % tokens + 1)) + 0.5f;
  const auto lse_memory = bench.upload(lse, "log-sum-exps");
  ATTNSCOPE_OR_SKIP(bench, row, lse_memory);
  const std::uint64_t map = std::uint64_t{heads} * args.cells * args.cells, line = std::uint64_t{heads} * tokens;
  const std::uint64_t doubles = map + 2 * line, floats = map + 6 * line;
  const auto memory = bench.allocate(8 * doubles + 4 * floats, "maps and sums");
  ATTNSCOPE_OR_SKIP(bench, row, memory);
  args.attention.lse = lse_memory.value().as<float>();
  args.cell_sum = memory.value().as<double>();
  args.column_sum = args.cell_sum + map;
  args.diagonal_sum = args.column_sum + line;
  float* at = reinterpret_cast<float*>(args.diagonal_sum + line);
  const auto next = [&](std::uint64_t count) { return std::exchange(at, at + count); };
  args.cell_max = next(map);
  args.entropy = next(line), args.sink_mass = next(line), args.local_mass = next(line), args.previous_mass = next(line), args.top1_mass = next(line);
  args.top1_key = reinterpret_cast<std::uint32_t*>(at);
  return bench.measure(row, work_of(bench, group, row), [&] { return bench.device().reduce(args); });
}

}  // namespace attnscope::timing
