// Recomputes what was published and prints it beside the published number, as Markdown: docs/results/published-tables.md.
//   cmake --build BUILD --target published_tables && BUILD/published_tables > docs/results/published-tables.md
#include <cmath>
#include <cstdio>
#include <vector>

#include "tools/published_tables/prefill.h"
#include "tools/published_tables/retention.h"
#include "tools/published_tables/retrieval.h"

namespace {

using attnscope::published_tables::Row;

/// Root mean square and largest relative difference over rows with a published value other than 0.
void summarize(const std::vector<Row>& rows) {
  double squares = 0, worst = 0;
  std::size_t count = 0;
  const char* where = "";
  for (const Row& row : rows) {
    if (row.published == 0) continue;
    const double relative = std::fabs(row.ours / row.published - 1);
    squares += relative * relative;
    ++count;
    if (relative > worst) worst = relative, where = row.name.c_str();
  }
  if (count > 0)
    std::printf("\n%zu rows; relative difference %.1f %% rms, at most %.1f %% (%s).\n", rows.size(), 100 * std::sqrt(squares / double(count)), 100 * worst, where);
}

void print(const char* title, const char* about, const std::vector<Row>& rows) {
  std::printf("\n## %s\n\n%s\n\n| what | unit | published | ours | difference | note |\n|---|---|---:|---:|---:|---|\n", title, about);
  for (const Row& row : rows)
    std::printf("| %s | %s | %.4g | %.4g | %+.2g | %s |\n", row.name.c_str(), row.unit.c_str(), row.published, row.ours, row.ours - row.published, row.note.c_str());
  summarize(rows);
}

}  // namespace

int main() {
  using namespace attnscope::published_tables;
  std::printf("# Published numbers, recomputed\n\nMade by `node scripts/published-tables.mjs` from the engine's own code: what a policy keeps, what a kernel computes, what\n"
              "tables cost. Everything here is counted or in closed form; nothing is timed on this machine and no model is run.\n");
  print("Prefill: budget is not cost (MInference, The Sparse Frontier)",
        "Kernel sparsity of vertical-slash by its budgets and the length of slash runs, against the causal blocks; and the compression that v = s gives. "
        "Published values of the first part were derived from the released conversion code, those of the ladder are The Sparse Frontier's table 6.",
        prefill_rows());
  print("Retention: what LagKV really compresses", "Effective N / kept for nominal ratios, by the size formula and by running the state machine on random keys and values. "
        "Published values were derived from the released code.", retention_rows());
  print("Retrieval: what MagicPIG's tables sample, hold and cost", "arXiv 2410.16179: table 9 (share of keys sampled), table 8 (bytes of the tables), table 7 (speed).", retrieval_rows());
}
