#include "core/reduce.h"

#include <algorithm>
#include <cstdio>

#include "check.h"
#include "reference.h"

using namespace attnscope;
using reference::Matrix;

namespace {

constexpr double p_tolerance = 2e-5;  // relative error of one fp32 p for the scores used here

/// A head with its reference map, and its reduction over `rows`, computed `step` rows at a call.
struct Head {
  Matrix q, k;
  float scale;
  Visibility visibility;
  reference::Map map;
  std::vector<float> lse;

  Head(Matrix queries, Matrix keys, float scale, std::uint32_t window)
      : q(std::move(queries)), k(std::move(keys)), scale(scale), visibility{window}, map(reference::attention_map(q, k, scale, window)) {
    lse.assign(map.lse.begin(), map.lse.end());
  }

  void reduce(HeadReduction& into, TokenRange rows, std::uint32_t step) const {
    const KeyPanels panels(k.view());
    Scratch scratch;
    for (std::uint32_t first = rows.begin; first < rows.end; first += step) {
      const std::uint32_t n = std::min(step, rows.end - first);
      reduce_rows({q.view().slice(first, n), first, &panels, scale, visibility}, {lse.data() + first, n}, into, scratch);
    }
  }
};

Head random_head(std::uint32_t n, std::size_t dim, float spread, std::uint32_t window = 0, unsigned seed = 1) {
  return {reference::random_matrix(n, dim, seed, spread), reference::random_matrix(n, dim, seed + 1), 1 / std::sqrt(static_cast<float>(dim)), window};
}

/// The smallest number of keys whose p reach `share`, by sorting.
std::uint32_t exact_coverage(const reference::Map& map, std::size_t i, double share) {
  std::vector<double> row(map.p.begin() + static_cast<std::ptrdiff_t>(i * map.n), map.p.begin() + static_cast<std::ptrdiff_t>(i * map.n + i + 1));
  std::sort(row.rbegin(), row.rend());
  double sum = 0;
  for (std::size_t k = 0; k < row.size(); ++k)
    if ((sum += row[k]) >= share) return static_cast<std::uint32_t>(k + 1);
  return static_cast<std::uint32_t>(row.size());
}

void check_reduction(const Head& head, const HeadReduction& got) {
  const auto& [p_begin, p_end] = got.rows;
  const std::size_t cell = got.config.cell;
  const std::uint32_t window = head.visibility.window;
  std::vector<double> column(got.rows.end), diagonal(got.rows.end), cell_sum(got.cell_sum.size()), cell_max(got.cell_sum.size());
  for (std::uint32_t i = p_begin; i < p_end; ++i) {
    double entropy = 0, sink = 0, local = 0, top = -1;
    std::uint32_t visible = 0;
    for (std::uint32_t j = 0; j <= i; ++j) {
      if (!reference::visible(i, j, window)) continue;
      ++visible;
      const double p = head.map.at(i, j);
      column[j] += p;
      diagonal[i - j] += p;
      const std::size_t at = i / cell * got.cells + j / cell;
      cell_sum[at] += p;
      cell_max[at] = std::max(cell_max[at], p);
      if (p > 0) entropy -= p * std::log(p);
      if (j < got.config.sink_tokens) sink += p;
      if (i - j < got.config.local_tokens) local += p;
      top = std::max(top, p);
    }
    const std::size_t r = i - p_begin;
    const RowStats& rows = got.row_stats;
    CHECK_NEAR(rows.entropy[r], entropy, p_tolerance, 2e-5);
    CHECK_NEAR(rows.sink_mass[r], sink, p_tolerance, 1e-7);
    CHECK_NEAR(rows.local_mass[r], local, p_tolerance, 1e-7);
    CHECK_NEAR(rows.previous_mass[r], i > 0 && reference::visible(i, i - 1, window) ? head.map.at(i, i - 1) : 0, p_tolerance, 1e-9);
    CHECK_NEAR(rows.top1_mass[r], top, p_tolerance, 0);
    CHECK(reference::visible(i, rows.top1_key[r], window));
    CHECK_NEAR(head.map.at(i, rows.top1_key[r]), top, p_tolerance, 0);
    CHECK(rows.coverage_90[r] >= exact_coverage(head.map, i, 0.90));
    CHECK(rows.coverage_95[r] >= exact_coverage(head.map, i, 0.95));
    CHECK(rows.coverage_99[r] >= exact_coverage(head.map, i, 0.99));
    CHECK(rows.coverage_90[r] <= rows.coverage_95[r] && rows.coverage_95[r] <= rows.coverage_99[r] && rows.coverage_99[r] <= visible);
  }
  double total = 0;
  for (std::size_t j = 0; j < column.size(); ++j) {
    CHECK_NEAR(got.column_sum[j], column[j], p_tolerance, 1e-9);
    CHECK_NEAR(got.diagonal_sum[j], diagonal[j], p_tolerance, 1e-9);
    total += got.column_sum[j];
  }
  CHECK_NEAR(total, got.rows.size(), 1e-4, 0);
  for (std::size_t c = 0; c < cell_sum.size(); ++c) {
    CHECK_NEAR(got.cell_sum[c], cell_sum[c], p_tolerance, 1e-9);
    CHECK_NEAR(got.cell_max[c], cell_max[c], p_tolerance, 1e-12);
  }
}

}  // namespace

TEST("every statistic matches fp64, for cells from 1 to beyond a block, sequences that no cell divides") {
  const Head head = random_head(333, 24, 1.5f);
  for (std::uint32_t cell : {1u, 2u, 8u, 16u, 32u, 128u, 512u}) {
    HeadReduction reduction({333, cell, 4, 64}, {0, 333});
    head.reduce(reduction, {0, 333}, 333);
    check_reduction(head, reduction);
  }
}

TEST("results do not depend on how rows are split between calls") {
  const Head head = random_head(301, 16, 1);
  for (std::uint32_t step : {1u, 5u, 64u, 100u}) {
    HeadReduction reduction({301, 4, 4, 16}, {0, 301});
    head.reduce(reduction, {0, 301}, step);
    check_reduction(head, reduction);
  }
}

TEST("windows, also with sink and local ranges that reach outside them") {
  for (std::uint32_t window : {1u, 3u, 50u, 300u}) {
    const Head head = random_head(420, 16, 2, window);
    HeadReduction reduction({420, 8, 4, 64}, {0, 420});
    head.reduce(reduction, {0, 420}, 97);
    check_reduction(head, reduction);
  }
}

TEST("a decode segment holds its own rows alone") {
  const Head head = random_head(290, 24, 1);
  HeadReduction reduction({310, 16, 4, 64}, {270, 290});
  head.reduce(reduction, {270, 290}, 1);
  check_reduction(head, reduction);
}

TEST("merging accumulators of disjoint rows equals reducing them together") {
  const Head head = random_head(260, 16, 1);
  HeadReduction a({260, 4, 4, 16}, {0, 260}), b({260, 4, 4, 16}, {0, 260}), c({260, 4, 4, 16}, {0, 260});
  head.reduce(a, {0, 70}, 70);
  head.reduce(b, {70, 200}, 130);
  head.reduce(c, {200, 260}, 60);
  b.merge(c);
  a.merge(b);
  check_reduction(head, a);
}

TEST("equal keys: ties go to the lowest index") {
  Matrix q = reference::random_matrix(200, 8, 1), k{200, 8, std::vector<float>(200 * 8, 0.25f)};
  const Head head(q, k, 1, 0);
  HeadReduction reduction({200, 8, 4, 16}, {0, 200});
  head.reduce(reduction, {0, 200}, 200);
  for (std::uint32_t i = 0; i < 200; ++i) {
    CHECK_EQUAL(reduction.row_stats.top1_key[i], 0);
    // A uniform row of n keys needs ceil(share * n) of them; the raised target may cost one more.
    const auto needed = static_cast<std::uint32_t>(std::ceil(0.9 * (i + 1) - 1e-9));
    CHECK(reduction.row_stats.coverage_90[i] >= needed && reduction.row_stats.coverage_90[i] <= needed + 1);
  }
  check_reduction(head, reduction);
}

TEST("the coverage bound is tight on diffuse, peaky and adversarial rows") {
  const std::uint32_t n = 700;
  struct Kind { const char* name; Head head; };
  Matrix steps = reference::random_matrix(n, 1, 5), one{n, 1, std::vector<float>(n, 1)};
  // Scores that fall evenly over 20 octaves, in scrambled order: every bin holds as many keys as every other.
  for (std::uint32_t j = 0; j < n; ++j) steps.data[j] = -0.0198f * static_cast<float>(j * 331 % n);
  const Kind kinds[] = {{"diffuse", random_head(n, 32, 1)}, {"peaky", random_head(n, 32, 8)}, {"log-uniform", {one, steps, 1, 0}},
                        {"two levels", {one, [&] { Matrix m = one; for (std::uint32_t j = 0; j < n; ++j) m.data[j] = j % 10 == 0 ? 0.0f : -0.34f; return m; }(), 1, 0}}};
  for (const Kind& kind : kinds) {
    HeadReduction reduction({n, 16, 4, 64}, {0, n});
    kind.head.reduce(reduction, {0, n}, n);
    double ratio[3] = {};
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t got[] = {reduction.row_stats.coverage_90[i], reduction.row_stats.coverage_95[i], reduction.row_stats.coverage_99[i]};
      const double shares[] = {0.90, 0.95, 0.99};
      for (int s = 0; s < 3; ++s) {
        const std::uint32_t exact = exact_coverage(kind.head.map, i, shares[s]);
        CHECK(got[s] >= exact);
        ratio[s] += static_cast<double>(got[s]) / exact / n;
      }
    }
    std::printf("     %-12s bound / exact: %.4f (90 %%)  %.4f (95 %%)  %.4f (99 %%)\n", kind.name, ratio[0], ratio[1], ratio[2]);
    for (double r : ratio) CHECK(r < 1.06);
  }
}

TEST("summaries are means over the rows asked for") {
  const Head head = random_head(130, 16, 1);
  HeadReduction reduction({130, 8, 4, 16}, {0, 130});
  head.reduce(reduction, {0, 130}, 130);
  const HeadSummary summary = summarize(reduction, 64);
  double entropy = 0, previous = 0, coverage = 0;
  for (std::size_t i = 64; i < 130; ++i) {
    entropy += reduction.row_stats.entropy[i] / 66;
    previous += head.map.at(i, i - 1) / 66;
    coverage += reduction.row_stats.coverage_95[i] / 66.0;
  }
  CHECK_NEAR(summary.entropy, entropy, 1e-6, 0);
  CHECK_NEAR(summary.previous_mass, previous, 1e-5, 0);
  CHECK_NEAR(summary.coverage_95, coverage, 1e-6, 0);
  CHECK(std::isnan(summarize(reduction, 130).entropy));
}
