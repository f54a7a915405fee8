// A model's operations on the CPU device beside the functions of the CPU runner that they stand for, and coverage beside the
// reduction: the same bits, whatever the threads.
#include <cstring>
#include <random>

#include "check.h"
#include "core/reduce.h"
#include "core/rope.h"
#include "host/activations.h"
#include "host/kernels/cpu_device.h"
#include "host/matmul.h"

using namespace attnscope;

namespace {

std::vector<float> draw(std::size_t n, std::uint32_t seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(n);
  for (float& x : values) x = normal(random);
  return values;
}

std::vector<std::uint16_t> halves(DType dtype, const std::vector<float>& values) {
  std::vector<std::uint16_t> bits(values.size());
  from_float(dtype, values.data(), values.size(), bits.data());
  return bits;
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

constexpr std::uint32_t rows = 300, width = 576, wide = 1536, heads = 9, dim = 64;

MultiplyArgs product(DType dtype, DType out_dtype, const void* x, const void* w, void* out) {
  MultiplyArgs args;
  args.dtype = dtype, args.out_dtype = out_dtype;
  args.rows = rows, args.in = width, args.out_width = wide;
  args.x = x, args.w = w, args.out = out;
  return args;
}

/// Query heads in groups, with their log-sum-exp from the dense kernel, and the maxima that reduce() finds.
struct Attention {
  static constexpr std::uint32_t heads = 4, kv_heads = 2, tokens = 1100, cell = 64, cells = (tokens + cell - 1) / cell;
  std::vector<float> q = draw(heads * tokens * dim, 1, 2), k = draw(kv_heads * tokens * dim, 2), v = draw(kv_heads * tokens * dim, 3);
  std::vector<float> out = std::vector<float>(heads * tokens * dim), lse = std::vector<float>(heads * tokens), cell_max = std::vector<float>(heads * cells * cells);
  AttentionArgs args;

  explicit Attention(KernelDevice& device) {
    // Most blocks of keys hold nothing: they are what may be passed over.
    for (std::size_t i = 0; i < k.size(); i += dim)
      for (std::size_t c = 0; c < dim; ++c) {
        if (i / dim % tokens / cell % 4 != 0) k[i + c] = -3;
      }
    for (float& x : q) x += 2;
    args.heads = heads, args.kv_heads = kv_heads, args.head_dim = dim;
    args.queries = args.keys = tokens;
    args.scale = 0.125f;
    args.q = {q.data(), tokens * dim, dim}, args.k = {k.data(), tokens * dim, dim}, args.v = {v.data(), tokens * dim, dim}, args.out = {out.data(), tokens * dim, dim};
    args.lse = lse.data();
    CHECK(device.dense(args) == nullptr);

    std::vector<double> cell_sum(heads * cells * cells), column(heads * tokens), diagonal(heads * tokens);
    std::vector<float> statistics[5];
    for (auto& s : statistics) s.resize(heads * tokens);
    std::vector<std::uint32_t> key(heads * tokens);
    ReduceArgs reduce;
    reduce.attention = args;
    reduce.cell = cell, reduce.cells = cells;
    reduce.cell_sum = cell_sum.data(), reduce.cell_max = cell_max.data(), reduce.column_sum = column.data(), reduce.diagonal_sum = diagonal.data();
    reduce.entropy = statistics[0].data(), reduce.sink_mass = statistics[1].data(), reduce.local_mass = statistics[2].data();
    reduce.previous_mass = statistics[3].data(), reduce.top1_mass = statistics[4].data(), reduce.top1_key = key.data();
    CHECK(device.reduce(reduce) == nullptr);
  }
};

std::vector<std::uint32_t> covered(KernelDevice& device, const Attention& attention, const float* cell_max) {
  const std::size_t each = std::size_t{Attention::heads} * Attention::tokens;
  std::vector<std::uint32_t> all(3 * each);
  CoverageArgs args;
  args.attention = attention.args;
  args.cell = Attention::cell, args.cells = Attention::cells;
  args.cell_max = cell_max;
  args.coverage_90 = all.data(), args.coverage_95 = all.data() + each, args.coverage_99 = all.data() + 2 * each;
  CHECK(device.coverage(args) == nullptr);
  return all;
}

}  // namespace

TEST("norm, activation and product of fp32 rows have the bits of the CPU runner") {
  const auto device = open_cpu_device(2);
  ThreadPool pool(1);
  const std::vector<float> x = draw(rows * width, 1), weight = draw(width, 2), w = draw(wide * width, 3);
  std::vector<float> normed(rows * width), expected(rows * width);
  CHECK(device->norm({DType::f32, rows, width, x.data(), weight.data(), 1e-5f, normed.data()}) == nullptr);
  rms_norm({x.data(), rows, width, width}, weight, 1e-5f, {expected.data(), rows, width, width}, pool);
  CHECK(same(normed, expected));

  std::vector<float> out(rows * wide), sums(rows * wide), added = draw(rows * wide, 4), target = added;
  CHECK(device->multiply(product(DType::f32, DType::f32, x.data(), w.data(), out.data())) == nullptr);
  MatMul(pool).multiply({x.data(), rows, width, width}, {"w", DType::f32, reinterpret_cast<const std::uint8_t*>(w.data()), wide, width}, {sums.data(), rows, wide, wide});
  CHECK(same(out, sums));
  MultiplyArgs onto = product(DType::f32, DType::f32, x.data(), w.data(), added.data());
  onto.add = true;
  CHECK(device->multiply(onto) == nullptr);
  add({target.data(), rows, wide, wide}, {sums.data(), rows, wide, wide}, pool);
  CHECK(same(added, target));

  std::vector<float> gate = draw(rows * wide, 5, 3), silu = gate;
  CHECK(device->activate({DType::f32, gate.size(), gate.data(), out.data()}) == nullptr);
  silu_multiply({silu.data(), rows, wide, wide}, {out.data(), rows, wide, wide}, pool);
  CHECK(same(gate, silu));
}

TEST("rotation by uploaded tables has the bits of the CPU runner") {
  const auto device = open_cpu_device(2);
  const auto frequencies = inverse_frequencies({}, dim);
  CHECK(frequencies.ok());
  constexpr std::uint32_t first = 1234;
  const Rotations rotations = make_rotations(first, rows, frequencies.value());
  std::vector<float> x = draw(rows * heads * dim, 1), out(x.size());
  std::uint32_t overflowed = 0;
  RotateArgs args{DType::f32, rows, heads, dim, x.data(), rotations.cos.data(), rotations.sin.data(), {out.data(), dim, heads * dim}, &overflowed};
  CHECK(device->rotate(args) == nullptr);
  for (std::uint32_t h = 0; h < heads; ++h) apply_rope({x.data() + h * dim, rows, dim, heads * dim}, first, frequencies.value());
  CHECK(same(out, x));
  CHECK_EQUAL(overflowed, 0u);
  args.overflowed = nullptr;
  CHECK(device->rotate(args) != nullptr);
}

TEST("16-bit products round the fp32 sums of widened rows, once") {
  const auto device = open_cpu_device(2);
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const std::vector<std::uint16_t> x = halves(dtype, draw(rows * width, 1)), w = halves(dtype, draw(wide * width, 2));
    std::vector<float> x_wide(x.size()), w_wide(w.size()), sums(rows * wide), exact(rows * wide);
    to_float(dtype, x.data(), x.size(), x_wide.data());
    to_float(dtype, w.data(), w.size(), w_wide.data());
    std::vector<std::uint16_t> rounded(rows * wide);
    CHECK(device->multiply(product(dtype, DType::f32, x.data(), w.data(), sums.data())) == nullptr);
    CHECK(device->multiply(product(dtype, dtype, x.data(), w.data(), rounded.data())) == nullptr);
    CHECK(device->multiply(product(DType::f32, DType::f32, x_wide.data(), w_wide.data(), exact.data())) == nullptr);
    CHECK(same(sums, exact));
    CHECK(same(rounded, halves(dtype, sums)));
  }
}

TEST("moments turn into the mean and covariance of the rows") {
  const auto device = open_cpu_device(2);
  std::vector<float> x = draw(rows * heads * dim, 1), pivot = draw(heads * dim, 2, 10);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += pivot[i % pivot.size()];
  std::vector<double> sum(heads * dim), product(heads * dim * dim);
  // In two calls, as blocks of a prompt come.
  CHECK(device->moments({100, heads, dim, x.data(), pivot.data(), sum.data(), product.data()}) == nullptr);
  CHECK(device->moments({rows - 100, heads, dim, x.data() + 100 * heads * dim, pivot.data(), sum.data(), product.data()}) == nullptr);
  for (std::uint32_t h = 0; h < heads; ++h)
    for (std::uint32_t a = 0; a < dim; ++a) {
      double mean[2] = {}, covariance = 0;
      const std::uint32_t b = (a * 7 + 3) % dim;
      const auto value = [&](std::uint32_t i, std::uint32_t c) { return static_cast<double>(x[(i * heads + h) * dim + c]); };
      for (std::uint32_t i = 0; i < rows; ++i) mean[0] += value(i, a) / rows, mean[1] += value(i, b) / rows;
      for (std::uint32_t i = 0; i < rows; ++i) covariance += (value(i, a) - mean[0]) * (value(i, b) - mean[1]) / rows;
      const double shift_a = sum[h * dim + a] / rows, shift_b = sum[h * dim + b] / rows;
      CHECK_NEAR(static_cast<double>(pivot[h * dim + a]) + shift_a, mean[0], 0, 1e-10);
      CHECK_NEAR(product[(h * dim + a) * dim + b] / rows - shift_a * shift_b, covariance, 0, 1e-10);
      CHECK(product[(h * dim + a) * dim + b] == product[(h * dim + b) * dim + a]);
    }
}

TEST("coverage by itself is that of the reduction, with and without maxima") {
  const auto device = open_cpu_device(2);
  const Attention attention(*device);
  const std::vector<std::uint32_t> got = covered(*device, attention, nullptr);
  Scratch scratch;
  constexpr std::uint32_t tokens = Attention::tokens;
  for (std::uint32_t h = 0; h < Attention::heads; ++h) {
    const KeyPanels keys({attention.k.data() + h / 2 * tokens * dim, tokens, dim, dim});
    HeadReduction whole({tokens, 64, 4, 64}, {0, tokens});
    reduce_rows({{attention.q.data() + h * tokens * dim, tokens, dim, dim}, 0, &keys, 0.125f, {}}, {attention.lse.data() + h * tokens, tokens}, whole, scratch);
    const RowStats& stats = whole.row_stats;
    std::size_t at = h * tokens;
    for (const auto* column : {&stats.coverage_90, &stats.coverage_95, &stats.coverage_99}) {
      CHECK(std::equal(column->begin(), column->end(), got.begin() + static_cast<std::ptrdiff_t>(at)));
      at += Attention::heads * tokens;
    }
  }
  CHECK(same(covered(*device, attention, attention.cell_max.data()), got));
  // The maxima are what lets blocks be passed over: where they say that nothing matters, nothing is looked at.
  const std::vector<float> nothing(attention.cell_max.size(), 0.0f);
  const std::vector<std::uint32_t> unseen = covered(*device, attention, nothing.data());
  bool all_visible = true;
  for (std::size_t i = 0; i < unseen.size(); ++i) all_visible = all_visible && unseen[i] == i % tokens + 1;
  CHECK(all_visible);
}

TEST("one, two and three threads give the same bits") {
  const auto run = [](unsigned threads) {
    const auto device = open_cpu_device(threads);
    std::vector<std::byte> all;
    const auto keep = [&](const auto& part) {
      const auto bytes = std::as_bytes(std::span(part));
      all.insert(all.end(), bytes.begin(), bytes.end());
    };
    const std::vector<float> x = draw(rows * width, 1);
    const std::vector<std::uint16_t> stored = halves(DType::bf16, x), w = halves(DType::bf16, draw(wide * width, 2));
    std::vector<float> sums(rows * wide);
    CHECK(device->multiply(product(DType::bf16, DType::f32, stored.data(), w.data(), sums.data())) == nullptr);
    keep(sums);
    std::vector<std::uint16_t> normed(rows * width);
    CHECK(device->norm({DType::bf16, rows, width, x.data(), x.data(), 1e-6f, normed.data()}) == nullptr);
    keep(normed);
    std::vector<double> sum(heads * dim), products(heads * dim * dim);
    CHECK(device->moments({rows, heads, dim, x.data(), x.data(), sum.data(), products.data()}) == nullptr);
    keep(sum), keep(products);
    const Attention attention(*device);
    keep(covered(*device, attention, attention.cell_max.data()));
    return all;
  };
  const std::vector<std::byte> one = run(1);
  for (const unsigned threads : {2u, 3u}) CHECK(same(one, run(threads)));
}

TEST("counters are added to, whatever the threads find") {
  for (const unsigned threads : {1u, 3u}) {
    const auto device = open_cpu_device(threads);
    std::vector<float> x = draw(100000, 1);
    for (std::size_t i = 0; i < x.size(); i += 1000) x[i] = i % 2000 == 0 ? NAN : -INFINITY;
    std::uint32_t found = 5;
    CHECK(device->count_non_finite({x.size(), x.data(), &found}) == nullptr);
    CHECK_EQUAL(found, 105u);
    for (float& value : x) value = std::isfinite(value) ? value : 70000.0f;
    std::vector<std::uint16_t> out(x.size());
    std::uint32_t overflowed = 7;
    const RotateArgs args{DType::f16, 1000, 1, 100, x.data(), nullptr, nullptr, {out.data(), 0, 100}, &overflowed};
    CHECK(device->rotate(args) == nullptr);
    CHECK_EQUAL(overflowed, 107u);
  }
}
