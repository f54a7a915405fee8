// Speed of both passes on one thread: random queries, keys and values give diffuse rows, the hardest case for pass 2.
// g++ -std=c++20 -O3 -march=native -Inative test/native/bench_core.cpp native/core/*.cpp -o bench_core && ./bench_core
#include <cmath>
#include <cstdio>
#include <ctime>
#include <random>
#include <vector>

#include "core/attention.h"
#include "core/reduce.h"
#include "core/simd.h"

using namespace attnscope;

namespace {

/// Processor time of this thread, so that a busy machine disturbs ratios less.
double seconds_of(auto&& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

/// What the core can do at best: 12 independent chains of multiply-adds in registers.
double peak_flops() {
  constexpr long rounds = 10'000'000;
  simd::f32x8 chains[12];
  for (int i = 0; i < 12; ++i) chains[i] = simd::splat(0.1f * static_cast<float>(i));
  const simd::f32x8 factor = simd::splat(0.999f), term = simd::splat(0.001f);
  const double time = seconds_of([&] {
    for (long n = 0; n < rounds; ++n)
#pragma GCC unroll 12
      for (int i = 0; i < 12; ++i) {
        chains[i] = chains[i] * factor + term;
        asm volatile("" ::"x"(chains[i]));  // keeps the loop from being computed in advance
      }
  });
  return 12 * 2 * simd::lanes * rounds / time;
}

void measure(std::uint32_t tokens, std::size_t dim, float spread) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> q(tokens * dim), k(tokens * dim), v(tokens * dim), out(tokens * dim), lse(tokens);
  for (auto* x : {&q, &k, &v})
    for (float& value : *x) value = normal(random);
  for (float& value : q) value *= spread;

  Scratch scratch;
  const Rows queries{q.data(), tokens, dim, dim}, keys{k.data(), tokens, dim, dim}, values{v.data(), tokens, dim, dim};
  const KeyPanels panels(keys);
  const HeadInput input{queries, 0, &panels, 1 / std::sqrt(static_cast<float>(dim)), {}};
  const ReduceConfig config{tokens, tokens / 256, 4, 64};
  HeadReduction reduction(config, {0, tokens});

  const double pass1 = seconds_of([&] { attention_forward(input, values, {out.data(), tokens, dim, dim}, lse, scratch); });
  const double pass2 = seconds_of([&] { reduce_rows(input, lse, reduction, scratch); });
  const double pairs = 0.5 * tokens * (tokens + 1.0);
  std::printf("N %5u  d %3zu  spread %.0f   pass 1 %6.1f GFLOP/s   pass 2 %6.1f GFLOP/s of QK^T, %.3f ns/pair   pass 2 / pass 1 %.2f\n",
              tokens, dim, static_cast<double>(spread), 4 * pairs * dim / pass1 * 1e-9, 2 * pairs * dim / pass2 * 1e-9, pass2 / pairs * 1e9, pass2 / pass1);
}

/// One decode step against a cache: bound by memory, so reported as bandwidth.
void measure_decode(std::uint32_t tokens, std::size_t dim) {
  std::vector<float> q(dim, 0.1f), k(tokens * dim, 0.2f), v(tokens * dim, 0.3f), out(dim), lse(1);
  Scratch scratch;
  const KeyPanels panels(Rows{k.data(), tokens, dim, dim});
  const HeadInput input{{q.data(), 1, dim, dim}, tokens - 1, &panels, 1, {}};
  constexpr int repeats = 20;
  const double time = seconds_of([&] {
    for (int i = 0; i < repeats; ++i) attention_forward(input, {v.data(), tokens, dim, dim}, {out.data(), 1, dim, dim}, lse, scratch);
  }) / repeats;
  std::printf("N %5u  d %3zu  decode     %.0f us a step, %.1f GB/s\n", tokens, dim, time * 1e6, 8.0 * tokens * dim / time * 1e-9);
}

}  // namespace

int main() {
  std::printf("peak %.1f GFLOP/s\n", peak_flops() * 1e-9);
  for (std::uint32_t tokens : {4096u, 8192u})
    for (std::size_t dim : {128u, 32u})
      for (float spread : {1.0f, 4.0f}) measure(tokens, dim, spread);
  measure_decode(32768, 128);
}
