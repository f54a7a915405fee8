// The `count` largest scores of every row. A row is one block's, or, where rows are few and long, several blocks': then digits
// are counted by one kernel each into global bins, and a last pair of kernels counts and writes what is selected.
#include "ops.h"
#include "radix_select.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned threads = 512, bits = 11, each = 8;
constexpr unsigned digits = 3;  // 11, 11 and 10 bits
constexpr unsigned bins = 1u << bits;

struct SelectShared {
  std::uint32_t bins[bin_copies << bits], scratch[warp_size], result[2];
};

struct SelectPlan {
  std::uint32_t parts = 1;
  std::uint32_t* bins = nullptr;    // [rows][digits][2048]
  RadixState* state = nullptr;      // [rows][digits + 1]: before each digit; the last is the threshold
  Passed* passed = nullptr;         // [rows][parts]: what each part holds
};

SelectPlan plan_of(const SelectArgs& args) {
  SelectPlan plan;
  // Several blocks a row cost five more launches: not worth it where a row is read in less (estimated, not measured). 256 blocks are
  // two for each of 132 multiprocessors.
  if (args.entries >= 65536) plan.parts = parts_for(args.entries, args.rows, 256, 16384);
  plan.bins = static_cast<std::uint32_t*>(args.workspace);
  plan.state = reinterpret_cast<RadixState*>(plan.bins + std::size_t{args.rows} * digits * bins);
  plan.passed = reinterpret_cast<Passed*>(plan.state + std::size_t{args.rows} * (digits + 1));
  return plan;
}

/// Keys of a row: forced ones in front.
struct RowKeys {
  const float* score;
  std::uint32_t forced;
  ATTNSCOPE_DEVICE std::uint32_t operator()(std::uint32_t i) const { return i < forced ? forced_bits : ordered_bits(float_bits(score[i])); }
};

ATTNSCOPE_DEVICE RowKeys keys_of(const SelectArgs& args, std::uint32_t row) { return {args.score + row * args.score_stride, args.forced}; }

ATTNSCOPE_DEVICE void write_selected(const SelectArgs& args, std::uint32_t row, const BlockTeam& team, Range range, const Threshold& threshold, const Passed& passed) {
  std::uint32_t* index = args.index + std::uint64_t{row} * args.count;
  visit_selected<each>(team, range.begin, range.end, threshold, passed, keys_of(args, row), [&](std::uint32_t i, std::uint32_t rank) {
    index[args.descending ? args.count - 1 - rank : rank] = i;
  });
}

ATTNSCOPE_KERNEL(threads) select_row(SelectArgs args) {
  auto& shared = *reinterpret_cast<SelectShared*>(shared_memory());
  const BlockTeam team{shared.scratch};
  const Threshold threshold = find_threshold<bits>(team, shared.bins, shared.result, args.entries, args.count, keys_of(args, block_x()));
  write_selected(args, block_x(), team, {0, args.entries}, threshold, {});
}

/// The state before digit `digit` >= 1 of a row, from that before the last one and what was counted. One block keeps it for the next kernel.
ATTNSCOPE_DEVICE RadixState next_state(const SelectArgs& args, const SelectPlan& plan, std::uint32_t row, unsigned digit, const BlockTeam& team, std::uint32_t* result) {
  RadixState* states = plan.state + std::uint64_t{row} * (digits + 1);
  RadixState state = digit == 1 ? RadixState{0, args.count, 32} : states[digit - 1];
  const std::uint32_t* counted = plan.bins + (std::uint64_t{row} * digits + digit - 1) * bins;
  choose_digit<bits>(team, result, state, [counted](unsigned d) { return counted[d]; });
  if (block_y() == 0 && team.rank() == 0) states[digit] = state;
  return state;
}

ATTNSCOPE_KERNEL(threads) select_count_digit(SelectArgs args, SelectPlan plan, unsigned digit) {
  auto& shared = *reinterpret_cast<SelectShared*>(shared_memory());
  const BlockTeam team{shared.scratch};
  const std::uint32_t row = block_x();
  const RadixState state = digit == 0 ? RadixState{0, args.count, 32} : next_state(args, plan, row, digit, team, shared.result);
  const Range range = part_of(args.entries, plan.parts, block_y());
  count_digits<bits>(team, shared.bins, state, range.begin, range.end, keys_of(args, row));
  std::uint32_t* counted = plan.bins + (std::uint64_t{row} * digits + digit) * bins;
  for (unsigned d = team.rank(); d < 1u << digit_bits(state.low, bits); d += team.size()) {
    std::uint32_t sum = 0;
    for (unsigned copy = 0; copy < bin_copies; ++copy) sum += shared.bins[d * bin_copies + copy];
    if (sum > 0) atomic_add(counted + d, sum);
  }
}

ATTNSCOPE_KERNEL(threads) select_count_parts(SelectArgs args, SelectPlan plan) {
  auto& shared = *reinterpret_cast<SelectShared*>(shared_memory());
  const BlockTeam team{shared.scratch};
  const std::uint32_t row = block_x();
  const RadixState state = next_state(args, plan, row, digits, team, shared.result);
  const Range range = part_of(args.entries, plan.parts, block_y());
  const RowKeys keys = keys_of(args, row);
  std::uint32_t above = 0, equal = 0;
  for (std::uint32_t i = range.begin + team.rank(); i < range.end; i += team.size()) {
    const std::uint32_t key = keys(i);
    above += key > state.prefix;
    equal += key == state.prefix;
  }
  Passed all;
  team.before_warp(warp_sum(above), all.above);
  team.before_warp(warp_sum(equal), all.equal);
  if (team.rank() == 0) plan.passed[std::uint64_t{row} * plan.parts + block_y()] = all;
}

ATTNSCOPE_KERNEL(threads) select_write(SelectArgs args, SelectPlan plan) {
  auto& shared = *reinterpret_cast<SelectShared*>(shared_memory());
  const std::uint32_t row = block_x();
  const RadixState& state = plan.state[std::uint64_t{row} * (digits + 1) + digits];
  Passed passed;
  for (std::uint32_t part = 0; part < block_y(); ++part) {
    const Passed& before = plan.passed[std::uint64_t{row} * plan.parts + part];
    passed.above += before.above;
    passed.equal += before.equal;
  }
  write_selected(args, row, {shared.scratch}, part_of(args.entries, plan.parts, block_y()), {state.prefix, state.left}, passed);
}

}  // namespace

std::size_t workspace_of(const SelectArgs& args) {
  const SelectPlan plan = plan_of(args);
  if (plan.parts == 1) return 0;
  return args.rows * (std::size_t{digits} * bins * sizeof(std::uint32_t) + (digits + 1) * sizeof(RadixState) + plan.parts * sizeof(Passed));
}

Outcome run_select(const SelectArgs& args, Stream stream) {
  if (args.count > args.entries || args.forced > args.count) return "E_KERNEL_SHAPE more is to be selected than there is, or more is forced than selected";
  if (args.count == 0) return nullptr;
  const SelectPlan plan = plan_of(args);
  if (plan.parts == 1) return launch(select_row, Grid{args.rows}, threads, sizeof(SelectShared), stream, args);
  const Grid grid{args.rows, plan.parts};
  if (const Outcome failed = fill_bytes(plan.bins, 0, std::size_t{args.rows} * digits * bins * sizeof(std::uint32_t), stream)) return failed;
  for (unsigned digit = 0; digit < digits; ++digit)
    if (const Outcome failed = launch(select_count_digit, grid, threads, sizeof(SelectShared), stream, args, plan, digit)) return failed;
  if (const Outcome failed = launch(select_count_parts, grid, threads, sizeof(SelectShared), stream, args, plan)) return failed;
  return launch(select_write, grid, threads, sizeof(SelectShared), stream, args, plan);
}

}  // namespace attnscope::gpu
