#include "check.h"
#include "replay_case.h"

using namespace attnscope;
using namespace replay_case;

TEST("rows, sums and outputs of the strip equal the map in fp64, in one piece and in steps") {
  std::mt19937 random(1);
  for (const std::uint32_t window : {0u, 37u, 300u})
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
      const std::uint32_t n = 700, dim = window == 37 ? 20 : 16;
      Head head(n, dim, window, pick_rows(random, n, 90), 11);
      head.compute_strip(step);
      CHECK_EQUAL(head.strip.done(), 90);
      for (std::size_t r = 0; r < head.rows.size(); ++r) {
        const std::uint32_t i = head.rows[r];
        const double shift = std::exp(head.map.lse[i] - static_cast<double>(head.lse[r]));
        std::vector<double> output(dim);
        double total = 0;
        for (std::uint32_t j = 0; j < n; ++j) {
          const double p = head.map.at(i, j) * shift;
          CHECK_NEAR(head.strip.row(r)[j], p, 2e-5, 1e-37);
          total += head.strip.row(r)[j];
          for (std::uint32_t c = 0; c < dim; ++c) output[c] += p * static_cast<double>(head.v.row(j)[c]);
        }
        CHECK_NEAR(head.strip.total(r), total, 1e-14, 0);
        CHECK_NEAR(total, 1, 1e-4, 0);
        for (std::uint32_t c = 0; c < dim; ++c) CHECK_NEAR(head.strip.output(r)[c], output[c], 1e-5, 1e-5);
      }
    }
}

TEST("without values the strip is the same and outputs are zero") {
  std::mt19937 random(2);
  Head with(300, 8, 0, pick_rows(random, 300, 20), 4), without(300, 8, 0, with.rows, 4);
  with.compute_strip(20);
  without.v = {};
  without.compute_strip(20);
  for (std::size_t r = 0; r < 20; ++r) {
    CHECK(std::equal(with.strip.row(r), with.strip.row(r) + 300, without.strip.row(r)));
    for (std::size_t c = 0; c < 8; ++c) CHECK_EQUAL(without.strip.output(r)[c], 0);
  }
}
