#include "core/subset_attention.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "check.h"
#include "reference.h"

using namespace attnscope;
using reference::Matrix;

namespace {

/// Plain fp64 softmax over the keys of a subset that a query sees.
struct Row {
  std::vector<double> out;
  double lse;
};
Row plain(const SubsetInput& in, std::size_t i) {
  const KeySubset& s = in.subset;
  const std::uint32_t query = in.first_query + static_cast<std::uint32_t>(i);
  std::vector<double> score(s.rows.size(), -INFINITY);
  double top = -INFINITY, sum = 0;
  for (std::size_t k = 0; k < s.rows.size(); ++k) {
    const std::uint32_t key = s.positions[k];
    if (key > query || (k >= s.rule_begin && key >= s.sink && query - key >= s.local)) continue;
    score[k] = reference::dot(in.queries.row(i), in.keys.row(s.rows[k]), in.keys.dim) * in.scale + (s.log_weight.empty() ? 0 : s.log_weight[k]);
    top = std::max(top, score[k]);
  }
  Row row{std::vector<double>(in.values.dim), -INFINITY};
  for (double x : score) sum += x == -INFINITY ? 0 : std::exp(x - top);
  if (sum == 0) return row;
  row.lse = top + std::log(sum);
  for (std::size_t k = 0; k < score.size(); ++k)
    for (std::size_t c = 0; c < in.values.dim && score[k] != -INFINITY; ++c) row.out[c] += std::exp(score[k] - row.lse) * in.values.row(s.rows[k])[c];
  return row;
}

void compare(const SubsetInput& in) {
  Scratch scratch;
  const std::size_t dim = in.values.dim, rows = in.queries.count;
  std::vector<float> out(rows * dim, -7), lse(rows, -7);
  subset_attention(in, {out.data(), rows, dim, dim}, lse, scratch);
  for (std::size_t i = 0; i < rows; ++i) {
    const Row expected = plain(in, i);
    CHECK_NEAR(lse[i], expected.lse, 1e-6, 2e-6);
    for (std::size_t c = 0; c < dim; ++c) CHECK_NEAR(out[i * dim + c], expected.out[c], 1e-5, 1e-5);
  }
}

struct Case {
  Matrix q, k, v;
  std::vector<std::uint32_t> rows, positions;
  std::vector<float> weights;
  SubsetInput input;
};

/// `held` keys at random ascending positions below `tokens`, `count` of them in a random order, and queries from `first`.
Case random_case(std::mt19937& random, std::size_t tokens, std::size_t held, std::size_t count, std::size_t queries, std::uint32_t first, std::size_t dim) {
  Case c{reference::random_matrix(queries, dim, random()), reference::random_matrix(held, dim, random()), reference::random_matrix(held, dim, random()), {}, {}, {}, {}};
  std::vector<std::uint32_t> all(tokens);
  std::iota(all.begin(), all.end(), 0u);
  std::vector<std::uint32_t> at;
  std::sample(all.begin(), all.end(), std::back_inserter(at), held, random);
  c.rows.resize(held);
  std::iota(c.rows.begin(), c.rows.end(), 0u);
  std::shuffle(c.rows.begin(), c.rows.end(), random);
  c.rows.resize(count);
  for (std::uint32_t row : c.rows) c.positions.push_back(at[row]), c.weights.push_back(static_cast<float>(random() % 1000) / 100.0f);
  c.input = {c.q.view(), first, c.k.view(), c.v.view(), {c.rows, c.positions, {}, ~std::size_t{0}, 0, 0}, 1 / std::sqrt(static_cast<float>(dim))};
  return c;
}

}  // namespace

TEST("some keys at any positions, in any order, match fp64: blocks and single rows, weights, element rules") {
  std::mt19937 random(11);
  for (int i = 0; i < 120; ++i) {
    const std::size_t tokens = 1 + random() % 700, held = 1 + random() % tokens, count = random() % (held + 1);
    const std::size_t dim = std::array<std::size_t, 4>{5, 16, 40, 128}[random() % 4], queries = std::array<std::size_t, 4>{1, 5, 64, 150}[random() % 4];
    Case c = random_case(random, tokens, held, count, queries, static_cast<std::uint32_t>(random() % tokens), dim);
    if (random() % 2) c.input.subset.log_weight = c.weights;
    if (random() % 2) {
      c.input.subset.rule_begin = random() % (count + 1);
      c.input.subset.sink = random() % 20, c.input.subset.local = random() % 200;
    }
    compare(c.input);
  }
}

TEST("rows that see nothing yield zeros and no NaN") {
  std::mt19937 random(2);
  Case c = random_case(random, 50, 50, 10, 70, 0, 24);
  for (auto& position : c.positions) position += 65;
  compare(c.input);
  c.input.subset.rows = {}, c.input.subset.positions = {};
  compare(c.input);
}

TEST("all keys in order equal attention over panels") {
  const std::size_t n = 300, dim = 32;
  const Matrix q = reference::random_matrix(n, dim, 1), k = reference::random_matrix(n, dim, 2), v = reference::random_matrix(n, dim, 3);
  std::vector<std::uint32_t> all(n);
  std::iota(all.begin(), all.end(), 0u);
  const KeyPanels panels(k.view());
  Scratch scratch;
  std::vector<float> a(n * dim), b(n * dim), lse_a(n), lse_b(n);
  attention_forward({q.view(), 0, &panels, 0.2f, {}}, v.view(), {a.data(), n, dim, dim}, lse_a, scratch);
  subset_attention({q.view(), 0, k.view(), v.view(), {all, all, {}, ~std::size_t{0}, 0, 0}, 0.2f}, {b.data(), n, dim, dim}, lse_b, scratch);
  for (std::size_t i = 0; i < n; ++i) CHECK_NEAR(lse_b[i], lse_a[i], 1e-6, 1e-6);
  for (std::size_t i = 0; i < n * dim; ++i) CHECK_NEAR(b[i], a[i], 1e-5, 1e-6);
}
