#include "tools/published_tables/prefill.h"

#include "core/policy/plan_builder.h"
#include "core/policy/synthetic_indices.h"

namespace attnscope::published_tables {
namespace prefill {

constexpr std::uint32_t block = PrefillPlan::block;

constexpr const char* unit_sparsity = "share of 1";

void budget_is_not_cost(std::vector<Row>& rows) {
  constexpr std::uint32_t anywhere = ~0u;
  struct Line { std::uint32_t tokens, v, s; double single, runs16, runs256, one; };
  const Line lines[] = {{32768, 1000, 6096, 0.00, 0.21, 0.75, 0.81}, {131072, 1000, 6096, 0.01, 0.68, 0.93, 0.90},
                        {131072, 100, 800, 0.67, 0.95, 0.98, 0.99}, {131072, 30, 800, 0.67, 0.96, 0.99, 0.99}};
  for (const Line& line : lines) {
    const auto add = [&](const char* runs, std::uint32_t length, std::uint32_t seeds, double published, const char* note) {
      rows.push_back({std::to_string(line.tokens / 1024) + "K (" + std::to_string(line.v) + "," + std::to_string(line.s) + ") kernel sparsity, slashes " + runs,
                      unit_sparsity, published, kernel_work(line.tokens, line.v, line.s, length, 30, 100, seeds).sparsity, note});
    };
    constexpr const char* drawn = "worked out once from the published conversion, not printed in the paper; random draws";
    add("single", 1, 3, line.single, drawn);
    add("in runs of 16", 16, 3, line.runs16, drawn);
    add("in runs of 256", 256, 10, line.runs256, drawn);
    constexpr const char* place = "worked out once, not printed in the paper; where the run lay is not known, and it decides: near distances have more rows";
    add("in one run anywhere", anywhere, 32, line.one, place);
    add("in one run from distance 0", 0, 1, line.one, place);
  }
}

void ladder(std::vector<Row>& rows) {
  constexpr double compression[] = {20, 15, 10, 7.5, 5, 3.33, 2.5, 2, 1.67, 1.43};
  struct Line { std::uint32_t tokens, run, budget[10]; };
  // The run length is the one number fitted to each line; random runs stand for slashes of real heads.
  const Line lines[] = {{16384, 18, {164, 240, 315, 400, 448, 576, 768, 1024, 1536, 2304}},
                        {32768, 16, {290, 384, 448, 576, 704, 1024, 1536, 2304, 3584, 4608}},
                        {131072, 10, {480, 768, 1024, 1536, 2048, 3584, 5632, 10240, 13312, 18432}}};
  for (const Line& line : lines) {
    const std::string name = std::to_string(line.tokens / 1024) + "K, runs of " + std::to_string(line.run);
    for (int i = 0; i < 10; ++i) {
      const double ours = kernel_work(line.tokens, line.budget[i], line.budget[i], line.run, 4, 64, 3).compression;
      rows.push_back({name + ", v = s = " + std::to_string(line.budget[i]) + ": compression", "times", compression[i], ours,
                      "published over real heads; ours over random runs, their length fitted to the line"});
    }
  }
}

}  // namespace prefill

KernelWork kernel_work(std::uint32_t tokens, std::uint32_t v, std::uint32_t s, std::uint32_t run, std::uint32_t forced_columns, std::uint32_t forced_distances,
                       std::uint32_t seeds) {
  KernelWork mean;
  for (std::uint32_t seed = 0; seed < seeds; ++seed) {
    const PrefillPlan plan = plan_from_vertical_slash(tokens, draw_runs(tokens, v, 1, forced_columns, seeded::Stream("columns", {seed})),
                                                      draw_runs(tokens, s, run, forced_distances, seeded::Stream("distances", {seed})));
    constexpr double tile = prefill::block * prefill::block;
    double tiles = static_cast<double>(plan.tile.size());
    const double exact = tiles * tile + static_cast<double>(plan.column.size()) * prefill::block;
    for (std::uint32_t m = 0; m < plan.row_blocks(); ++m)
      tiles += static_cast<double>((plan.column_offset[m + 1] - plan.column_offset[m] + prefill::block - 1) / prefill::block);
    const double rows = plan.row_blocks();
    mean.sparsity += (1 - tiles / (rows * (rows + 1) / 2)) / seeds;
    mean.compression += 0.5 * tokens * (tokens + 1.0) / exact / seeds;
  }
  return mean;
}

std::vector<Row> prefill_rows() {
  std::vector<Row> rows;
  prefill::budget_is_not_cost(rows);
  prefill::ladder(rows);
  return rows;
}

}  // namespace attnscope::published_tables
