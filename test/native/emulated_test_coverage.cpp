// Coverage of rows under emulation, against rows sorted in fp64 over the same rounded inputs and against the core's histogram.
#include <algorithm>

#include "core/coverage.h"
#include "cuda/ops.h"
#include "emulated_inputs.h"

using namespace attnscope;

namespace {

struct Case {
  DType dtype;
  std::uint32_t dim, heads, kv_heads, queries, first_query, extra_keys;
  float spread = 1;
};

constexpr double shares[] = {0.90, 0.95, 0.99};

/// A head's p in fp64, [queries][keys], 0 where a query does not see a key; `lse` receives what they are normalised with.
struct Probabilities {
  std::uint32_t keys;
  std::vector<double> p;
  const double* row(std::uint32_t i) const { return p.data() + std::size_t{i} * keys; }
};
Probabilities probabilities(const Case& c, std::uint32_t h, const Vectors& q, const Vectors& k, float scale, float* lse) {
  const std::uint32_t keys = c.first_query + c.queries;
  Probabilities of{keys, std::vector<double>(std::size_t{c.queries} * keys)};
  for (std::uint32_t i = 0; i < c.queries; ++i) {
    double* row = of.p.data() + std::size_t{i} * keys;
    double sum = 0;
    for (std::uint32_t j = 0; j <= c.first_query + i; ++j) sum += row[j] = std::exp(dot(q.row(h, i), k.row(h / (c.heads / c.kv_heads), j), c.dim) * scale);
    lse[i] = static_cast<float>(std::log(sum));
    const double shrink = std::exp(-static_cast<double>(lse[i]));
    for (std::uint32_t j = 0; j <= c.first_query + i; ++j) row[j] *= shrink;
  }
  return of;
}

std::uint32_t smallest_number(const double* p, std::uint32_t visible, double share) {
  std::vector<double> sorted(p, p + visible);
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double sum = 0;
  for (std::uint32_t n = 0; n < visible; ++n)
    if ((sum += sorted[n]) >= share) return n + 1;
  return visible;
}

std::uint32_t bound_of_core(const double* p, std::uint32_t visible, double share) {
  std::vector<float> rounded(p, p + visible);
  rounded.resize((visible + 7) / 8 * 8);
  CoverageHistogram histogram;
  histogram.clear(visible);
  for (std::uint32_t j = 0; j < visible; j += 8) histogram.add(rounded.data() + j);
  return histogram.bound(share);
}

/// `cell`: 0 gives the kernel no maxima. Returns the largest share by which a bound exceeds the core's.
double check_case(const Case& c, std::uint32_t cell) {
  std::mt19937 random(c.queries + c.first_query + c.dim);
  const std::uint32_t keys = c.first_query + c.queries + c.extra_keys, cells = cell > 0 ? (keys + cell - 1) / cell : 0;
  Vectors q(random, c.dtype, c.heads, c.queries, c.dim, true, c.spread), k(random, c.dtype, c.kv_heads, keys, c.dim);
  const float scale = 1 / std::sqrt(static_cast<float>(c.dim));
  const std::size_t all_rows = std::size_t{c.heads} * c.queries;
  Poisoned<float> lse(all_rows);
  std::vector<float> maxima(std::size_t{c.heads} * cells * cells);
  std::vector<Probabilities> p;
  for (std::uint32_t h = 0; h < c.heads; ++h) {
    p.push_back(probabilities(c, h, q, k, scale, lse.data() + std::size_t{h} * c.queries));
    for (std::uint32_t i = 0; i < c.queries && cell > 0; ++i)
      for (std::uint32_t j = 0; j <= c.first_query + i; ++j) {
        float& max = maxima[(std::size_t{h} * cells + (c.first_query + i) / cell) * cells + j / cell];
        max = std::max(max, static_cast<float>(p[h].row(i)[j]));
      }
  }
  const Poisoned<float> cell_max(maxima);
  Poisoned<std::uint32_t> found[] = {Poisoned<std::uint32_t>(all_rows), Poisoned<std::uint32_t>(all_rows), Poisoned<std::uint32_t>(all_rows)};
  CoverageArgs args;
  args.attention = {.dtype = c.dtype, .heads = c.heads, .kv_heads = c.kv_heads, .head_dim = c.dim, .queries = c.queries, .first_query = c.first_query, .keys = keys, .scale = scale, .q = q.tensor(), .k = k.tensor(), .lse = lse.data()};
  if (cell > 0) args.cell = cell, args.cells = cells, args.cell_max = cell_max.data();
  args.coverage_90 = found[0].data(), args.coverage_95 = found[1].data(), args.coverage_99 = found[2].data();
  accept(gpu::run_coverage(args, {}));

  double worst = 0;
  for (std::uint32_t h = 0; h < c.heads; ++h)
    for (std::uint32_t i = 0; i < c.queries; ++i)
      for (unsigned s = 0; s < 3; ++s) {
        const std::uint32_t visible = c.first_query + i + 1, got = found[s][std::size_t{h} * c.queries + i];
        const std::uint32_t least = smallest_number(p[h].row(i), visible, shares[s]), core = bound_of_core(p[h].row(i), visible, shares[s]);
        CHECK(got >= least && got <= visible);
        CHECK(got + 1 >= core);
        if (got > core + 1) worst = std::max(worst, (got - core - 1.0) / core);
      }
  return worst;
}

}  // namespace

TEST("coverage is a bound of the smallest number of keys, and the core's but for what a word cannot hold") {
  double worst = 0;
  for (const Case& c : std::initializer_list<Case>{
           {DType::f16, 64, 1, 1, 1, 0, 0},
           {DType::bf16, 128, 2, 1, 65, 0, 3},
           {DType::f16, 64, 1, 1, 129, 64, 0, 3},
           {DType::bf16, 96, 2, 2, 127, 0, 0, 8},
           {DType::f16, 20, 1, 1, 200, 192, 5, 0.3f},
       })
    worst = std::max(worst, check_case(c, 0));
  std::printf("  %.1e of the core's bound at most\n", worst);
  CHECK(worst < 2e-3);
}

TEST("words are emptied before they overflow: more keys of one bin than a word counts") {
  const double worst = check_case({DType::f16, 16, 1, 1, 3, 4416, 0, 0.1f}, 0);
  std::printf("  %.1e of the core's bound at most\n", worst);
  CHECK(worst < 1e-3);
}

TEST("tiles whose cells hold nothing that matters are passed over, and the bounds stay") {
  double worst = 0;
  for (const std::uint32_t cell : {1u, 16u, 64u, 256u}) {
    worst = std::max(worst, check_case({DType::f16, 64, 2, 1, 150, 320, 2, 8}, cell));
    worst = std::max(worst, check_case({DType::bf16, 64, 1, 1, 70, 0, 0, 1}, cell));
  }
  CHECK(worst < 2e-3);
  // Sinks alone hold the mass: nearly all steps are passed over, which the work says.
  constexpr std::uint32_t n = 1024, dim = 16;
  std::mt19937 random(3);
  Vectors q(random, DType::f16, 1, n, dim, false, 0.01f), k(random, DType::f16, 1, n, dim, false, 0.01f);
  for (std::uint32_t i = 0; i < n; ++i) q.row(0, i)[0] = 8, k.row(0, i)[0] = i < 4 ? 2 : -2;
  q.store(), k.store();
  Poisoned<float> lse(n);
  const auto p = probabilities({DType::f16, dim, 1, 1, n, 0, 0}, 0, q, k, 1, lse.data());
  std::vector<float> maxima(16 * 16);
  for (std::uint32_t i = 0; i < n; ++i)
    for (std::uint32_t j = 0; j <= i; ++j) maxima[i / 64 * 16 + j / 64] = std::max(maxima[i / 64 * 16 + j / 64], static_cast<float>(p.row(i)[j]));
  const Poisoned<float> cell_max(maxima);
  Poisoned<std::uint32_t> found[] = {Poisoned<std::uint32_t>(n), Poisoned<std::uint32_t>(n), Poisoned<std::uint32_t>(n)};
  CoverageArgs args;
  args.attention = {.dtype = DType::f16, .head_dim = dim, .queries = n, .keys = n, .scale = 1, .q = q.tensor(), .k = k.tensor(), .lse = lse.data()};
  args.coverage_90 = found[0].data(), args.coverage_95 = found[1].data(), args.coverage_99 = found[2].data();
  const auto work = [&] {
    const std::uint64_t before = gpu::emulation::switches();
    accept(gpu::run_coverage(args, {}));
    for (std::uint32_t i = 0; i < n; ++i)
      for (unsigned s = 0; s < 3; ++s) CHECK(found[s][i] >= smallest_number(p.row(i), i + 1, shares[s]) && found[s][i] <= std::min(i + 1, 4u));
    return gpu::emulation::switches() - before;
  };
  const std::uint64_t all = work();
  args.cell = 64, args.cells = 16, args.cell_max = cell_max.data();
  const std::uint64_t some = work();
  std::printf("  %.2f of the work\n", static_cast<double>(some) / static_cast<double>(all));
  CHECK(some < all / 2);
}
