// Speed of the replay on one thread: strip and metrics of one head, 32K tokens, 256 rows, head_dim 128, under masks of several kinds.
// g++ -std=c++20 -O3 -march=native -Inative -Itest/native test/native/bench_replay.cpp native/core/*.cpp native/core/{policy,replay}/*.cpp -o bench_replay && ./bench_replay
#include <cmath>
#include <cstdio>
#include <ctime>
#include <random>

#include "core/replay/metrics.h"
#include "core/replay/trace_writer.h"

using namespace attnscope;

namespace {

/// Processor time of this thread in milliseconds, best of `rounds`.
double milliseconds_of(int rounds, auto&& work) {
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const std::clock_t start = std::clock();
    work();
    best = std::min(best, 1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

constexpr std::uint32_t tokens = 32768, dim = 128;

struct Case {
  const char* name;
  std::uint32_t run, gap;  // kept runs and the gaps between them, up to twice as long
  bool shared;             // all rows keep the same keys, as after an eviction
};

}  // namespace

int main() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> q(256 * dim), k(tokens * dim), v(tokens * dim), lse(256);
  for (auto* x : {&q, &k, &v})
    for (float& value : *x) value = normal(random);
  std::vector<std::uint32_t> rows;
  for (std::uint32_t i = 0; i < 192; ++i) rows.push_back(i * (tokens - 64) / 192 + 100);
  for (std::uint32_t i = 0; i < 64; ++i) rows.push_back(tokens - 64 + i);

  Scratch scratch;
  const Rows keys{k.data(), tokens, dim, dim}, values{v.data(), tokens, dim, dim};
  const KeyPanels panels(keys);
  const float scale = 2 / std::sqrt(static_cast<float>(dim));
  for (std::size_t r = 0; r < rows.size(); ++r) lse[r] = std::log(static_cast<float>(rows[r] + 1)) + 2;  // E[exp(2x)] = e^2
  Strip strip(rows, tokens, dim);
  const double strip_time = milliseconds_of(1, [&] { strip.compute(256, {q.data(), 256, dim, dim}, lse, panels, values, scale, {}, scratch); });
  double pairs = 0;
  for (const std::uint32_t r : rows) pairs += r + 1;
  std::printf("strip                       %7.0f ms, %.1f GFLOP/s\n", strip_time, 4 * pairs * dim / strip_time * 1e-6);

  LayerInput input;
  input.head_dim = dim;
  input.tokens = input.prompt_tokens = tokens;
  input.values = {&values, 1};
  std::vector<std::uint8_t> classes(tokens);
  for (auto& c : classes) c = static_cast<std::uint8_t>(random() % kTokenClasses);
  const KeySpan needle[] = {{9000, 9064}};
  const SequenceInfo info{classes, needle, 4};

  for (const Case& c : {Case{"half, single keys, shared", 1, 1, true}, Case{"half, single keys", 1, 1, false}, Case{"4 %, single keys", 1, 24, false},
                        Case{"20 %, runs of 128", 128, 512, false}}) {
    HeadTrace trace;
    const double write_time = milliseconds_of(3, [&] {
      TraceWriter writer(tokens, rows.size(), {});
      SpanList kept;
      std::mt19937 pick(2);
      for (const std::uint32_t row : rows) {
        if (!c.shared || kept.empty()) {
          kept.clear();
          for (std::uint32_t key = 0; key < tokens;) {
            const auto run = static_cast<std::uint32_t>(1 + pick() % (2 * c.run - 1));
            kept.push_back({key, std::min(tokens, key + run)});
            key += run + 1 + static_cast<std::uint32_t>(pick() % (2 * c.gap - 1));
          }
        }
        writer.row(row, kept, {});
      }
      trace = writer.take();
    });
    const auto time = [&](MetricParts parts) { return milliseconds_of(3, [&] { evaluate(strip, trace, input, 0, info, 2, parts, scratch); }); };
    std::printf("%-26s  trace %6.1f ms  recall %6.1f ms  error %6.1f ms  detail %6.1f ms\n", c.name, write_time, time({true, false, false}),
                time({false, true, false}), time({false, false, true}));
  }
}
