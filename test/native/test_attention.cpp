#include "core/attention.h"

#include <algorithm>

#include "check.h"
#include "reference.h"

using namespace attnscope;
using reference::Matrix;

namespace {

struct Case {
  std::size_t n, dim, value_dim;
  std::uint32_t window;
  float spread;
};

void check_case(const Case& c) {
  const Matrix q = reference::random_matrix(c.n, c.dim, 1, c.spread), k = reference::random_matrix(c.n, c.dim, 2), v = reference::random_matrix(c.n, c.value_dim, 3);
  const float scale = 1 / std::sqrt(static_cast<float>(c.dim));
  const reference::Map map = reference::attention_map(q, k, scale, c.window);
  const KeyPanels panels(k.view());
  Scratch scratch;

  // The whole head, one row at a time, and ragged blocks must all agree with the reference.
  for (std::size_t step : {c.n, std::size_t{1}, std::size_t{7}, std::size_t{100}}) {
    std::vector<float> out(c.n * c.value_dim, -1), lse(c.n, -1);
    for (std::size_t first = 0; first < c.n; first += step) {
      const std::size_t rows = std::min(step, c.n - first);
      const HeadInput input{q.view().slice(first, rows), static_cast<std::uint32_t>(first), &panels, scale, {c.window}};
      attention_forward(input, v.view(), {out.data() + first * c.value_dim, rows, c.value_dim, c.value_dim}, {lse.data() + first, rows}, scratch);
    }
    for (std::size_t i = 0; i < c.n; ++i) {
      CHECK_NEAR(lse[i], map.lse[i], 1e-6, 1e-6);
      for (std::size_t d = 0; d < c.value_dim; ++d) {
        double expected = 0, size = 0;
        for (std::size_t j = 0; j <= i; ++j) {
          expected += map.at(i, j) * v.row(j)[d];
          size += map.at(i, j) * std::fabs(v.row(j)[d]);
        }
        CHECK_NEAR(out[i * c.value_dim + d], expected, 0, 1e-5 * size);  // relative to the terms: the sum may cancel
      }
    }
  }
}

}  // namespace

TEST("output and lse match fp64 for many head dimensions") {
  for (std::size_t dim : {1u, 5u, 16u, 24u, 80u, 96u, 128u}) check_case({150, dim, dim, 0, 1});
}
TEST("more than one row chunk and key block") { check_case({601, 24, 24, 0, 1}); }
TEST("peaky rows") { check_case({300, 32, 32, 0, 6}); }
TEST("windows of 1, 16, 100 and beyond the sequence") {
  for (std::uint32_t window : {1u, 16u, 100u, 1000u}) check_case({330, 24, 24, window, 1});
}
TEST("values of another dimension than keys") { check_case({90, 16, 40, 0, 1}); }

TEST("scores far below zero and far above do not overflow") {
  const std::size_t n = 70, dim = 8;
  Matrix q = reference::random_matrix(n, dim, 1, 40), k = reference::random_matrix(n, dim, 2, 40);
  const Matrix v = reference::random_matrix(n, dim, 3);
  const reference::Map map = reference::attention_map(q, k, 1, 0);
  const KeyPanels panels(k.view());
  Scratch scratch;
  std::vector<float> out(n * dim), lse(n);
  attention_forward({q.view(), 0, &panels, 1, {}}, v.view(), {out.data(), n, dim, dim}, lse, scratch);
  for (std::size_t i = 0; i < n; ++i) CHECK_NEAR(lse[i], map.lse[i], 1e-6, 1e-3);
  for (float x : out) CHECK(std::isfinite(x));
}

TEST("appended keys equal keys packed at once") {
  const Matrix k = reference::random_matrix(77, 12, 4);
  const KeyPanels packed(k.view());
  KeyPanels grown(k.view().slice(0, 5));
  for (std::size_t i = 5; i < 77; i += 3) grown.append(k.view().slice(i, 3));
  CHECK_EQUAL(grown.count(), packed.count());
  for (std::size_t i = 0; i < 80 * 12; ++i) CHECK_EQUAL(grown.data()[i], packed.data()[i]);
}

TEST("rows in a strided buffer are read and written where they lie") {
  const std::size_t n = 40, dim = 6, heads = 3;
  const Matrix all = reference::random_matrix(n, dim * heads, 9);
  Scratch scratch;
  std::vector<float> out(n * dim * heads, 7), lse(n);
  const Rows head{all.data.data() + dim, n, dim, dim * heads};
  const KeyPanels panels(head);
  attention_forward({head, 0, &panels, 0.4f, {}}, head, {out.data() + dim, n, dim, dim * heads}, lse, scratch);
  Matrix x{n, dim, {}};
  for (std::size_t i = 0; i < n; ++i) x.data.insert(x.data.end(), head.row(i), head.row(i) + dim);
  const reference::Map map = reference::attention_map(x, x, 0.4f, 0);
  for (std::size_t i = 0; i < n; ++i) {
    CHECK_NEAR(lse[i], map.lse[i], 1e-6, 1e-6);
    CHECK_EQUAL(out[i * dim * heads], 7);
    CHECK_EQUAL(out[i * dim * heads + 2 * dim], 7);
  }
}
