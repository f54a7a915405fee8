#include <cmath>
#include <cstdio>
#include <limits>

#include "check.h"
#include "core/simd.h"

using namespace attnscope;

TEST("exp is within 2 ulp of libm from -87 to 88") {
  double worst = 0;
  for (double x = -87; x <= 88; x += 0.00013) {
    const auto input = static_cast<float>(x);
    const float got = simd::exp(simd::splat(input))[3];
    const double exact = std::exp(static_cast<double>(input));
    const auto rounded = static_cast<float>(exact);
    const double ulp = static_cast<double>(std::nextafter(rounded, INFINITY)) - rounded;
    worst = std::max(worst, std::fabs(got - exact) / ulp);
  }
  std::printf("     largest error %.2f ulp\n", worst);
  CHECK(worst < 2);
}

TEST("exp of masked scores is 0 and NaN stays NaN") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const simd::f32x8 e = simd::exp(simd::f32x8{-infinity, -87.5f, -1e30f, 0.0f, std::nanf(""), 1.0f, -87.0f, -0.0f});
  CHECK_EQUAL(e[0], 0);
  CHECK_EQUAL(e[1], 0);
  CHECK_EQUAL(e[2], 0);
  CHECK_EQUAL(e[3], 1);
  CHECK(std::isnan(e[4]));
  CHECK_NEAR(e[5], std::exp(1.0), 1e-7, 0);
  CHECK(e[6] > 0);
  CHECK_EQUAL(e[7], 1);
}

TEST("any, max and the horizontal operations see every lane") {
  for (int lane = 0; lane < 8; ++lane) {
    simd::f32x8 v = simd::splat(-1.0f);
    v[lane] = 5;
    CHECK(simd::any(v > simd::splat(0.0f)));
    CHECK_EQUAL(simd::horizontal_max(v), 5);
    CHECK_EQUAL(simd::horizontal_sum(v), -2);
    CHECK_EQUAL(simd::max(v, simd::splat(2.0f))[lane], 5);
    CHECK_EQUAL(simd::max(v, simd::splat(2.0f))[(lane + 1) % 8], 2);
  }
  CHECK(!simd::any(simd::splat(-1.0f) > simd::splat(0.0f)));
}
