// The published numbers that the engine's own code reproduces, and how closely: what docs/results/published-tables.md shows.
#include <cmath>
#include <string>

#include "check.h"
#include "tools/published_tables/prefill.h"
#include "tools/published_tables/retention.h"
#include "tools/published_tables/retrieval.h"

using namespace attnscope::published_tables;

TEST("LagKV compresses what its size formula says, to the two decimals published") {
  const auto rows = retention_rows();
  CHECK(rows.size() >= 40);
  for (const Row& row : rows) CHECK(std::fabs(row.ours - row.published) <= 0.0051);
}

TEST("MagicPIG's samples, table sizes and speeds agree with the paper's within 5 % rms") {
  double squares = 0, count = 0;
  for (const Row& row : retrieval_rows()) {
    CHECK(std::isfinite(row.ours));
    if (row.published == 0) continue;
    squares += std::pow(row.ours / row.published - 1, 2);
    ++count;
  }
  CHECK(count >= 80);
  CHECK(std::sqrt(squares / count) < 0.05);
}

TEST("kernel sparsity by run length agrees where the runs are drawn alike") {
  double checked = 0;
  for (const Row& row : prefill_rows()) {
    CHECK(std::isfinite(row.ours));
    if (row.name.find("runs of") == std::string::npos || row.name.find("sparsity") == std::string::npos) continue;
    CHECK(std::fabs(row.ours - row.published) < 0.02);
    ++checked;
  }
  CHECK(checked >= 8);
}

