// The capture's reductions against sums over the whole map in fp64.
#include "tools/check/attention_case.h"

namespace attnscope::check_kernels {
namespace {

/// What the map is reduced to, of all heads.
struct Sums {
  std::vector<double> cell_sum, cell_max, column_sum, diagonal_sum, entropy, sink, local, previous, top1;
};

struct Outputs {
  DeviceArray<double> cell_sum, column_sum, diagonal_sum;
  DeviceArray<float> cell_max, entropy, sink, local, previous, top1;
  DeviceArray<std::uint32_t> top1_key;
  Outputs(Session& s, std::size_t cells, std::size_t keys, std::size_t rows)
      : cell_sum(s, cells), column_sum(s, keys), diagonal_sum(s, keys), cell_max(s, cells), entropy(s, rows), sink(s, rows), local(s, rows), previous(s, rows),
        top1(s, rows), top1_key(s, rows) {}
};

/// The first `absent` queries of every head stand in for none: zeros with a log-sum-exp of infinity, which put nothing on any key.
void check_case(Session& session, DType dtype, std::uint32_t dim, const PromptShape& shape, std::uint32_t cell, std::uint32_t absent = 0) {
  const std::uint32_t keys = shape.first_query + shape.queries + shape.extra_keys, cells = (keys + cell - 1) / cell;
  std::normal_distribution<float> normal(0, shape.spread);
  const HeadVectors q(session, dtype, shape.heads, shape.queries, dim, shape.layout,
                      [&](auto, std::size_t i, auto) { return i < absent ? 0.0f : normal(session.random); });
  const HeadVectors k(session, dtype, shape.kv_heads, keys, dim, shape.layout, 1);
  const std::size_t rows = std::size_t{shape.heads} * shape.queries, map_cells = std::size_t{cells} * cells;
  ReduceArgs args;
  args.attention = prompt_args(dtype, dim, shape, q, k);
  args.cell = cell;
  args.cells = cells;
  args.sink_tokens = 1 + session.below(5);
  args.local_tokens = 1 + session.below(100);

  Sums sums;
  sums.cell_sum.resize(shape.heads * map_cells);
  sums.cell_max.resize(shape.heads * map_cells);
  sums.column_sum.resize(std::size_t{shape.heads} * keys);
  sums.diagonal_sum.resize(std::size_t{shape.heads} * keys);
  for (auto* column : {&sums.entropy, &sums.sink, &sums.local, &sums.previous, &sums.top1}) column->resize(rows);
  std::vector<float> lse(rows);
  std::vector<std::vector<double>> map(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint32_t h = static_cast<std::uint32_t>(row / shape.queries), i = static_cast<std::uint32_t>(row % shape.queries), query = shape.first_query + i;
    std::vector<double>& p = map[row];
    if (i < absent) {
      lse[row] = std::numeric_limits<float>::infinity();
      continue;
    }
    double top = -infinite, sum = 0;
    for (std::uint32_t j = 0; j <= query; ++j) {
      p.push_back(dot(q.row(h, i), k.row(h / (shape.heads / shape.kv_heads), j), dim) * static_cast<double>(args.attention.scale));
      top = std::max(top, p.back());
    }
    for (const double x : p) sum += std::exp(x - top);
    lse[row] = static_cast<float>(top + std::log(sum));
    for (std::uint32_t j = 0; j <= query; ++j) {
      const double x = p[j] - static_cast<double>(lse[row]);
      p[j] = std::exp(x);
      const std::size_t at = h * map_cells + std::size_t{query / cell} * cells + j / cell;
      sums.cell_sum[at] += p[j];
      sums.cell_max[at] = std::max(sums.cell_max[at], p[j]);
      sums.column_sum[std::size_t{h} * keys + j] += p[j];
      sums.diagonal_sum[std::size_t{h} * keys + query - j] += p[j];
      sums.entropy[row] -= p[j] * x;
      sums.sink[row] += j < args.sink_tokens ? p[j] : 0;
      sums.local[row] += query - j < args.local_tokens ? p[j] : 0;
      sums.previous[row] += j + 1 == query ? p[j] : 0;
      sums.top1[row] = std::max(sums.top1[row], p[j]);
    }
  }
  DeviceArray<float> device_lse(session, lse);
  const Outputs out(session, shape.heads * map_cells, std::size_t{shape.heads} * keys, rows);
  args.attention.lse = device_lse.data();
  args.cell_sum = out.cell_sum.data();
  args.cell_max = out.cell_max.data();
  args.column_sum = out.column_sum.data();
  args.diagonal_sum = out.diagonal_sum.data();
  args.entropy = out.entropy.data();
  args.sink_mass = out.sink.data();
  args.local_mass = out.local.data();
  args.previous_mass = out.previous.data();
  args.top1_mass = out.top1.data();
  args.top1_key = out.top1_key.data();
  const std::string what = describe(shape) + ", cells of " + std::to_string(cell) + (absent == 0 ? "" : ", the first " + std::to_string(absent) + " absent");
  const Kind kind{"reduce", "cells", dtype, dim};
  if (!session.run(kind, what, [&] { return session.device.reduce(args); })) return;

  const auto compare = [&](const char* result, const auto& array, const std::vector<double>& expected, bool of_rows, double least_size = 0) {
    auto got = array.download();
    if (of_rows)  // nothing is said of absent ones
      for (std::size_t row = 0; row < rows; ++row)
        if (row % shape.queries < absent) got[row] = 0;
    using Value = typename std::decay_t<decltype(got)>::value_type;
    session.record({"reduce", result, dtype, dim}, array.guarded() ? tensor_error<Value>(got, expected, least_size) : infinite, map_tolerance, what);
  };
  compare("cells", out.cell_sum, sums.cell_sum, false);
  compare("cell maxima", out.cell_max, sums.cell_max, false);
  compare("columns", out.column_sum, sums.column_sum, false);
  compare("distances", out.diagonal_sum, sums.diagonal_sum, false);
  compare("entropy", out.entropy, sums.entropy, true, 1);
  compare("masses", out.sink, sums.sink, true);
  compare("masses", out.local, sums.local, true);
  compare("masses", out.previous, sums.previous, true, 1e-2);
  compare("masses", out.top1, sums.top1, true);
  // The key of the largest p: the lowest such, or one that rounding makes as large.
  const std::vector<std::uint32_t> key = out.top1_key.download();
  bool right = out.top1_key.guarded();
  for (std::size_t row = 0; row < rows && right; ++row)
    right = row % shape.queries < absent || (key[row] < map[row].size() && map[row][key[row]] >= sums.top1[row] * (1 - map_tolerance));
  session.record({"reduce", "top key", dtype, dim}, right ? 0 : infinite, 0, what);
}

}  // namespace

void check_reduce(Session& session) {
  static const std::vector<std::uint32_t> cell_sizes{1, 4, 16, 64, 128};
  for (const DType dtype : session.dtypes())
    for (const std::uint32_t dim : head_dims(session))
      for (PromptShape shape : prompt_shapes(session, session.full ? 16 : 3)) {
        if (session.below(2) == 0) shape.extra_keys = 0;
        check_case(session, dtype, dim, shape, session.pick(cell_sizes));
      }
  // A segment of rows that starts anywhere: its block is filled up in front.
  for (const DType dtype : session.dtypes())
    for (std::size_t i = 0; i < (session.full ? 8u : 2u); ++i) {
      const std::uint32_t absent = 1 + session.below(63);
      check_case(session, dtype, 128, {4, 2, absent + 1 + session.below(100), 64 * (1 + session.below(4)), 0, Layout::by_token, 1}, session.pick(cell_sizes), absent);
    }
  // Long enough for work to be cut by rows.
  for (const DType dtype : session.dtypes()) check_case(session, dtype, 64, {2, 1, 650 + session.below(100), 64, session.below(70), Layout::by_head, 1}, 16);
}

}  // namespace attnscope::check_kernels
