#include <set>

#include "check.h"
#include "core/policy/keep_top.h"
#include "core/policy/lag_score.h"
#include "core/policy/lagkv_size.h"
#include "retention_harness.h"

using namespace retention;

namespace {

struct LagSet {
  std::uint32_t sink, lag;
  double ratio, weight;
};
constexpr LagSet lag_sets[] = {{16, 32, 0.5, 1}, {4, 16, 0.25, 1}, {0, 24, 0.2, 2}, {5, 8, 1.0 / 6, 0}, {16, 64, 1, 1}, {3, 10, 0, 1}};

PolicyConfig official(const LagSet& s) {
  return config("lagkv-official", {{"sink", s.sink}, {"lag", s.lag}, {"ratio", s.ratio}, {"v_weight", s.weight}});
}

Positions lagkv_by_definition(const Layer& layer, std::size_t head, std::uint32_t n, const LagSet& s) {
  if (n < s.sink + 2 * s.lag) return sequence(n);
  const Positions all = sequence(n);
  const std::uint32_t partitions = (n - s.sink) / s.lag;
  Positions kept(all.begin(), all.begin() + s.sink);
  for (std::uint32_t p = 0; p + 1 < partitions; ++p)
    for (std::uint32_t i : top(lag_score(layer, head, all, s.sink + p * s.lag, s.lag, s.weight), static_cast<std::size_t>(s.ratio * s.lag)))
      kept.push_back(s.sink + p * s.lag + i);
  for (std::uint32_t i = s.sink + (partitions - 1) * s.lag; i < n; ++i) kept.push_back(i);
  return kept;
}

Positions kvpress_by_definition(const Layer& layer, std::size_t head, const Positions& held, std::uint32_t keep, std::uint32_t sink, std::uint32_t lag, bool cross) {
  const std::size_t n = held.size();
  std::vector<double> score(n, 1.0);
  if (n < sink + 2 * lag)
    for (std::size_t i = sink; i < n; ++i) score[i] = static_cast<double>(i - sink) / static_cast<double>(n - sink);
  else
    for (std::size_t begin = sink; begin + 2 * lag <= n; begin += lag) {
      std::vector<double> part = lag_score(layer, head, held, begin, lag, 1);
      for (std::size_t i = 0; i < lag; ++i)
        score[begin + i] = cross ? part[i] / 2 : static_cast<double>(std::count_if(part.begin(), part.end(), [&](double x) { return x < part[i]; })) / lag;
    }
  Positions kept;
  for (std::uint32_t slot : top(score, keep)) kept.push_back(held[slot]);
  return kept;
}

double ratio_for(std::uint32_t keep, std::uint32_t n) { return 1 - (keep + 0.5) / n; }

}  // namespace

TEST("keep_top: ties to the lowest index, NaN last, k at both ends") {
  const std::vector<float> score{1, NAN, 3, 1, 3, -INFINITY, 1};
  std::vector<std::uint8_t> kept(7);
  const auto set = [&](std::size_t k) {
    keep_top<float>(score, k, kept);
    int bits = 0;
    for (std::size_t i = 0; i < 7; ++i) bits |= kept[i] << i;
    return bits;
  };
  CHECK_EQUAL(set(0), 0);
  CHECK_EQUAL(set(1), 1 << 2);
  CHECK_EQUAL(set(3), 1 << 2 | 1 << 4 | 1);
  CHECK_EQUAL(set(4), 1 << 2 | 1 << 4 | 1 | 1 << 3);
  CHECK_EQUAL(set(6), 127 ^ 1 << 1);
  CHECK_EQUAL(set(7), 127);
}

TEST("LagKV: scores equal the definition in fp64, by position, by slot and over a thinned cache") {
  const Layer layer(1, 300, 19, 40);
  Positions thinned;
  for (std::uint32_t i = 0; i < 300; ++i)
    if (i % 3 != 1) thinned.push_back(i);
  Memo memo;
  LayerInput input;
  input.head_dim = 19;
  input.memo = &memo;
  for (const Positions& held : {sequence(300), thinned})
    for (float weight : {0.0f, 1.0f, 2.5f}) {
      const LagScoring scoring{7, 32, weight};
      const std::size_t partitions = (held.size() - 7) / 32 - 1;
      std::vector<float> got(partitions * 32);
      lag_scores(input, 0, {layer.keys[0].view(), layer.values[0].view(), held, true}, 7, partitions, scoring, got);
      for (std::size_t p = 0; p < partitions; ++p) {
        const auto expected = lag_score(layer, 0, held, 7 + p * 32, 32, weight);
        for (std::size_t i = 0; i < 32; ++i) CHECK_NEAR(got[p * 32 + i], expected[i], 5e-7, 0);
      }
    }
}

TEST("lagkv-official: kept sets equal the definition") {
  for (const LagSet& s : lag_sets)
    for (std::uint32_t n : {1u, 40u, 127u, 300u, 401u}) {
      const Layer layer(2, n, 16, 100 + n);
      Cache cache("lagkv-official", official(s), layer);
      cache.feed(n, 0);
      for (std::size_t h = 0; h < 2; ++h) CHECK(cache.resident[h] == lagkv_by_definition(layer, h, n, s));
    }
}

TEST("lagkv-official: the same kept sets however the tokens come, in a capture and in a live cache") {
  const std::uint32_t n = 421;
  const Layer layer(2, n, 12, 7);
  std::mt19937 random(3);
  for (const LagSet& s : lag_sets) {
    Cache whole("lagkv-official", official(s), layer);
    whole.feed(n, 0);
    for (int way = 0; way < 6; ++way)
      for (Addressing addressing : {Addressing::by_position, Addressing::by_slot}) {
        Cache cache("lagkv-official", official(s), layer, addressing);
        if (way == 0) cache.feed(n, 0);
        else if (way == 1) (void)cache.append(std::min(n, s.sink + 2 * s.lag), true).ok();
        else if (way == 2) cache.feed(1, n - 1);
        else if (way == 3) cache.feed(200, n - 200);
        while (cache.fed() < n) {
          const std::uint32_t left = n - cache.fed(), chunk = way == 1 ? s.lag : std::uniform_int_distribution<std::uint32_t>(1, 90)(random);
          (void)cache.append(std::min(left, chunk), true, left <= chunk).ok();
        }
        CHECK(cache.ordered);
        for (std::size_t h = 0; h < 2; ++h) CHECK(cache.resident[h] == whole.resident[h]);
      }
  }
}

TEST("lagkv-official: the size formula holds after every token") {
  const Layer layer(1, 400, 4, 9);
  for (const LagSet& s : lag_sets) {
    Cache cache("lagkv-official", official(s), layer);
    for (std::uint32_t n = 1; n <= 400; ++n) {
      (void)cache.append(1, n <= 50, n == 50).ok();
      CHECK_EQUAL(cache.size(), lagkv_kept(n, s.sink, s.lag, s.ratio));
    }
  }
}

TEST("LagKV: the inverse of the size formula is the largest that fits, and says what cannot fit") {
  for (std::uint32_t n : {30u, 144u, 500u, 1000u})
    for (std::uint32_t budget = 0; budget <= n; budget += 7) {
      const auto m = lagkv_partition_tokens(budget, n, 16, 64);
      const auto size = [&](std::uint32_t keep) { return lagkv_kept(n, 16, 64, (keep + 0.5) / 64); };
      if (!m) {
        CHECK(size(0) > budget);
        continue;
      }
      CHECK(*m == 64 || size(*m) <= budget);
      CHECK(*m == 64 || size(*m + 1) > budget);
    }
  CHECK_EQUAL(*lagkv_partition_tokens(1000, 1000, 16, 64), 64);
  CHECK(!lagkv_partition_tokens(99, 100, 16, 64));
}

TEST("LagKV: effective ratios, N / kept, to the two decimals they are known to") {
  struct Row { std::uint32_t lag, n; double half, quarter, sixth, eighth; };
  for (const Row& r : {Row{128, 4096, 1.88, 3.37, 4.62, 5.57}, Row{128, 131072, 2.00, 3.98, 6.04, 7.89}, Row{1024, 8192, 1.60, 2.29, 2.67, 2.91}}) {
    const auto effective = [&](double ratio) { return static_cast<double>(r.n) / lagkv_kept(r.n, 16, r.lag, ratio); };
    CHECK_NEAR(effective(0.5), r.half, 0, 0.005);
    CHECK_NEAR(effective(0.25), r.quarter, 0, 0.005);
    CHECK_NEAR(effective(1.0 / 6), r.sixth, 0, 0.005);
    CHECK_NEAR(effective(1.0 / 8), r.eighth, 0, 0.005);
  }
}

TEST("lagkv-official: constant channels and NaN in the data decide nothing") {
  Layer layer(1, 64, 6, 11);
  const LagSet s{0, 16, 0.5, 1};
  // Values of the second partition all equal: the first is judged by its keys alone.
  for (std::size_t t = 16; t < 32; ++t)
    for (std::size_t c = 0; c < 6; ++c) layer.values[0].data[t * 6 + c] = 0.25f;
  Cache constant("lagkv-official", official(s), layer);
  constant.feed(32, 0);
  const auto by_key = top(lag_part(layer.keys[0], sequence(32), 0, 16), 8);
  CHECK(std::equal(by_key.begin(), by_key.end(), constant.resident[0].begin()));

  // Keys constant as well: all tie, the lowest positions stay.
  for (std::size_t t = 16; t < 32; ++t)
    for (std::size_t c = 0; c < 6; ++c) layer.keys[0].data[t * 6 + c] = 0.25f;
  Cache tied("lagkv-official", official(s), layer);
  tied.feed(32, 0);
  for (std::uint32_t i = 0; i < 8; ++i) CHECK_EQUAL(tied.resident[0][i], i);

  Layer broken(1, 32, 6, 12);
  const auto fine = top(lag_score(broken, 0, sequence(32), 0, 16, 1), 8);
  broken.keys[0].data[fine[0] * 6] = NAN;
  Cache cache("lagkv-official", official(s), broken);
  cache.feed(32, 0);
  CHECK(std::find(cache.resident[0].begin(), cache.resident[0].end(), fine[0]) == cache.resident[0].end());
  CHECK_EQUAL(cache.size(), 24);
}

TEST("lagkv-official: skipped layers keep everything; the transient copy is the cache before compression") {
  const Layer layer(1, 300, 4, 13);
  const auto set = [&](double skip, double attend) {
    return config("lagkv-official", {{"lag", 64}, {"sink", 16}, {"skip_layers", skip}, {"use_then_compress", attend}});
  };
  Cache skipped("lagkv-official", set(2, 1), layer, Addressing::by_position, 1), acted("lagkv-official", set(2, 1), layer, Addressing::by_position, 2),
      after("lagkv-official", set(0, 0), layer);
  for (Cache* cache : {&skipped, &acted, &after}) cache->feed(300, 0);
  CHECK_EQUAL(skipped.size(), 300);
  CHECK_EQUAL(acted.size(), lagkv_kept(300, 16, 64, 0.5));
  CHECK_EQUAL(skipped.policy->transient_tokens(), 0);
  CHECK_EQUAL(acted.policy->transient_tokens(), 300);
  CHECK_EQUAL(after.policy->transient_tokens(), 0);
  CHECK(!acted.policy->evicts_before_attention() && after.policy->evicts_before_attention());
  // 284 tokens after the sinks: 4 partitions, 28 more. Three were compressed.
  const auto forced = acted.forced();
  CHECK_EQUAL(forced.size(), 2);
  CHECK_EQUAL(forced[0].end, 16);
  CHECK_EQUAL(forced[1].begin, 16 + 3 * 32);
  CHECK_EQUAL(forced[1].end, acted.size());
  CHECK_EQUAL(skipped.forced().size(), 1);
  CHECK_EQUAL(skipped.forced()[0].end, 300);
}

TEST("LagKV in bf16: about ten distinct scores in 128, top 32 no longer those of fp32") {
  const Layer layer(4, 128 * 9, 128, 17);
  Memo memo;
  LayerInput input;
  input.head_dim = 128;
  input.memo = &memo;
  const Positions all = sequence(128 * 9);
  double distinct = 0, overlap = 0, partitions = 0;
  for (std::uint32_t h = 0; h < 4; ++h) {
    std::vector<float> fine(128 * 8), coarse(128 * 8);
    const ResidentTokens held{layer.keys[h].view(), layer.values[h].view(), all, true};
    lag_scores(input, h, held, 0, 8, {0, 128, 1, LagArithmetic::fp32}, fine);
    lag_scores(input, h, held, 0, 8, {0, 128, 1, LagArithmetic::bf16}, coarse);
    for (std::size_t p = 0; p < 8; ++p, ++partitions) {
      const std::span<const float> a = std::span(fine).subspan(p * 128, 128), b = std::span(coarse).subspan(p * 128, 128);
      CHECK(std::set<float>(a.begin(), a.end()).size() > 120);
      distinct += static_cast<double>(std::set<float>(b.begin(), b.end()).size());
      std::vector<std::uint8_t> x(128), y(128);
      keep_top<float>(a, 32, x);
      keep_top<float>(b, 32, y);
      for (std::size_t i = 0; i < 128; ++i) overlap += x[i] && y[i] ? 1.0 / 32 : 0;
    }
  }
  std::printf("  distinct scores %.1f of 128, top-32 overlap %.3f\n", distinct / partitions, overlap / partitions);
  CHECK_NEAR(distinct / partitions, 9.5, 0, 2.5);
  CHECK_NEAR(overlap / partitions, 0.88, 0, 0.05);
}

TEST("lagkv-kvpress: floor in doubles keeps 99 of 1000 at 0.9 and 199 at 0.8") {
  const Layer layer(1, 1000, 8, 19);
  for (const auto& [ratio, expected] : {std::pair{0.9, 99u}, {0.8, 199u}, {0.5, 500u}, {0.0, 1000u}}) {
    Cache cache("lagkv-kvpress", config("lagkv-kvpress", {{"compression_ratio", ratio}}), layer);
    cache.feed(1000, 0);
    CHECK_EQUAL(cache.size(), expected);
  }
}

TEST("lagkv-kvpress: kept sets equal the definition: ranks, raw scores, short prompts, budgets below the window") {
  for (std::uint32_t n : {2u, 30u, 67u, 68u, 300u, 694u})
    for (double ratio : {0.1, 0.5, 0.75, 0.9, 0.99})
      for (bool cross : {false, true}) {
        const Layer layer(2, n, 16, 200 + n);
        Cache cache("lagkv-kvpress", config("lagkv-kvpress", {{"lag", 32}, {"compression_ratio", ratio}, {"cross_scoring", cross}}), layer);
        cache.feed(n, 0);
        for (std::size_t h = 0; h < 2; ++h)
          CHECK(cache.resident[h] == kvpress_by_definition(layer, h, sequence(n), kvpress_kept(n, ratio), 4, 32, cross));
      }
}

TEST("lagkv-kvpress: a budget below sinks and window takes its 69 slots from the front of what ties") {
  const Layer layer(1, 694, 8, 23);
  Cache cache("lagkv-kvpress", config("lagkv-kvpress", {{"compression_ratio", 0.9}}), layer);
  cache.feed(694, 0);
  CHECK_EQUAL(cache.size(), 69);
  // 4 sinks, then from 4 + 4 * 128 on, where the last full partition starts: none of the newest tokens.
  for (std::uint32_t i = 0; i < 69; ++i) CHECK_EQUAL(cache.resident[0][i], i < 4 ? i : 516 + (i - 4));
  CHECK_EQUAL(cache.forced().size(), 1);
  CHECK_EQUAL(cache.forced()[0].end, 69);
}

TEST("lagkv-kvpress keeps what lagkv-official keeps where it is given as many tokens") {
  for (const LagSet& s : {LagSet{4, 128, 0.5, 1}, {4, 32, 0.25, 1}, {16, 64, 0.2, 1}})
    for (std::uint32_t n : {500u, 700u, 901u}) {
      const Layer layer(2, n, 16, 300 + n);
      const std::uint32_t keep = lagkv_kept(n, s.sink, s.lag, s.ratio);
      const PolicyConfig c = config("lagkv-kvpress", {{"sink", s.sink}, {"lag", s.lag}, {"compression_ratio", ratio_for(keep, n)}});
      Cache press("lagkv-kvpress", c, layer), authors("lagkv-official", official(s), layer);
      press.feed(n, 0);
      authors.feed(n, 0);
      CHECK_EQUAL(press.size(), keep);
      for (std::size_t h = 0; h < 2; ++h) CHECK(press.resident[h] == authors.resident[h]);
    }
}

TEST("lagkv-kvpress: of a prompt in chunks only the first is compressed") {
  const Layer layer(1, 300, 8, 29);
  Cache cache("lagkv-kvpress", config("lagkv-kvpress", {{"lag", 16}}), layer);
  (void)cache.append(100, true).ok();
  CHECK_EQUAL(cache.size(), 50);
  (void)cache.append(200, true, true).ok();
  CHECK_EQUAL(cache.size(), 250);
}

TEST("lagkv-kvpress while decoding: sawtooth 64..71, each time by the score of the thinned cache") {
  const Layer layer(2, 300, 8, 31);
  const PolicyConfig c = config("lagkv-kvpress", {{"lag", 8}, {"compression_ratio", 0}, {"interval", 8}, {"target_size", 64}});
  for (Addressing addressing : {Addressing::by_position, Addressing::by_slot}) {
    Cache cache("lagkv-kvpress", c, layer, addressing);
    cache.feed(100, 0);
    CHECK_EQUAL(cache.size(), 100);
    for (std::uint32_t step = 1; step <= 80; ++step) {
      std::vector<Positions> expected = cache.resident;
      for (std::size_t h = 0; h < 2; ++h) {
        expected[h].push_back(cache.fed());
        if (step % 8 == 0) expected[h] = kvpress_by_definition(layer, h, expected[h], 64, 4, 8, false);
      }
      (void)cache.append(1, false).ok();
      for (std::size_t h = 0; h < 2; ++h) CHECK(cache.resident[h] == expected[h]);
      if (step >= 8) CHECK_EQUAL(cache.size(), 64 + step % 8);
    }
  }
}

TEST("streaming-llm: sinks and the last tokens, decode steps make room before they attend") {
  const Layer layer(2, 200, 2, 37);
  Cache cache("streaming-llm", config("streaming-llm", {{"recent", 60}}), layer);
  cache.feed(150, 0);
  CHECK(!cache.policy->evicts_before_attention());
  for (std::uint32_t n = 150;; ++n) {
    for (const Positions& held : cache.resident) {
      CHECK_EQUAL(held.size(), 64);
      for (std::uint32_t i = 0; i < 64; ++i) CHECK_EQUAL(held[i], i < 4 ? i : n - 64 + i);
    }
    if (n == 200) break;
    (void)cache.append(1, false).ok();
    CHECK(cache.policy->evicts_before_attention());
  }
}

TEST("random: kept sets are nested in the budget, differ by seed, layer and head, and do not depend on the steps") {
  const Layer layer(2, 500, 2, 41);
  const auto run = [&](double tokens, double seed, std::uint32_t index, std::uint32_t prompt) {
    Cache cache("random", config("random", {{"tokens", tokens}, {"seed", seed}}), layer, Addressing::by_position, index);
    cache.feed(prompt, 500 - prompt);
    CHECK_EQUAL(cache.size(), std::min(tokens, 500.0));
    return cache.resident;
  };
  std::vector<Positions> smaller(2);
  for (double tokens : {1, 3, 20, 68, 69, 100, 250, 499, 600}) {
    const auto kept = run(tokens, 1, 0, 500), stepped = run(tokens, 1, 0, 300);
    for (std::size_t h = 0; h < 2; ++h) {
      CHECK(kept[h] == stepped[h]);
      CHECK(std::includes(kept[h].begin(), kept[h].end(), smaller[h].begin(), smaller[h].end()));
      if (tokens >= 68) CHECK(kept[h][3] == 3 && kept[h][kept[h].size() - 64] == 436);
    }
    smaller = kept;
  }
  const auto base = run(150, 1, 0, 500);
  CHECK(base[0] != base[1]);
  CHECK(base != run(150, 2, 0, 500));
  CHECK(base != run(150, 1, 1, 500));
  // Between the ends every position is as likely: the mean of 82 of [4, 436) over many seeds.
  double mean = 0;
  for (int seed = 0; seed < 60; ++seed) {
    const auto kept = run(150, seed, 0, 500);
    for (std::size_t i = 4; i < 86; ++i) mean += kept[0][i] / (60.0 * 82);
  }
  CHECK_NEAR(mean, 219.5, 0, 5 * 124.7 / std::sqrt(60.0 * 82));
}

TEST("oracle-mass: no policy of the same size keeps more of the mass to come") {
  const std::uint32_t n = 400;
  const Layer layer(1, n, 8, 43);
  std::mt19937 random(5);
  std::lognormal_distribution<double> heavy(0, 2);
  for (int trial = 0; trial < 5; ++trial) {
    std::vector<double> future(n);
    for (double& mass : future) mass = heavy(random);
    const auto recall = [&](const Positions& kept) {
      double sum = 0;
      for (std::uint32_t p : kept) sum += future[p];
      return sum / std::accumulate(future.begin(), future.end(), 0.0);
    };
    const auto kept = [&](const char* id, const PolicyConfig& c) {
      Cache cache(id, c, layer);
      CHECK(cache.append(n, true, true, future).ok());
      CHECK_EQUAL(cache.size(), entry(id).resident_after(c, n, 0));
      return cache.resident[0];
    };
    for (const auto& [id, c] : {std::pair{"lagkv-official", config("lagkv-official", {{"lag", 32}, {"ratio", 0.25}})},
                                {"lagkv-kvpress", config("lagkv-kvpress", {{"lag", 32}, {"compression_ratio", 0.7}})},
                                {"streaming-llm", config("streaming-llm", {{"recent", 96}})},
                                {"random", config("random", {{"tokens", 100}})}}) {
      const Positions other = kept(id, c);
      const Positions best = kept("oracle-mass", config("oracle-mass", {{"tokens", static_cast<double>(other.size())}}));
      CHECK_EQUAL(best.size(), other.size());
      CHECK(recall(best) >= recall(other));
      // The best possible, exactly: the sum of the largest.
      std::vector<double> sorted = future;
      std::sort(sorted.rbegin(), sorted.rend());
      CHECK_NEAR(recall(best), std::accumulate(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(best.size()), 0.0) / std::accumulate(future.begin(), future.end(), 0.0), 1e-12, 0);
    }
  }
}

TEST("oracle-mass: sinks and recent tokens inside the budget; decode steps drop the least, of equals the last; refuses without the future") {
  const Layer layer(1, 40, 2, 47);
  std::vector<double> future(40, 1.0);
  future[20] = 5;
  future[7] = 0.5;
  Cache cache("oracle-mass", config("oracle-mass", {{"tokens", 10}, {"sink", 2}, {"recent", 3}}), layer);
  CHECK(cache.append(20, true, false, future).ok());
  CHECK_EQUAL(cache.size(), 20);
  CHECK(cache.append(10, true, true, future).ok());
  CHECK((cache.resident[0] == Positions{0, 1, 2, 3, 4, 5, 20, 27, 28, 29}));
  CHECK(cache.append(1, false, false, future).ok());
  CHECK((cache.resident[0] == Positions{0, 1, 2, 3, 4, 5, 20, 28, 29, 30}));

  future[31] = NAN;
  CHECK(cache.append(1, false, false, future).ok());
  CHECK((cache.resident[0] == Positions{0, 1, 2, 3, 4, 5, 20, 29, 30, 31}));
  for (int i = 0; i < 3; ++i) CHECK(cache.append(1, false, false, future).ok());
  CHECK((cache.resident[0] == Positions{0, 1, 2, 3, 4, 5, 20, 32, 33, 34}));

  Cache blind("oracle-mass", config("oracle-mass", {{"tokens", 10}}), layer);
  CHECK(blind.append(10, true, true).ok());
  const Status refused = blind.append(1, false);
  CHECK(!refused.ok() && refused.error().code == "E_POLICY_FUTURE");
}

TEST("every closed form of the resident size equals the machine, prompt and decode") {
  const Layer layer(1, 420, 4, 53);
  const std::vector<double> future(420, 1.0);
  const std::pair<const char*, PolicyConfig> cases[] = {
      {"lagkv-official", config("lagkv-official", {{"lag", 32}, {"ratio", 0.3}})},
      {"lagkv-kvpress", config("lagkv-kvpress", {{"lag", 16}, {"compression_ratio", 0.6}})},
      {"lagkv-kvpress", config("lagkv-kvpress", {{"lag", 16}, {"compression_ratio", 0.9}, {"interval", 9}, {"target_size", 50}})},
      {"lagkv-kvpress", config("lagkv-kvpress", {{"lag", 16}, {"compression_ratio", 0}, {"interval", 7}, {"target_size", 90}})},
      {"streaming-llm", config("streaming-llm", {{"recent", 77}})},
      {"random", config("random", {{"tokens", 90}})},
      {"oracle-mass", config("oracle-mass", {{"tokens", 90}})},
  };
  for (const auto& [id, c] : cases)
    for (std::uint32_t prompt : {1u, 40u, 93u, 200u, 301u}) {
      Cache cache(id, c, layer);
      CHECK(cache.append(prompt, true, true, future).ok());
      for (std::uint32_t decoded = 0;; ++decoded) {
        CHECK_EQUAL(cache.size(), entry(id).resident_after(c, prompt, decoded));
        if (decoded == 110) break;
        CHECK(cache.append(1, false, false, future).ok());
      }
    }
}

TEST("descriptors: presets lie in range, the first one is the default, every retention policy has a closed form") {
  std::size_t seen = 0;
  for (const PolicyEntry& e : policies()) {
    if (e.descriptor.family != Family::retention) continue;
    ++seen;
    const PolicyDescriptor& d = e.descriptor;
    CHECK(e.retention != nullptr && e.resident_after != nullptr);
    CHECK(!d.presets.empty());
    for (const Preset& preset : d.presets) {
      CHECK_EQUAL(preset.values.size(), d.parameters.size());
      for (std::size_t i = 0; i < d.parameters.size(); ++i) {
        CHECK(preset.values[i] >= d.parameters[i].minimum && preset.values[i] <= d.parameters[i].maximum);
        if (&preset == d.presets.data()) CHECK_EQUAL(preset.values[i], d.parameters[i].fallback);
      }
    }
  }
  CHECK(seen >= 5);
}
