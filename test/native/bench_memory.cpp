// Speed of the memory model on one thread: closed forms, the script, the allocator's replay, a search for the longest context.
// g++ -std=c++20 -O3 -march=native -Inative -Itest/native test/native/bench_memory.cpp native/core/memory/*.cpp -o bench_memory && ./bench_memory
// Targets: a closed form below 5 us, a replay of 500K events below 150 ms.
#include <algorithm>
#include <cstdio>
#include <ctime>

#include "core/memory/max_context.h"
#include "test_memory_cases.h"

using namespace memory_cases;

namespace {

/// Processor time of this thread, so that a busy machine disturbs less; the best of several.
double seconds_of(auto&& work, int rounds = 5) {
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const std::clock_t start = std::clock();
    work();
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

}  // namespace

int main() {
  for (const Implementation& implementation : implementations())
    for (const char* scheme : {"standard", "chunked", "mini-sequence", "mom", "headinfer"}) {
      Config c = config(llama3_8b(), scheme, 1, 200);
      std::uint64_t sum = 0;
      constexpr std::uint32_t count = 20000;
      const double time = seconds_of([&] {
        for (std::uint32_t i = 0; i < count; ++i) c.prompt_tokens = 300000 + i, sum += implementation.closed_form(c).bytes;
      });
      std::printf("closed form   %-13s %-14s %7.3f us%s\n", implementation.id, scheme, time / count * 1e6, sum == 0 ? " " : "");
    }
  const Implementation& hf = implementations()[0];
  for (const char* scheme : {"mini-sequence", "mom", "headinfer"}) {
    const Config c = config(llama3_8b(), scheme, 300000, scheme[0] == 'h' ? 20 : 200);
    EventList list;
    const double script = seconds_of([&] {
      list.events.clear();
      (void)run_script(hf, c, list);
    });
    for (const bool expandable : {false, true}) {
      AllocatorReport report;
      const double replay = seconds_of([&] { report = replay_allocator(list.events, {.limit = 0, .expandable_segments = expandable}); });
      std::printf("replay        %-14s %7zu events: script %6.1f ms, allocator%s %6.1f ms = %.1f ms a 500K events\n", scheme, list.events.size(),
                  script * 1e3, expandable ? " (expandable)" : "", replay * 1e3, replay * 1e3 * 5e5 / static_cast<double>(list.events.size()));
    }
  }
  const ConfigAt at = [](std::uint32_t tokens) { return config(llama3_8b(), "mom", tokens, 200); };
  const ContextSearch search{.budget = static_cast<std::uint64_t>(78.7 * GiB)};
  std::size_t tried = 0;
  const double band = seconds_of([&] { tried = max_context(hf, at, search).value().tried.size(); }, 2);
  const double bound = seconds_of([&] { (void)max_context_by_bytes(hf, at, search); });
  std::printf("max context   mom, 200 steps: %zu lengths replayed in %.2f s; by bytes alone %.1f us\n", tried, band, bound * 1e6);
}
