// A model's operations under emulation, against fp64 over the same rounded inputs: odd widths, one row, ragged tiles, strides,
// addresses that no chunk fits, values that are not finite or do not fit.
#include <algorithm>
#include <initializer_list>
#include <numeric>

#include "emulated_device.h"
#include "emulated_inputs.h"

using namespace attnscope;

namespace {

/// `count` values of a dtype, with what they are once rounded; `skip` elements lie before them, so that their address fits nothing.
struct Values {
  Values(DType dtype, std::vector<float> from, std::size_t skip = 0) : dtype(dtype), skip(skip), value(std::move(from)), memory((value.size() + skip) * size_of(dtype)) { store(); }
  Values(std::mt19937& random, DType dtype, std::size_t count, float spread = 1, std::size_t skip = 0) : Values(dtype, normal(random, count, spread), skip) {}
  void store() {
    round_in_place(dtype, value);
    from_float(dtype, value.data(), value.size(), data());
  }
  void* data() { return memory.data() + skip * size_of(dtype); }
  /// What the memory holds now.
  std::vector<float> read() {
    std::vector<float> now(value.size());
    to_float(dtype, data(), now.size(), now.data());
    return now;
  }
  static std::vector<float> normal(std::mt19937& random, std::size_t count, float spread) {
    std::vector<float> x(count);
    std::normal_distribution<float> distribution(0, spread);
    for (float& each : x) each = distribution(random);
    return x;
  }

  DType dtype;
  std::size_t skip;
  std::vector<float> value;
  Poisoned<std::byte> memory;
};

constexpr DType all_types[] = {DType::f32, DType::f16, DType::bf16}, halves[] = {DType::f16, DType::bf16};

/// Largest relative error of rounding a normal number.
double rounding_of(DType dtype) { return dtype == DType::f32 ? 0 : dtype == DType::f16 ? 0x1p-11 : 0x1p-8; }
/// Largest finite value, and from where on rounding gives infinity.
double overflow_of(DType dtype) { return dtype == DType::f16 ? 65520 : 0x1.FFp127; }

/// `got` is `expected` but for the arithmetic's error, `slack`, and one rounding to dtype.
void check_rounded(float got, double expected, DType dtype, double slack) {
  if (dtype != DType::f32 && std::fabs(expected) >= overflow_of(dtype)) expected = std::copysign(INFINITY, expected);
  const double smallest = dtype == DType::f16 ? 0x1p-25 : 0;  // half of the smallest subnormal number
  CHECK_NEAR(got, expected, rounding_of(dtype) * 1.0001, slack + smallest);
}

KernelDevice& device() {
  static const std::unique_ptr<KernelDevice> opened = open_emulated_device();
  return *opened;
}

}  // namespace

TEST("embeddings are the table's rows, widened") {
  std::mt19937 random(1);
  for (const DType dtype : all_types)
    for (const std::uint32_t width : {1u, 10u, 64u, 2056u})
      for (const std::uint32_t rows : {1u, 65u}) {
        constexpr std::uint32_t vocabulary = 7;
        Values table(random, dtype, std::size_t{vocabulary} * width);
        std::vector<std::uint32_t> picked(rows);
        for (std::uint32_t& id : picked) id = random() % vocabulary;
        Poisoned<std::uint32_t> ids(picked);
        Poisoned<float> out(std::size_t{rows} * width);
        accept(device().embed({dtype, rows, width, table.data(), ids.data(), out.data()}));
        for (std::uint32_t i = 0; i < rows; ++i)
          for (std::uint32_t c = 0; c < width; ++c) CHECK_EQUAL(out[i * width + c], table.value[picked[i] * width + c]);
      }
}

TEST("RMSNorm: odd and long rows, every precision; a NaN or an infinity stays in its row") {
  std::mt19937 random(2);
  for (const DType dtype : all_types)
    for (const std::uint32_t width : {1u, 10u, 64u, 2056u})
      for (const std::uint32_t rows : {1u, 5u}) {
        Values x(random, DType::f32, std::size_t{rows} * width, 3), weight(random, DType::f32, width);
        const std::uint32_t broken = rows == 1 ? ~0u : 3;
        if (broken < rows) x.value[broken * width] = width == 10 ? INFINITY : NAN, x.store();
        Values out(dtype, std::vector<float>(x.value.size()));
        accept(device().norm({dtype, rows, width, static_cast<float*>(x.data()), static_cast<float*>(weight.data()), 0.25f, out.data()}));
        const std::vector<float> got = out.read();
        for (std::uint32_t i = 0; i < rows; ++i) {
          double sum = 0;
          for (std::uint32_t c = 0; c < width; ++c) sum += static_cast<double>(x.value[i * width + c]) * x.value[i * width + c];
          const double scale = 1 / std::sqrt(sum / width + 0.25);
          for (std::uint32_t c = 0; c < width; ++c) {
            const double expected = weight.value[c] * (x.value[i * width + c] * scale);
            check_rounded(got[i * width + c], expected, dtype, 2e-6 * std::fabs(expected));
          }
          if (i == broken) CHECK(std::isnan(got[i * width]));
        }
      }
}

namespace {

struct Product {
  std::uint32_t rows, in, width;
  std::size_t skip = 0, out_skip = 0;  // elements before x and w, and before out
  bool broken = false;                 // with an infinity in x and a NaN in w
  float spread = 1;
};

void check_product(const Product& p, DType dtype, DType out_dtype, bool add) {
  std::mt19937 random(p.rows + p.in + p.width);
  Values x(random, dtype, std::size_t{p.rows} * p.in, p.spread, p.skip), w(random, dtype, std::size_t{p.width} * p.in, 1, p.skip);
  Values out(random, out_dtype, std::size_t{p.rows} * p.width, 1, p.out_skip);
  if (p.broken) {
    x.value[(p.rows - 1) * p.in] = INFINITY, w.value[p.width * p.in - 1] = NAN;
    x.store(), w.store();
  }
  const std::vector<float> before = out.value;
  MultiplyArgs args{dtype, out_dtype, add, p.rows, p.in, p.width, x.data(), w.data(), out.data(), nullptr};
  CHECK_EQUAL(device().workspace_bytes(args), 0);
  accept(device().multiply(args));
  const std::vector<float> got = out.read();
  for (std::uint32_t i = 0; i < p.rows; ++i)
    for (std::uint32_t o = 0; o < p.width; ++o) {
      double sum = add ? before[i * p.width + o] : 0, size = std::fabs(sum);
      for (std::uint32_t c = 0; c < p.in; ++c) {
        const double term = static_cast<double>(x.value[i * p.in + c]) * w.value[o * p.in + c];
        sum += term, size += std::fabs(term);
      }
      check_rounded(got[i * p.width + o], sum, out_dtype, std::isfinite(size) ? 1e-6 * size : 0);
    }
}

}  // namespace

TEST("products: ragged tiles, odd widths, crooked addresses, onto and over what is there, in 16 bits and 32") {
  for (const Product& p : std::initializer_list<Product>{
           {.rows = 2, .in = 8, .width = 3},
           {.rows = 65, .in = 64, .width = 130},
           {.rows = 129, .in = 10, .width = 131},
           {.rows = 128, .in = 160, .width = 128},   // as many panels as stages and one
           {.rows = 17, .in = 200, .width = 66},
           {.rows = 3, .in = 33, .width = 10},
           {.rows = 9, .in = 64, .width = 16, .skip = 1},
           {.rows = 9, .in = 64, .width = 16, .skip = 8, .out_skip = 1},
       })
    for (const DType dtype : halves) {
      check_product(p, dtype, DType::f32, false);
      check_product(p, dtype, DType::f32, true);
      check_product(p, dtype, dtype, false);
    }
}

TEST("products: more row tiles than a group of blocks has, in a grid of two columns of tiles") {
  check_product({.rows = 2060, .in = 8, .width = 130}, DType::f16, DType::f32, false);
}

TEST("products: an infinity stays in its row, a NaN in its column, and what f16 does not hold becomes infinite") {
  for (const std::uint32_t in : {33u, 40u})
    for (const std::uint32_t rows : {1u, 66u}) check_product({.rows = rows, .in = in, .width = 9, .broken = true}, DType::bf16, DType::f32, false);
  check_product({.rows = 70, .in = 64, .width = 12, .spread = 10000}, DType::f16, DType::f16, false);
  check_product({.rows = 1, .in = 64, .width = 12, .spread = 10000}, DType::f16, DType::f16, false);
}

TEST("products of one row: fewer elements than threads, several turns, outputs that fill no block") {
  for (const Product& p : std::initializer_list<Product>{
           {.rows = 1, .in = 1, .width = 1},
           {.rows = 1, .in = 10, .width = 7},
           {.rows = 1, .in = 64, .width = 5},
           {.rows = 1, .in = 2056, .width = 9},
           {.rows = 1, .in = 4099, .width = 6},
           {.rows = 1, .in = 4104, .width = 4, .skip = 1, .out_skip = 3},
       })
    for (const DType dtype : halves) {
      check_product(p, dtype, DType::f32, false);
      check_product(p, dtype, DType::f32, true);
      check_product(p, dtype, dtype, false);
    }
}

TEST("products that make no sense are refused") {
  float memory[8] = {};
  CHECK(device().multiply({DType::f32, DType::f32, false, 1, 1, 1, memory, memory, memory, nullptr}) != nullptr);
  CHECK(device().multiply({DType::f16, DType::bf16, false, 1, 1, 1, memory, memory, memory, nullptr}) != nullptr);
  CHECK(device().multiply({DType::f16, DType::f16, true, 1, 1, 1, memory, memory, memory, nullptr}) != nullptr);
  CHECK(device().multiply({DType::f16, DType::f32, false, 1, 0, 1, memory, memory, memory, nullptr}) != nullptr);
  CHECK(device().multiply({DType::f16, DType::f32, false, 0, 1, 1, memory, memory, memory, nullptr}) == nullptr);
}

namespace {

struct Rotation {
  std::uint32_t rows, heads, dim;
  bool rotated, by_head = false;
  std::uint32_t gap = 0;  // elements between the rows of `out`
};

void check_rotation(const Rotation& r, DType dtype) {
  std::mt19937 random(r.rows + r.heads + r.dim);
  const std::uint32_t half = r.dim / 2;
  const std::size_t width = std::size_t{r.heads} * r.dim;
  Values x(random, DType::f32, r.rows * width, 20), cosine(DType::f32, std::vector<float>(r.rows * half)), sine(DType::f32, std::vector<float>(r.rows * half));
  // Pairs 0 to 2 of the last head of the last row: an overflow of f16, an infinity and a NaN that are none.
  float* last = x.value.data() + (r.rows - 1) * width + (r.heads - 1) * r.dim;
  last[0] = 70000, last[1] = INFINITY, last[2] = NAN;
  for (std::uint32_t i = 0; i < r.rows; ++i)
    for (std::uint32_t c = 0; c < half; ++c) {
      const float angle = i + 1 == r.rows && c == 0 ? 0 : static_cast<float>(i) / static_cast<float>(c + 1);
      cosine.value[i * half + c] = std::cos(angle), sine.value[i * half + c] = std::sin(angle);
    }
  x.store(), cosine.store(), sine.store();
  const std::uint64_t head_stride = r.by_head ? r.rows * std::uint64_t{r.dim + r.gap} : r.dim, row_stride = r.by_head ? r.dim + r.gap : width + r.gap;
  const std::size_t elements = (r.heads - 1) * head_stride + (r.rows - 1) * row_stride + r.dim;
  Values out(dtype, std::vector<float>(elements, -1));
  Poisoned<std::uint32_t> overflowed(std::vector<std::uint32_t>{5});
  accept(device().rotate({dtype, r.rows, r.heads, r.dim, static_cast<float*>(x.data()), r.rotated ? static_cast<float*>(cosine.data()) : nullptr, static_cast<float*>(sine.data()),
                          {out.data(), head_stride, row_stride}, overflowed.data()}));
  std::vector<float> got = out.read();
  std::size_t written = 0;
  for (std::uint32_t i = 0; i < r.rows; ++i)
    for (std::uint32_t h = 0; h < r.heads; ++h)
      for (std::uint32_t c = 0; c < r.dim; ++c) {
        const float* vector = x.value.data() + i * width + h * r.dim;
        double expected = vector[c], size = 0;
        if (r.rotated) {
          const std::uint32_t pair = c % half;
          const double cos = cosine.value[i * half + pair], sin = sine.value[i * half + pair], a = vector[pair], b = vector[pair + half];
          expected = c < half ? a * cos - b * sin : b * cos + a * sin;
          size = std::fabs(a) + std::fabs(b);
        }
        float& value = got[h * head_stride + i * row_stride + c];
        check_rounded(value, expected, dtype, std::isfinite(size) ? 2e-7 * size : 0);
        value = -1, ++written;
      }
  CHECK_EQUAL(written, r.rows * width);
  CHECK(std::all_of(got.begin(), got.end(), [](float value) { return value == -1; }));  // nothing between the rows
  CHECK_EQUAL(overflowed[0], dtype == DType::f16 ? 6 : 5);
}

}  // namespace

TEST("rotation and rounding: odd heads, strides either way, several blocks a row; finite values that overflow are counted") {
  for (const Rotation& r : std::initializer_list<Rotation>{
           {.rows = 1, .heads = 1, .dim = 10, .rotated = true},
           {.rows = 65, .heads = 3, .dim = 10, .rotated = true, .gap = 3},
           {.rows = 3, .heads = 5, .dim = 128, .rotated = true, .by_head = true, .gap = 8},
           {.rows = 2, .heads = 9, .dim = 64, .rotated = true, .by_head = true},
           {.rows = 65, .heads = 2, .dim = 7, .rotated = false, .by_head = true},
           {.rows = 1, .heads = 3, .dim = 128, .rotated = false, .gap = 1},
       })
    for (const DType dtype : all_types) check_rotation(r, dtype);
  RotateArgs odd{.rows = 1, .head_dim = 3};
  float table[1] = {1};
  std::uint32_t counter = 0;
  odd.x = odd.cosine = odd.sine = table, odd.overflowed = &counter;
  CHECK(device().rotate(odd) != nullptr);
}

TEST("SwiGLU: any count, crooked addresses, far into both tails, infinities and NaN") {
  std::mt19937 random(5);
  for (const DType dtype : halves)
    for (const std::size_t count : {1u, 7u, 8u, 2051u})
      for (const std::size_t skip : {0u, 1u}) {
        Values gate(random, dtype, count, 4, skip), up(random, dtype, count, 2, skip);
        const float special[] = {0, 100, -100, 89, -87, INFINITY, -INFINITY, NAN, 60000};
        for (std::size_t i = 0; i < std::size(special) && i + 8 < count; ++i) gate.value[i + 8] = special[i];
        gate.store();
        const std::vector<float> before = gate.value;
        accept(device().activate({dtype, count, gate.data(), up.data()}));
        const std::vector<float> got = gate.read();
        for (std::size_t i = 0; i < count; ++i) {
          const double x = before[i], expected = x / (1 + std::exp(-x)) * up.value[i];
          check_rounded(got[i], expected, dtype, 1e-30 + 1e-5 * std::fabs(expected));
        }
      }
  std::uint16_t element = 0;
  CHECK(device().activate({DType::f32, 1, &element, &element}) != nullptr);
}

TEST("casts between all precisions equal the engine's, with subnormal numbers, overflow and infinities") {
  std::mt19937 random(6);
  for (const DType from : all_types)
    for (const DType to : all_types)
      for (const std::size_t count : {1u, 8u, 2051u})
        for (const std::size_t skip : {0u, 1u}) {
          Values source(random, from, count, 1, skip);
          const float special[] = {1e-6f, -3e-8f, 65519, 65520, -70000, 3.4e38f, INFINITY, -INFINITY, NAN, -0.0f};
          for (std::size_t i = 0; i < std::size(special) && i < count; ++i) source.value[count - 1 - i] = special[i];
          source.store();
          Values target(to, std::vector<float>(count), skip);
          accept(device().cast({from, to, count, source.data(), target.data()}));
          std::vector<float> expected = source.value;
          round_in_place(to, expected);
          const std::vector<float> got = target.read();
          for (std::size_t i = 0; i < count; ++i) CHECK_EQUAL(got[i], expected[i]);
        }
}

TEST("gathered rows: any width and stride, in any order and twice") {
  std::mt19937 random(7);
  for (const std::size_t width : {1u, 5u, 6u, 20u, 64u, 1040u})
    for (const std::size_t gap : {0u, 2u, 16u}) {
      constexpr std::uint32_t rows = 30;
      const std::size_t stride = width + gap;
      std::vector<std::uint8_t> bytes(rows * stride - gap);
      for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
      std::vector<std::uint32_t> picked(65);
      for (std::uint32_t& row : picked) row = random() % rows;
      Poisoned<std::uint8_t> from(bytes), out(picked.size() * width);
      Poisoned<std::uint32_t> numbers(picked);
      accept(device().gather({static_cast<std::uint32_t>(picked.size()), width, stride, from.data(), numbers.data(), out.data()}));
      for (std::size_t i = 0; i < picked.size(); ++i) CHECK(std::memcmp(out.data() + i * width, bytes.data() + picked[i] * stride, width) == 0);
    }
  accept(device().gather({}));
}

TEST("values that are not finite are counted, onto what was counted before") {
  std::mt19937 random(8);
  for (const std::size_t count : {0u, 1u, 7u, 8u, 4099u})
    for (const std::size_t skip : {0u, 1u}) {
      Values x(random, DType::f32, count, 1e30f, skip);
      std::uint32_t expected = 3;
      for (std::size_t i = 0; i < count; i += 1 + random() % 40) x.value[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY, ++expected;
      x.store();
      Poisoned<std::uint32_t> found(std::vector<std::uint32_t>{3});
      accept(device().count_non_finite({count, static_cast<float*>(x.data()), found.data()}));
      CHECK_EQUAL(found[0], expected);
    }
}

namespace {

void check_moments(std::uint32_t rows, std::uint32_t heads, std::uint32_t dim, bool broken, Worst& worst) {
  std::mt19937 random(rows + heads + dim);
  const std::size_t width = std::size_t{heads} * dim;
  Values x(random, DType::f32, rows * width), pivot(random, DType::f32, width);
  for (std::size_t i = 0; i < x.value.size(); ++i) x.value[i] += pivot.value[i % width] + 0.1f;  // pivots near the mean, not at it
  if (broken) x.value[(rows - 1) * width + 1] = NAN;
  x.store();
  Poisoned<double> sum(std::vector<double>(width, 2)), product(std::vector<double>(width * dim, 3));
  accept(device().moments({rows, heads, dim, static_cast<float*>(x.data()), static_cast<float*>(pivot.data()), sum.data(), product.data()}));
  for (std::uint32_t h = 0; h < heads; ++h)
    for (std::uint32_t a = 0; a < dim; ++a) {
      const auto y = [&](std::uint32_t i, std::uint32_t c) { return static_cast<double>(x.value[i * width + h * dim + c]) - pivot.value[h * dim + c]; };
      double first = 0;
      for (std::uint32_t i = 0; i < rows; ++i) first += y(i, a);
      if (std::isfinite(first)) worst.add(sum[h * dim + a] - 2, first, rows);
      else CHECK(std::isnan(sum[h * dim + a]));
      for (std::uint32_t b = 0; b < dim; ++b) {
        double second = 0;
        for (std::uint32_t i = 0; i < rows; ++i) second += y(i, a) * y(i, b);
        const double got = product[(h * dim + a) * dim + b];
        if (std::isfinite(second)) worst.add(got - 3, second, rows);
        else CHECK(std::isnan(got));
      }
    }
}

}  // namespace

TEST("moments: dims of one square and several, one row, ragged batches, rows split over blocks; a NaN stays in its channel") {
  Worst worst;
  check_moments(1, 1, 10, false, worst);
  check_moments(65, 3, 10, true, worst);
  check_moments(64, 1, 64, false, worst);
  check_moments(70, 2, 65, true, worst);
  check_moments(130, 1, 128, false, worst);
  check_moments(5, 1, 200, false, worst);
  check_moments(600, 1, 8, false, worst);
  std::printf("  largest error: %.1e\n", worst.error);
  CHECK(worst.error < 3e-6);
}

TEST("copies beside the kernels come when they are waited for: by the caller, by a queue, by a queue that waits for another") {
  const std::unique_ptr<KernelDevice> opened = open_emulated_device();
  KernelDevice& gpu = *opened;
  const Event event = gpu.create_event(), other = gpu.create_event();
  std::uint32_t from = 1, to = 0, further = 0;
  accept(gpu.await(event));  // never recorded: has happened
  accept(gpu.upload_in(Queue::upload, &to, &from, sizeof to));
  accept(gpu.record(event, Queue::upload));
  CHECK_EQUAL(to, 0);
  accept(gpu.wait(Queue::download, event));
  accept(gpu.download_in(Queue::download, &further, &to, sizeof to));
  accept(gpu.record(other, Queue::download));
  CHECK_EQUAL(to, 0);
  from = 2;  // too early: the copy has not been waited for
  accept(gpu.wait(Queue::compute, other));
  CHECK_EQUAL(to, 2);
  CHECK_EQUAL(further, 2);
  from = 3;
  accept(gpu.upload_in(Queue::upload, &to, &from, sizeof to));
  accept(gpu.await(event));  // of a point before this copy
  CHECK_EQUAL(to, 2);
  accept(gpu.record(event, Queue::upload));
  accept(gpu.await(event));
  CHECK_EQUAL(to, 3);
  from = 4;
  accept(gpu.upload_in(Queue::compute, &to, &from, sizeof to));
  CHECK_EQUAL(to, 4);
  from = 5;
  accept(gpu.upload_in(Queue::upload, &to, &from, sizeof to));
  accept(gpu.synchronize());
  CHECK_EQUAL(to, 5);
  gpu.release_event(event), gpu.release_event(other);
}
