// What must hold for every policy of the registry with its defaults, whatever it decides.
#include <cstring>
#include <string>

#include "check.h"
#include "core/replay/metrics.h"
#include "replay_case.h"

using namespace attnscope;
using namespace replay_case;

TEST("every policy's trace keeps only visible keys, in order, forced ones among them, and never beats the oracle") {
  std::mt19937 random(40);
  for (const std::uint32_t window : {0u, 90u}) {
    Head head(420, 16, window, pick_rows(random, 420, 120), 51);
    head.compute_strip(120);
    head.input.prompt_tokens = 384;
    std::vector<float> pooled(6 * 16);
    for (std::size_t i = 0; i < 384; ++i)
      for (std::size_t c = 0; c < 16; ++c) pooled[i / 64 * 16 + c] += head.q.row(i)[c] / 64;
    const Rows pooled_rows{pooled.data(), 6, 16, 16};
    head.input.pooled_queries = {&pooled_rows, 1};
    std::vector<double> future(420);
    for (std::size_t r = 0; r < head.rows.size(); ++r)
      for (std::uint32_t k = 0; k <= head.rows[r] && head.rows[r] >= 300; ++k) future[k] += head.strip.row(r)[k];

    for (const PolicyEntry& entry : policies()) {
      const PolicyChoice choice{&entry, default_config(entry.descriptor)};
      const auto result = replay(choice, head.input, 0, head.rows, {300, 0, 0}, 2, future);
      if (!result) std::printf("  %s: %s\n", entry.descriptor.id, result.error().message.c_str());
      CHECK(result.ok());
      if (!result) continue;
      const HeadTrace& trace = result.value();
      CHECK(trace.rows == head.rows);
      bool acted = false;
      for (std::size_t r = 0; r < trace.rows.size(); ++r) {
        const std::uint32_t row = trace.rows[r];
        acted = acted || !trace.dense[r];
        std::uint32_t end = head.visibility.first_key(row);
        std::size_t keys = 0;
        for (const KeySpan& s : trace.kept(r)) {
          CHECK(s.begin >= end && s.begin < s.end && s.end <= row + 1);
          end = s.end, keys += s.end - s.begin;
        }
        const auto kept = flags(trace.kept(r), 420), forced = flags(trace.forced_of(r), 420);
        for (std::uint32_t k = 0; k < 420; ++k) CHECK(forced[k] <= kept[k]);
        CHECK(trace.weights(r).empty() || trace.weights(r).size() == keys);
      }
      const Metrics m = evaluate(head.strip, trace, head.input, 0, {}, 2, {}, head.scratch);
      if (acted) {
        CHECK(m[Metric::recall_mean] >= 0 && m[Metric::recall_mean] <= 1);
        CHECK(m[Metric::oracle_recall] >= m[Metric::recall_mean] - 1e-12);
        CHECK(m[Metric::error_mean] >= 0);
      }
      if (std::strcmp(entry.descriptor.id, "dense") == 0) CHECK_EQUAL(m[Metric::error_mean], 0);
    }
  }
}
