// What builds the indices of KV policies, under emulation: LagKV scores against the policy engine, SimHash codes against fp64
// products, bucket sort against std::stable_sort.
#include <algorithm>
#include <array>
#include <numeric>

#include "core/policy/lag_score.h"
#include "emulated_device.h"
#include "emulated_inputs.h"

using namespace attnscope;

namespace {

struct LagCase {
  DType dtype;
  std::uint32_t dim, kv_heads, tokens, sink, lag;
  float value_weight = 1;
};

using Spoil = void (*)(Vectors& k, Vectors& v, std::uint32_t sink, std::uint32_t lag, std::uint32_t dim);

void check_lag(const LagCase& c, Spoil spoil, Worst& worst) {
  std::mt19937 random(c.tokens + c.lag);
  Vectors k(random, c.dtype, c.kv_heads, c.tokens, c.dim, true), v(random, c.dtype, c.kv_heads, c.tokens, c.dim);
  if (spoil != nullptr) {
    spoil(k, v, c.sink, c.lag, c.dim);
    k.store(), v.store();
  }
  LagArgs args{.dtype = c.dtype, .kv_heads = c.kv_heads, .head_dim = c.dim, .tokens = c.tokens, .sink = c.sink, .lag = c.lag, .value_weight = c.value_weight, .k = k.tensor(), .v = v.tensor()};
  const std::uint32_t partitions = args.partitions();
  Poisoned<float> score(std::size_t{c.kv_heads} * partitions * c.lag);
  args.score = score.data();
  accept(open_emulated_device()->lag_score(args));
  std::vector<float> low(c.dim), key(c.lag), value(c.lag), expected(c.lag);
  std::vector<double> scale(c.dim);
  for (std::uint32_t h = 0; h < c.kv_heads; ++h)
    for (std::uint32_t p = 0; p < partitions; ++p) {
      const std::uint32_t first = c.sink + p * c.lag;
      const auto deviations = [&](const Vectors& x, std::size_t stride, std::span<float> out) {
        lag_deviation({x.row(h, first), c.lag, c.dim, stride}, {x.row(h, first + c.lag), c.lag, c.dim, stride}, low, scale, out);
      };
      deviations(k, std::size_t{c.kv_heads} * c.dim, key);
      deviations(v, c.dim, value);
      lag_partition_score(key, value, {c.sink, c.lag, c.value_weight, LagArithmetic::fp32}, expected);
      for (std::uint32_t i = 0; i < c.lag; ++i) {
        const float got = score[(std::size_t{h} * partitions + p) * c.lag + i];
        CHECK_EQUAL(std::isnan(got), std::isnan(expected[i]));
        if (!std::isnan(expected[i])) worst.add(got, expected[i], 1e-6);
      }
    }
}

}  // namespace

TEST("LagKV scores: partitions, dims, and what constant channels, NaN and infinity do") {
  Worst worst;
  check_lag({DType::bf16, 128, 2, 4 + 3 * 16 + 5, 4, 16}, nullptr, worst);
  check_lag({DType::f16, 64, 1, 2 * 100, 0, 100, 0.5f}, nullptr, worst);
  check_lag({DType::f16, 20, 1, 3 + 4 * 7, 3, 7}, nullptr, worst);
  check_lag({DType::f16, 96, 1, 300, 10, 145}, nullptr, worst);
  check_lag({DType::f16, 64, 1, 15, 0, 8}, nullptr, worst);  // no full partition has one after it
  check_lag({DType::bf16, 64, 1, 2 + 4 * 10, 2, 10}, [](Vectors& k, Vectors& v, std::uint32_t sink, std::uint32_t lag, std::uint32_t dim) {
    for (std::uint32_t i = 0; i < lag; ++i)
      for (std::uint32_t c = 0; c < dim; ++c) {
        if (c < 5) k.row(0, sink + lag + i)[c] = 0.25f;                       // channels that say nothing
        v.row(0, sink + 2 * lag + i)[c] = c < dim - 1 ? 1.0f : v.row(0, 0)[c];  // one channel is left: uniform
      }
    k.row(0, sink + 3)[7] = NAN;                    // a token that is lost
    k.row(0, sink + 1)[2] = INFINITY;               // in a channel that is left out: lost too
    k.row(0, sink + 2 * lag)[9] = NAN;              // a bound that starts as NaN
    k.row(0, sink + 2 * lag + 1)[11] = NAN;         // and one that NaN does not replace
    v.row(0, sink + 3 * lag + 4)[8] = INFINITY;     // a range that is not finite
  }, worst);
  std::printf("  largest error %.1e\n", worst.error);
  CHECK(worst.error < 1e-5);
}

namespace {

void check_hash(DType dtype, std::uint32_t heads, std::uint32_t dim, std::uint32_t tokens, std::uint32_t bits, std::uint32_t tables, bool centred, std::size_t& near_zero) {
  std::mt19937 random(tokens + bits * 100 + tables);
  Vectors x(random, dtype, heads, tokens, dim, centred), w(random, dtype, 1, std::size_t{tables} * bits, dim);
  std::vector<float> centres(std::size_t{heads} * dim);
  std::normal_distribution<float> normal(0, 0.3f);
  for (float& c : centres) c = normal(random);
  const Poisoned<float> centre(centres);
  Poisoned<std::uint16_t> codes(std::size_t{heads} * tables * tokens);
  accept(open_emulated_device()->hash({.dtype = dtype, .heads = heads, .head_dim = dim, .tokens = tokens, .bits = bits, .tables = tables, .x = x.tensor(), .projection = w.tensor().data,
                                       .centre = centred ? centre.data() : nullptr, .codes = codes.data()}));
  for (std::uint32_t h = 0; h < heads; ++h)
    for (std::uint32_t t = 0; t < tables; ++t)
      for (std::uint32_t i = 0; i < tokens; ++i) {
        const std::uint32_t code = codes[(std::size_t{h} * tables + t) * tokens + i];
        CHECK_EQUAL(code >> bits, 0);
        for (std::uint32_t j = 0; j < bits; ++j) {
          const float* column = w.row(0, std::size_t{t} * bits + j);
          const double product = dot(x.row(h, i), column, dim) - (centred ? dot(centres.data() + h * dim, column, dim) : 0);
          if (std::fabs(product) < 1e-4) ++near_zero;
          else CHECK_EQUAL(code >> j & 1, product > 0);
        }
      }
}

}  // namespace

TEST("SimHash codes: bits and tables that end inside words and tiles, centred and not") {
  std::size_t near_zero = 0;
  check_hash(DType::bf16, 1, 128, 257, 10, 7, true, near_zero);
  check_hash(DType::f16, 2, 64, 31, 15, 9, false, near_zero);
  check_hash(DType::f16, 1, 96, 256, 1, 65, false, near_zero);
  check_hash(DType::bf16, 3, 20, 1, 7, 40, true, near_zero);
  check_hash(DType::f16, 1, 64, 600, 8, 8, true, near_zero);
  CHECK(near_zero < 100);
}

TEST("bucket sort: ids ascend within a bucket; one to eight warps a table") {
  std::mt19937 random(9);
  for (const auto& [tokens, bits, tables] : {std::array<std::uint32_t, 3>{1, 1, 1}, {31, 3, 2}, {1000, 10, 3}, {777, 0, 1}, {500, 13, 2}, {300, 14, 1}, {200, 15, 1}, {2049, 4, 2}}) {
    std::vector<std::uint16_t> code(std::size_t{tables} * tokens);
    for (auto& c : code) c = static_cast<std::uint16_t>((random() % 3 == 0 ? random() : random() % 3) & ((1u << bits) - 1));
    const Poisoned<std::uint16_t> codes(code);
    const std::size_t starts = (std::size_t{1} << bits) + 1;
    Poisoned<std::uint32_t> ids(std::size_t{tables} * tokens), start(tables * starts);
    accept(open_emulated_device()->sort_buckets({codes.data(), tables, tokens, bits, ids.data(), start.data()}));
    for (std::uint32_t t = 0; t < tables; ++t) {
      const std::uint16_t* of_table = code.data() + std::size_t{t} * tokens;
      std::vector<std::uint32_t> order(tokens);
      std::iota(order.begin(), order.end(), 0u);
      std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return of_table[a] < of_table[b]; });
      CHECK(std::equal(order.begin(), order.end(), ids.data() + std::size_t{t} * tokens));
      std::uint32_t below = 0;
      for (std::uint32_t b = 0; b < starts; ++b) {
        while (below < tokens && of_table[order[below]] < b) ++below;
        CHECK_EQUAL(start[t * starts + b], below);
      }
    }
  }
}
