#include <algorithm>
#include <functional>
#include <optional>

#include "core/policy/synthetic_indices.h"
#include "core/policy/vertical_slash.h"
#include "host/failure.h"
#include "host/timing/cells.h"

namespace attnscope::timing {
namespace {

/// What one budget keeps at a length.
struct Budget : vertical_slash::Kept {
  std::string policy;
};

Budget budget_of(const PolicyChoice& choice, std::uint32_t tokens) { return {vertical_slash::kept(choice.config, tokens), write_policy(choice)}; }

/// Chosen columns and distances of all heads, on the device.
struct Chosen {
  DeviceMemory column, distance;
};

class VerticalSlash {
 public:
  VerticalSlash(Bench& bench, const Group& group) : bench_(bench), group_(group), heads_(group.shape.heads), tokens_(group.tokens) {}

  Status run() {
    ATTNSCOPE_TRY(estimate());
    for (const PolicyChoice& policy : policies_at(bench_.plan(), "vertical-slash", tokens_)) {
      const Budget budget = budget_of(policy, tokens_);
      Chosen selected;
      if (column_score_.as() != nullptr) ATTNSCOPE_TRY(select(budget, selected));
      if (group_.captured != nullptr) {
        if (selected.column.as() != nullptr) ATTNSCOPE_TRY(attend(budget, "captured", selected, true));
        continue;
      }
      if (!bench_.plan().synthetic) continue;
      bool head_by_head = true;
      for (const std::uint32_t run : bench_.plan().runs) {
        TimingRow row = row_of("attention", budget);
        row.indices = run == 0 ? std::string("synthetic, one run") : text("synthetic, runs of ", run);
        auto drawn = draw(budget, run);
        ATTNSCOPE_OR_SKIP(bench_, row, drawn);
        // What a launch a head costs more does not depend on how the distances lie: the first run length tells it.
        ATTNSCOPE_TRY(attend(budget, row.indices, drawn.value(), std::exchange(head_by_head, false)));
        if (budget.distances == tokens_) break;  // all of them: every run length gives the same
      }
    }
    return success();
  }

 private:
  TimingRow row_of(const char* phase, const Budget& budget) const {
    TimingRow row = bench_.row(group_, "vertical-slash", phase);
    row.policy = budget.policy;
    return row;
  }

  KernelShape work_of_budget(const TimingRow& row, const Budget& budget) const {
    KernelShape shape = work_of(bench_, group_, row);
    shape.columns = budget.columns, shape.distances = budget.distances;
    return shape;
  }

  Status estimate() {
    TimingRow row = bench_.row(group_, "vertical-slash", "estimate");
    row.queries = std::min(64u, tokens_);
    StripArgs args;
    args.dtype = group_.attention.dtype;
    args.heads = heads_, args.kv_heads = group_.shape.kv_heads, args.head_dim = group_.shape.head_dim;
    args.tokens = tokens_, args.scale = group_.attention.scale;
    args.q = group_.attention.q, args.k = group_.attention.k;
    auto column = bench_.allocate(std::uint64_t{4} * heads_ * tokens_, "scores"), distance = bench_.allocate(std::uint64_t{4} * heads_ * tokens_, "scores");
    // A single head may be cut into more parts than all of them: here and below, whichever takes more.
    auto workspace = bench_.allocate(std::max(bench_.device().workspace_bytes(args), bench_.device().workspace_bytes(strip_of_head(args, 0))), "workspace of the strip");
    for (const auto* each : {&column, &distance, &workspace}) ATTNSCOPE_OR_SKIP(bench_, row, *each);
    args.column_score = column.value().as<float>(), args.distance_score = distance.value().as<float>();
    args.workspace = workspace.value().as();
    for (const auto& [name, per_head] : batchings(bench_.plan())) {
      row.batching = name;
      ATTNSCOPE_TRY(bench_.measure(row, work_of(bench_, group_, row), [&] {
        return each_head(group_, per_head, [&](int head) { return bench_.device().strip(head < 0 ? args : strip_of_head(args, head)); });
      }));
    }
    // Selection reads these scores, whether or not the strip was measured.
    if (const Outcome outcome = bench_.device().strip(args)) return bench_.skip(row, outcome), success();
    column_score_ = column.take(), distance_score_ = distance.take();
    return success();
  }

  StripArgs strip_of_head(const StripArgs& all, std::uint32_t head) const {
    StripArgs one = all;
    one.heads = one.kv_heads = 1;
    one.q = of_head(all.q, head, all.dtype), one.k = of_head(all.k, head / (heads_ / all.kv_heads), all.dtype);
    one.column_score += std::size_t{head} * tokens_, one.distance_score += std::size_t{head} * tokens_;
    return one;
  }

  Status select(const Budget& budget, Chosen& out) {
    TimingRow row = row_of("select", budget);
    auto column = bench_.allocate(std::uint64_t{4} * heads_ * budget.columns, "selected columns"), distance = bench_.allocate(std::uint64_t{4} * heads_ * budget.distances, "selected distances");
    SelectArgs columns{column_score_.as<float>(), tokens_, heads_, tokens_, budget.columns, budget.forced_columns, false, nullptr, nullptr};
    SelectArgs distances{distance_score_.as<float>(), tokens_, heads_, tokens_, budget.distances, budget.forced_distances, true, nullptr, nullptr};
    std::size_t workspace_bytes = 0;
    for (const SelectArgs& args : {columns, distances})
      for (const SelectArgs& each : {args, select_of_head(args, 0)}) workspace_bytes = std::max(workspace_bytes, bench_.device().workspace_bytes(each));
    auto workspace = bench_.allocate(workspace_bytes, "workspace of the selection");
    for (const auto* each : {&column, &distance, &workspace}) ATTNSCOPE_OR_SKIP(bench_, row, *each);
    columns.index = column.value().as<std::uint32_t>(), distances.index = distance.value().as<std::uint32_t>();
    columns.workspace = distances.workspace = workspace.value().as();
    for (const auto& [name, per_head] : batchings(bench_.plan())) {
      row.batching = name;
      ATTNSCOPE_TRY(bench_.measure(row, work_of_budget(row, budget), [&] {
        return each_head(group_, per_head, [&](int head) {
          const Outcome outcome = bench_.device().select(head < 0 ? columns : select_of_head(columns, head));
          return outcome ? outcome : bench_.device().select(head < 0 ? distances : select_of_head(distances, head));
        });
      }));
    }
    for (const SelectArgs& args : {columns, distances})
      if (const Outcome outcome = bench_.device().select(args)) return bench_.skip(row, outcome), success();
    out.column = column.take(), out.distance = distance.take();
    return success();
  }

  static SelectArgs select_of_head(const SelectArgs& all, std::uint32_t head) {
    SelectArgs one = all;
    one.rows = 1;
    one.score += head * all.score_stride, one.index += std::size_t{head} * all.count;
    return one;
  }

  /// Columns uniform, distances in random runs, the forced ones of both among them; every head draws its own.
  Result<Chosen> draw(const Budget& budget, std::uint32_t run) {
    std::vector<std::uint32_t> columns, distances;
    for (std::uint32_t head = 0; head < heads_; ++head) {
      const std::uint64_t seed = bench_.plan().seed;
      std::vector<std::uint32_t> c = draw_runs(tokens_, budget.columns, 1, budget.forced_columns, seeded::Stream("timing columns", {seed, tokens_, head}));
      std::vector<std::uint32_t> d = draw_runs(tokens_, budget.distances, run == 0 ? budget.distances : run, budget.forced_distances, seeded::Stream("timing distances", {seed, tokens_, head}));
      std::sort(c.begin(), c.end());
      std::sort(d.begin(), d.end(), std::greater<>());
      columns.insert(columns.end(), c.begin(), c.end());
      distances.insert(distances.end(), d.begin(), d.end());
    }
    auto column = bench_.upload(columns, "synthetic columns"), distance = bench_.upload(distances, "synthetic distances");
    if (!column) return column.error();
    if (!distance) return distance.error();
    return Chosen{column.take(), distance.take()};
  }

  /// Converts chosen columns and distances, then attends with what came of them.
  Status attend(const Budget& budget, const std::string& indices, const Chosen& chosen, bool head_by_head) {
    TimingRow row = row_of("convert", budget);
    row.indices = indices;
    const ConvertCapacity capacity = convert_capacity(tokens_, budget.columns, budget.distances);
    ConvertArgs args;
    args.heads = heads_, args.tokens = tokens_;
    args.column = chosen.column.as<std::uint32_t>(), args.distance = chosen.distance.as<std::uint32_t>();
    args.columns = budget.columns, args.distances = budget.distances;
    auto index = allocate_index(bench_, group_, capacity.tiles, capacity.columns);
    ATTNSCOPE_OR_SKIP(bench_, row, index);
    args.out = index.value().index;
    auto workspace = bench_.allocate(std::max(bench_.device().workspace_bytes(args), bench_.device().workspace_bytes(convert_of_head(args, 0))), "workspace of the conversion");
    ATTNSCOPE_OR_SKIP(bench_, row, workspace);
    args.workspace = workspace.value().as();
    if (const Outcome outcome = bench_.device().convert(args)) return bench_.skip(row, outcome), success();
    const auto counted = count_index(bench_, group_, args.out);
    ATTNSCOPE_OR_SKIP(bench_, row, counted);
    KernelShape shape = work_of_budget(row, budget);
    shape.tiles = static_cast<double>(counted.value().tiles), shape.column_tiles = static_cast<double>(counted.value().column_tiles);
    for (const auto& [name, per_head] : batchings(bench_.plan())) {
      if (per_head && !head_by_head) continue;
      row.batching = name;
      ATTNSCOPE_TRY(bench_.measure(row, shape, [&] {
        return each_head(group_, per_head, [&](int head) { return bench_.device().convert(head < 0 ? args : convert_of_head(args, head)); });
      }));
    }

    row.phase = "attention";
    row.sparsity = counted.value().sparsity;
    shape.phase = row.phase;
    for (const auto& [name, per_head] : batchings(bench_.plan())) {
      if (per_head && !head_by_head) continue;
      row.batching = name;
      ATTNSCOPE_TRY(bench_.measure(row, shape, [&] {
        return each_head(group_, per_head, [&](int head) {
          return head < 0 ? bench_.device().sparse(group_.attention, args.out)
                          : bench_.device().sparse(of_head(group_.attention, head), of_head(args.out, head, group_.attention.row_blocks()));
        });
      }));
    }
    return success();
  }

  ConvertArgs convert_of_head(const ConvertArgs& all, std::uint32_t head) const {
    ConvertArgs one = all;
    one.heads = 1;
    one.column += std::size_t{head} * all.columns, one.distance += std::size_t{head} * all.distances;
    one.out = of_head(all.out, head, group_.attention.row_blocks());
    return one;
  }

  Bench& bench_;
  const Group& group_;
  const std::uint32_t heads_, tokens_;
  DeviceMemory column_score_, distance_score_;
};

}  // namespace

Status time_vertical_slash(Bench& bench, const Group& group) { return VerticalSlash(bench, group).run(); }

}  // namespace attnscope::timing
