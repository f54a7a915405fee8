// SimHash: the closed form, the rate at which keys really collide, tables against brute force. Seeds are 0, 1, 2, ...: the
// first ones, none was looked for; a bound of |z| < 3 (or 4 where many are checked at once) is stated at each test.
#include "core/policy/lsh.h"

#include <algorithm>
#include <ctime>
#include <tuple>

#include "check.h"
#include "core/policy/collision_table.h"
#include "core/policy/hashed_keys.h"
#include "reference.h"

using namespace attnscope;
using namespace attnscope::simhash;

namespace {

constexpr double pi = 3.14159265358979323846;

double bucket_probability(double cosine, unsigned K) { return std::pow(1 - std::acos(cosine) / pi, K); }

double naive(double P, unsigned L) { return 1 - std::pow(1 - P, L) - L * P * std::pow(1 - P, L - 1); }

/// Same sum through binomial coefficients, in long double.
double by_binomials(double P, unsigned L, unsigned min_tables) {
  long double ways = 1, below = 0;
  for (unsigned i = 0; i < min_tables; ++i) {
    below += ways * std::pow(static_cast<long double>(P), i) * std::pow(1 - static_cast<long double>(P), L - i);
    ways = ways * (L - i) / (i + 1);
  }
  return static_cast<double>(1 - below);
}

}  // namespace

TEST("closed form: exact at both ends, monotone, equal to the naive form where that holds") {
  for (unsigned K : {1u, 7u, 8u, 9u, 10u, 11u, 15u})
    for (unsigned L : {2u, 35u, 75u, 150u, 300u, 500u}) {
      CHECK_EQUAL(collision_probability(1, K, L), 1);
      CHECK_EQUAL(collision_probability(-1, K, L), 0);
      CHECK_EQUAL(collision_probability(1 + 1e-6, K, L), 1);
      CHECK_EQUAL(collision_probability(-1 - 1e-6, K, L), 0);
      double before = 0;
      for (int i = -1000; i <= 1000; ++i) {
        const double cosine = i / 1000.0, u = collision_probability(cosine, K, L), P = bucket_probability(cosine, K);
        CHECK(u >= before);
        before = u;
        if (P > 1e-6) CHECK_NEAR(u, naive(P, L), 0, 1e-12);
      }
    }
}

TEST("closed form: keeps its precision where the naive form has none, and holds for any number of tables") {
  // u = L(L-1)/2 P^2 (1 - 2(L-2)P/3 + ...) for small P: the next term is below 1e-6 here.
  for (double cosine : {-0.9, -0.99, -0.9999, -0.999999}) {
    const double P = std::pow(std::acos(-cosine) / pi, 10);
    CHECK_NEAR(collision_probability(cosine, 10, 150), 150 * 149 / 2.0 * P * P, 1e-5, 0);
  }
  for (unsigned m : {1u, 2u, 3u, 5u, 10u})
    for (unsigned K : {2u, 8u, 10u})
      for (double cosine = -0.4; cosine < 1; cosine += 0.01) {
        const double P = bucket_probability(cosine, K);
        CHECK_NEAR(collision_probability(cosine, K, 120, m), by_binomials(P, 120, m), 0, 1e-12);
      }
  CHECK_EQUAL(collision_probability(0.5, 10, 3, 4), 0);
  CHECK_EQUAL(collision_probability(1, 10, 1, 2), 0);
  CHECK_NEAR(collision_probability(0.5, 3, 1, 1), bucket_probability(0.5, 3), 1e-14, 0);
}

TEST("tabulated closed form: log u to 1e-6 everywhere, u to 1e-5 of the mean over a head's cosines") {
  for (auto [K, L, m] : {std::tuple{10u, 150u, 2u}, std::tuple{1u, 2u, 2u}, std::tuple{15u, 500u, 1u}, std::tuple{7u, 300u, 10u}}) {
    const CollisionTable table(K, L, m);
    double exact = 0;
    std::vector<float> narrow;
    const seeded::Stream random("test of the table", {K});
    for (std::uint64_t i = 0; i < 20000; i += 2) {
      const float wide = static_cast<float>(2 * random.uniform(i) - 1);
      CHECK_NEAR(table.log_u(wide), std::log(collision_probability(wide, K, L, m)), 0, 1e-6);
      float a, b;
      random.normal_pair(i, a, b);
      for (const float cosine : {0.11f * a, 0.11f * b}) narrow.push_back(cosine), exact += collision_probability(cosine, K, L, m);
    }
    exact -= collision_probability(narrow.back(), K, L, m);
    narrow.pop_back();  // a number that does not fill the last vector
    const std::vector<float> ones(narrow.size(), 1);
    CHECK_NEAR(table.sum_u(narrow.data(), 1, 0, ones.data(), narrow.size()), exact, 1e-5, 0);
    // (score * 2 - 3) * weight: 1, -1, beyond both, NaN as 0.
    const float score[] = {2, 1, 9, -9, NAN}, weight[] = {1, 1, 1, 1, 1};
    CHECK_NEAR(table.sum_u(score, 2, 3, weight, 5), 2 * collision_probability(1, K, L, m) + 2 * collision_probability(-1, K, L, m) + collision_probability(0, K, L, m), 1e-6, 0);
    for (float end : {-1.0f, 1.0f}) CHECK(std::isfinite(table.log_u(end)));
  }
}

TEST("closed form: the published values, to their printed digits") {
  struct Row { unsigned K, L; double u[8]; };  // cos = .6 .5 .4 .3 .2 .1 0 -.1
  const Row rows[] = {{10, 150, {.943, .736, .443, .214, .087, .031, .0097, .0027}},
                      {9, 120, {.967, .822, .569, .322, .153, .064, .023, .0076}},
                      {8, 75, {.947, .796, .565, .342, .180, .084, .035, .013}},
                      {10, 170, {.966, .796, .508, .256, .107, .039, .012, .0035}},
                      {11, 300, {.988, .862, .565, .275, .106, .034, .0097, .0024}}};
  for (const Row& row : rows)
    for (int i = 0; i < 8; ++i) {
      const double u = collision_probability(0.6 - 0.1 * i, row.K, row.L);
      const double digit = row.u[i] >= 0.01 ? 0.001 : 0.0001;
      CHECK_NEAR(u, row.u[i], 0, digit / 2 + 1e-4);
    }
}

TEST("keys collide as often as the closed form says: 20,000 draws of W, |z| < 3") {
  // q and keys at cosines 0, .3, .5 in a plane; W is rotation invariant, so two dimensions lose nothing.
  const float cosines[] = {0, 0.3f, 0.5f};
  std::vector<float> rows = {1, 0};
  for (float c : cosines) rows.insert(rows.end(), {c, std::sqrt(1 - c * c)});
  for (auto [K, L] : {std::pair{8u, 75u}, std::pair{10u, 150u}}) {
    constexpr int draws = 20000;
    int sampled[3] = {};
    std::vector<std::uint16_t> signs, codes(4);
    for (int draw = 0; draw < draws; ++draw) {
      Projection projection(seeded::Stream("test of the collision rate", {K, L, static_cast<std::uint64_t>(draw)}), 2);
      projection.grow(std::size_t{K} * L);
      signs.assign(projection.panels() * 4, 0);
      project_signs({rows.data(), 4, 2, 2}, projection, 0, projection.panels(), signs.data(), 4);
      int shared[3] = {};
      for (unsigned t = 0; t < L; ++t) {
        table_codes(signs.data(), 4, 4, K, t, codes.data());
        for (int i = 0; i < 3; ++i) shared[i] += codes[0] == codes[1 + i];
      }
      for (int i = 0; i < 3; ++i) sampled[i] += shared[i] >= 2;
    }
    for (int i = 0; i < 3; ++i) {
      const double u = collision_probability(cosines[i], K, L), rate = sampled[i] / double(draws);
      const double z = (rate - u) / std::sqrt(u * (1 - u) / draws);
      std::printf("  (%u,%u) cos %.1f: %.4f observed, %.4f expected, z %+.2f\n", K, L, cosines[i], rate, u, z);
      CHECK(std::fabs(z) < 3);
    }
  }
}

TEST("normals of the seeded stream have the moments of N(0,1) and no lag correlation, |z| < 4") {
  constexpr int n = 200000;
  const seeded::Stream stream("test of normals", {0});
  std::vector<float> x(n);
  for (int i = 0; i < n; i += 2) stream.normal_pair(static_cast<std::uint64_t>(i / 2), x[i], x[i + 1]);
  double m1 = 0, m2 = 0, m4 = 0, lag1 = 0, lag2 = 0;
  for (int i = 0; i < n; ++i) {
    const double v = x[i];
    m1 += v, m2 += v * v, m4 += v * v * v * v;
    if (i >= 1) lag1 += v * x[i - 1];
    if (i >= 2) lag2 += v * x[i - 2];
  }
  const double root = std::sqrt(double(n));
  CHECK(std::fabs(m1 / root) < 4);
  CHECK(std::fabs((m2 / n - 1) / std::sqrt(2.0) * root) < 4);
  CHECK(std::fabs((m4 / n - 3) / std::sqrt(96.0) * root) < 4);
  CHECK(std::fabs(lag1 / root) < 4);
  CHECK(std::fabs(lag2 / root) < 4);
  // Another seed, another purpose: other numbers. The same: the same.
  CHECK(seeded::Stream("a", {0}).bits(0) != seeded::Stream("a", {1}).bits(0));
  CHECK(seeded::Stream("a", {0}).bits(0) != seeded::Stream("b", {0}).bits(0));
  CHECK(seeded::Stream("a", {0, 1}).bits(0) != seeded::Stream("a", {1, 0}).bits(0));
  CHECK(seeded::Stream("a", {7}).bits(3) == seeded::Stream("a", {7}).bits(3));
}

TEST("splitmix64 is the published one") {
  // First outputs of the reference generator from state 1234567 (prng.di.unimi.it/splitmix64.c).
  std::uint64_t state = 1234567;
  const std::uint64_t expected[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u};
  for (std::uint64_t e : expected) CHECK(seeded::mix(state += 0x9E3779B97F4A7C15u) == e);
}

TEST("signs and codes are those of plain fp64 projections, growing changes no column") {
  const auto keys = reference::random_matrix(203, 37, 1);
  Projection whole(seeded::Stream("test of codes", {0}), 37), grown(seeded::Stream("test of codes", {0}), 37);
  whole.grow(500);
  grown.grow(3);
  grown.grow(200);
  grown.grow(500);
  CHECK(whole.panels() == grown.panels());
  for (std::size_t p = 0; p < whole.panels(); ++p) CHECK(std::equal(whole.panel(p), whole.panel(p) + 37 * panel_width, grown.panel(p)));
  std::vector<std::uint16_t> signs(whole.panels() * keys.rows), codes(keys.rows);
  project_signs(keys.view(), whole, 0, whole.panels(), signs.data(), keys.rows);
  for (unsigned K : {1u, 7u, 10u, 15u})
    for (unsigned t = 0; (t + 1) * K <= 500; ++t) {
      table_codes(signs.data(), keys.rows, keys.rows, K, t, codes.data());
      for (std::size_t i = 0; i < keys.rows; ++i)
        for (unsigned j = 0; j < K; ++j) {
          double projection = 0, size = 0;
          const std::size_t column = t * K + j;
          for (std::size_t c = 0; c < 37; ++c) {
            const double product = double(keys.row(i)[c]) * double(whole.panel(column / 16)[c * 16 + column % 16]);
            projection += product;
            size += std::fabs(product);
          }
          if (std::fabs(projection) > 1e-6 * size) CHECK((codes[i] >> j & 1) == (projection > 0));
        }
    }
}

TEST("tables return the ids that brute force over the codes returns") {
  for (unsigned K : {4u, 8u})
    for (unsigned L : {50u, 100u})
      for (std::size_t n : {std::size_t{1}, std::size_t{63}, std::size_t{1000}, std::size_t{8192}, std::size_t{70000}}) {
        if (n == 70000 && K * L != 200) continue;  // above 65,536 ids take 4 bytes
        const auto keys = reference::random_matrix(n, 16, static_cast<unsigned>(n)), query = reference::random_matrix(1, 16, 5);
        Projection projection(seeded::Stream("test of tables", {0}), 16);
        projection.grow(std::size_t{K} * L);
        std::vector<std::uint16_t> signs(projection.panels() * n), query_signs(projection.panels()), codes(n), query_codes(L);
        project_signs(keys.view(), projection, 0, projection.panels(), signs.data(), n);
        project_signs(query.view(), projection, 0, projection.panels(), query_signs.data(), 1);
        const HashTables tables(signs.data(), n, n, K, L);
        std::vector<int> shared(n);
        std::uint64_t in_buckets = 0;
        for (unsigned t = 0; t < L; ++t) {
          table_codes(query_signs.data(), 1, 1, K, t, &query_codes[t]);
          table_codes(signs.data(), n, n, K, t, codes.data());
          for (std::size_t i = 0; i < n; ++i) shared[i] += codes[i] == query_codes[t];
        }
        for (int s : shared) in_buckets += static_cast<std::uint64_t>(s);
        for (std::uint8_t limit : {1, 2, 7}) {
          std::vector<std::uint8_t> hits(n, 99);
          CHECK_EQUAL(tables.lookup(query_codes, limit, hits), in_buckets);
          const std::size_t begin = std::min<std::size_t>(n, 5), end = n - n / 10;
          std::vector<std::uint32_t> found, expected;
          const std::size_t any = collect_hits(hits, begin, end, limit, found);
          std::size_t expected_any = 0;
          for (std::size_t i = begin; i < end; ++i) {
            expected_any += shared[i] > 0;
            if (shared[i] >= limit) expected.push_back(static_cast<std::uint32_t>(i));
          }
          CHECK(found == expected);
          CHECK_EQUAL(any, expected_any);
        }
      }
}

TEST("building tables over 32,768 keys (CPU time reported)") {
  constexpr std::size_t n = 32768, d = 128;
  const auto keys = reference::random_matrix(n, d, 3);
  const Rows rows[] = {keys.view()};
  Memo memo;
  LayerInput input;
  input.head_dim = d;
  input.tokens = n;
  input.keys = rows;
  input.memo = &memo;
  const auto timed = [&](unsigned K, unsigned L) {
    const std::clock_t start = std::clock();
    const Index index = index_of(input, 0, {.context = n, .centre = {4, n - 64}}, K, L);
    const double ms = 1e3 * double(std::clock() - start) / CLOCKS_PER_SEC;
    CHECK(index.tables->tables() == L && index.tables->bits() == K);
    std::printf("  (%u,%u): %.0f ms, tables %.1f MiB\n", K, L, ms, double(index.tables->bytes()) / (1 << 20));
  };
  timed(10, 150);  // hashing and tables
  timed(9, 120);   // tables alone: fewer columns, other grouping
  timed(10, 150);  // remembered
}
