// The capture's second pass under emulation, against fp64 over the same rounded inputs and the kernel's own log-sum-exp in fp32.
#include "emulated_device.h"
#include "emulated_inputs.h"

using namespace attnscope;

namespace {

struct Case {
  DType dtype;
  std::uint32_t dim, heads, kv_heads, queries, first_query, extra_keys, cell, sink, local;
  float spread = 1;
};

struct WorstOf {
  Worst cells, marginals, rows;
};

void check_case(const Case& c, WorstOf& worst) {
  std::mt19937 random(c.queries + c.cell + c.first_query);
  const std::uint32_t keys = c.first_query + c.queries + c.extra_keys, cells = (keys + c.cell - 1) / c.cell;
  Vectors q(random, c.dtype, c.heads, c.queries, c.dim, true, c.spread), k(random, c.dtype, c.kv_heads, keys, c.dim);
  const float scale = 1 / std::sqrt(static_cast<float>(c.dim));
  const auto score = [&](std::uint32_t h, std::uint32_t i, std::uint32_t j) { return dot(q.row(h, i), k.row(h / (c.heads / c.kv_heads), j), c.dim) * scale; };
  Poisoned<float> lse(std::size_t{c.heads} * c.queries);
  for (std::uint32_t h = 0; h < c.heads; ++h)
    for (std::uint32_t i = 0; i < c.queries; ++i) {
      double sum = 0;
      for (std::uint32_t j = 0; j <= c.first_query + i; ++j) sum += std::exp(score(h, i, j));
      lse.data()[h * c.queries + i] = static_cast<float>(std::log(sum));
    }
  const std::size_t all_cells = std::size_t{c.heads} * cells * cells, all_keys = std::size_t{c.heads} * keys, all_rows = std::size_t{c.heads} * c.queries;
  Poisoned<double> cell_sum(all_cells), column(all_keys), diagonal(all_keys);
  Poisoned<float> cell_max(all_cells), entropy(all_rows), sink(all_rows), local(all_rows), previous(all_rows), top1(all_rows);
  Poisoned<std::uint32_t> top1_key(all_rows);
  ReduceArgs args;
  args.attention = {.dtype = c.dtype, .heads = c.heads, .kv_heads = c.kv_heads, .head_dim = c.dim, .queries = c.queries, .first_query = c.first_query, .keys = keys, .scale = scale, .q = q.tensor(), .k = k.tensor(), .lse = lse.data()};
  args.cell = c.cell, args.cells = cells, args.sink_tokens = c.sink, args.local_tokens = c.local;
  args.cell_sum = cell_sum.data(), args.cell_max = cell_max.data(), args.column_sum = column.data(), args.diagonal_sum = diagonal.data();
  args.entropy = entropy.data(), args.sink_mass = sink.data(), args.local_mass = local.data(), args.previous_mass = previous.data(), args.top1_mass = top1.data(), args.top1_key = top1_key.data();
  accept(open_emulated_device()->reduce(args));

  for (std::uint32_t h = 0; h < c.heads; ++h) {
    std::vector<double> sums(std::size_t{cells} * cells), maxima(std::size_t{cells} * cells), columns(keys), diagonals(keys);
    for (std::uint32_t i = 0; i < c.queries; ++i) {
      const std::uint32_t query = c.first_query + i;
      const std::size_t row = std::size_t{h} * c.queries + i;
      double row_entropy = 0, row_sink = 0, row_local = 0, row_previous = 0, row_top = -1;
      std::vector<double> p(query + 1);
      for (std::uint32_t j = 0; j <= query; ++j) {
        const double x = score(h, i, j) - lse[row];
        p[j] = std::exp(x);
        row_entropy -= p[j] * x;
        row_top = std::max(row_top, p[j]);
        if (j < c.sink) row_sink += p[j];
        if (query - j < c.local) row_local += p[j];
        if (j + 1 == query) row_previous = p[j];
        columns[j] += p[j], diagonals[query - j] += p[j];
        const std::size_t cell = std::size_t{query / c.cell} * cells + j / c.cell;
        sums[cell] += p[j], maxima[cell] = std::max(maxima[cell], p[j]);
      }
      worst.rows.add(entropy[row], row_entropy), worst.rows.add(sink[row], row_sink), worst.rows.add(local[row], row_local);
      worst.rows.add(previous[row], row_previous), worst.rows.add(top1[row], row_top, 1e-3);
      CHECK(top1_key[row] <= query && p[top1_key[row]] >= row_top * (1 - 1e-5));
    }
    for (std::uint32_t j = 0; j < keys; ++j) worst.marginals.add(column[h * keys + j], columns[j], 1e-2), worst.marginals.add(diagonal[h * keys + j], diagonals[j], 1e-2);
    for (std::size_t i = 0; i < sums.size(); ++i) worst.cells.add(cell_sum[h * sums.size() + i], sums[i], 1e-2), worst.cells.add(cell_max[h * sums.size() + i], maxima[i], 1e-3);
  }
}

}  // namespace

TEST("reductions: every size of cell, odd lengths, later chunks, groups, one query, keys past the last query") {
  WorstOf worst;
  for (const Case& c : std::initializer_list<Case>{
           {DType::f16, 64, 1, 1, 1, 0, 0, 1, 4, 64},
           {DType::f16, 64, 1, 1, 63, 0, 3, 1, 4, 1},
           {DType::bf16, 64, 2, 1, 65, 0, 0, 2, 1, 64},
           {DType::f16, 20, 1, 1, 64, 64, 0, 4, 70, 10},
           {DType::bf16, 96, 1, 1, 70, 0, 0, 8, 4, 64, 4},
           {DType::f16, 64, 1, 1, 127, 64, 5, 16, 0, 0},
           {DType::f16, 64, 2, 2, 50, 192, 0, 32, 4, 200},
           {DType::bf16, 128, 1, 1, 129, 0, 0, 64, 4, 64},
           {DType::f16, 64, 1, 1, 200, 64, 0, 128, 4, 64},
           {DType::f16, 64, 1, 1, 300, 0, 0, 256, 130, 100, 3},
           {DType::f16, 20, 1, 1, 131, 576, 70, 64, 4, 64},
       })
    check_case(c, worst);
  std::printf("  largest error: cells %.1e, columns and distances %.1e, rows %.1e\n", worst.cells.error, worst.marginals.error, worst.rows.error);
  CHECK(worst.cells.error < 2e-5);
  CHECK(worst.marginals.error < 2e-5);
  CHECK(worst.rows.error < 2e-5);
}

TEST("the largest probability's key: the lowest of equal ones") {
  // All keys are the same, so is every p of a row.
  std::mt19937 random(1);
  constexpr std::uint32_t n = 140, dim = 16;
  Vectors q(random, DType::f16, 1, n, dim), k(random, DType::f16, 1, n, dim);
  for (std::uint32_t j = 0; j < n; ++j)
    for (std::uint32_t c = 0; c < dim; ++c) k.row(0, j)[c] = j < 3 ? -q.row(0, n - 1)[c] : q.row(0, n - 1)[c];
  k.store();
  std::vector<float> lses(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    double sum = 0;
    for (std::uint32_t j = 0; j <= i; ++j) sum += std::exp(dot(q.row(0, i), k.row(0, j), dim));
    lses[i] = static_cast<float>(std::log(sum));
  }
  Poisoned<float> lse(lses), cell_max(9), entropy(n), sink(n), local(n), previous(n), top1(n);
  Poisoned<double> cell_sum(9), column(n), diagonal(n);
  Poisoned<std::uint32_t> top1_key(n);
  ReduceArgs args;
  args.attention = {.dtype = DType::f16, .head_dim = dim, .queries = n, .keys = n, .scale = 1, .q = q.tensor(), .k = k.tensor(), .lse = lse.data()};
  args.cell = 64, args.cells = 3;
  args.cell_sum = cell_sum.data(), args.cell_max = cell_max.data(), args.column_sum = column.data(), args.diagonal_sum = diagonal.data();
  args.entropy = entropy.data(), args.sink_mass = sink.data(), args.local_mass = local.data(), args.previous_mass = previous.data(), args.top1_mass = top1.data(), args.top1_key = top1_key.data();
  accept(open_emulated_device()->reduce(args));
  for (std::uint32_t i = 0; i < n; ++i) CHECK_EQUAL(top1_key[i], i >= 3 && dot(q.row(0, i), q.row(0, n - 1), dim) > 0 ? 3 : 0);
}

TEST("rows whose log-sum-exp is infinite contribute nothing") {
  // Decode queries are put behind such rows, so that their first one stands at a multiple of 64.
  std::mt19937 random(2);
  constexpr std::uint32_t n = 80, behind = 70, dim = 16;
  Vectors q(random, DType::f16, 1, n, dim), k(random, DType::f16, 1, n, dim);
  const auto p = [&](std::uint32_t i, std::uint32_t j, double lse) { return std::exp(dot(q.row(0, i), k.row(0, j), dim) * 0.25 - lse); };
  std::vector<float> lses(n, INFINITY);
  std::vector<double> columns(n), diagonals(n);
  for (std::uint32_t i = behind; i < n; ++i) {
    double sum = 0;
    for (std::uint32_t j = 0; j <= i; ++j) sum += p(i, j, 0);
    lses[i] = static_cast<float>(std::log(sum));
    for (std::uint32_t j = 0; j <= i; ++j) columns[j] += p(i, j, lses[i]), diagonals[i - j] += p(i, j, lses[i]);
  }
  Poisoned<float> lse(lses), cell_max(4), entropy(n), sink(n), local(n), previous(n), top1(n);
  Poisoned<double> cell_sum(4), column(n), diagonal(n);
  Poisoned<std::uint32_t> top1_key(n);
  ReduceArgs args;
  args.attention = {.dtype = DType::f16, .head_dim = dim, .queries = n, .keys = n, .scale = 0.25f, .q = q.tensor(), .k = k.tensor(), .lse = lse.data()};
  args.cell = 64, args.cells = 2;
  args.cell_sum = cell_sum.data(), args.cell_max = cell_max.data(), args.column_sum = column.data(), args.diagonal_sum = diagonal.data();
  args.entropy = entropy.data(), args.sink_mass = sink.data(), args.local_mass = local.data(), args.previous_mass = previous.data(), args.top1_mass = top1.data(), args.top1_key = top1_key.data();
  accept(open_emulated_device()->reduce(args));
  for (std::uint32_t i = 0; i < behind; ++i) CHECK(entropy[i] == 0 && sink[i] == 0 && local[i] == 0 && previous[i] == 0 && top1[i] == 0);
  for (std::uint32_t j = 0; j < n; ++j) CHECK_NEAR(column[j], columns[j], 1e-5, 1e-6);
  for (std::uint32_t t = 0; t < n; ++t) CHECK_NEAR(diagonal[t], diagonals[t], 1e-5, 1e-6);
  CHECK(cell_sum[0] == 0 && cell_max[0] == 0);
}
