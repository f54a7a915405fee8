#include "core/dtype.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "check.h"

using namespace attnscope;

namespace {

double value_of(DType type, unsigned bits) {
  const int fraction_bits = type == DType::f16 ? 10 : 7, bias = type == DType::f16 ? 15 : 127;
  const unsigned exponent_mask = type == DType::f16 ? 31 : 255;
  const unsigned fraction = bits & ((1u << fraction_bits) - 1), exponent = (bits >> fraction_bits) & exponent_mask;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == exponent_mask) return fraction ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1u << fraction_bits), static_cast<int>(exponent) - bias - fraction_bits);
}

std::uint16_t encode(DType type, float x) {
  std::uint16_t bits = 0;
  from_float(type, &x, 1, &bits);
  return bits;
}

}  // namespace

TEST("all 65,536 patterns of both types decode by definition and survive the way back") {
  for (DType type : {DType::f16, DType::bf16})
    for (unsigned bits = 0; bits < 65536; ++bits) {
      const auto stored = static_cast<std::uint16_t>(bits);
      float x = 0;
      to_float(type, &stored, 1, &x);
      const double expected = value_of(type, bits);
      CHECK_EQUAL(x, expected);
      if (std::isnan(expected)) {
        const std::uint16_t back = encode(type, x);
        CHECK(std::isnan(value_of(type, back)));
        CHECK_EQUAL(back >> 15, bits >> 15);
      } else {
        CHECK_EQUAL(std::signbit(x), bits >> 15);
        CHECK_EQUAL(encode(type, x), bits);
      }
    }
}

// Every boundary between neighbours: exactly half way goes to even, a hair to either side goes to the nearer one.
TEST("rounding is to nearest, ties to even, at every boundary") {
  for (DType type : {DType::f16, DType::bf16}) {
    const unsigned infinity = type == DType::f16 ? 0x7C00 : 0x7F80;
    for (unsigned bits = 0; bits + 1 < infinity; ++bits) {
      const double low = value_of(type, bits), high = value_of(type, bits + 1);
      const auto middle = static_cast<float>((low + high) / 2);
      CHECK_EQUAL(encode(type, middle), bits % 2 == 0 ? bits : bits + 1);
      CHECK_EQUAL(encode(type, std::nextafter(middle, 0.0f)), bits);
      CHECK_EQUAL(encode(type, std::nextafter(middle, INFINITY)), bits + 1);
      CHECK_EQUAL(encode(type, -middle), 0x8000u | (bits % 2 == 0 ? bits : bits + 1));
    }
  }
}

TEST("finite values that become infinite are counted, infinities and NaN are not") {
  const float values[] = {65519.9f, 65520.0f, -70000.0f, 1e30f, INFINITY, std::nanf(""), 3.4e38f, 0.0f};
  std::uint16_t out[8];
  CHECK_EQUAL(from_float(DType::f16, values, 8, out), 4);
  CHECK_EQUAL(out[0], 0x7BFF);
  CHECK_EQUAL(out[1], 0x7C00);
  CHECK_EQUAL(out[2], 0xFC00);
  CHECK_EQUAL(from_float(DType::bf16, values, 8, out), 1);  // 3.4e38 lies above the last half-way point of bf16
}

TEST("rounding in place equals storing and loading") {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 1000);
  for (DType type : {DType::f32, DType::f16, DType::bf16}) {
    std::vector<float> values(1001), stored_back(1001);
    for (float& x : values) x = normal(random) * std::ldexp(1.0f, static_cast<int>(random() % 40) - 30);
    values[5] = 1e9f;
    std::vector<float> original = values, raw(1001);
    const std::size_t overflows = from_float(type, original.data(), original.size(), raw.data());
    to_float(type, raw.data(), values.size(), stored_back.data());
    CHECK_EQUAL(round_in_place(type, values), overflows);
    for (std::size_t i = 0; i < values.size(); ++i) CHECK_EQUAL(values[i], stored_back[i]);
  }
}
