// Eight floats at a time through the vector extensions of GCC and Clang: one AVX2 register natively, two v128 in
// WebAssembly. nvcc does not know these types: include this from .cpp files and from headers that only they include.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // 32-byte vectors without AVX: everything here is inlined, no ABI is involved
#endif

#define ATTNSCOPE_INLINE inline __attribute__((always_inline))

namespace attnscope::simd {

inline constexpr std::size_t lanes = 8;
using f32x8 = float __attribute__((vector_size(32)));
using i32x8 = std::int32_t __attribute__((vector_size(32)));

ATTNSCOPE_INLINE f32x8 splat(float x) { return f32x8{x, x, x, x, x, x, x, x}; }
ATTNSCOPE_INLINE i32x8 splat(std::int32_t x) { return i32x8{x, x, x, x, x, x, x, x}; }

// Unaligned by design: diagonals and windows start anywhere.
ATTNSCOPE_INLINE f32x8 load(const float* p) {
  f32x8 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
ATTNSCOPE_INLINE void store(float* p, f32x8 v) { std::memcpy(p, &v, sizeof v); }

ATTNSCOPE_INLINE i32x8 as_int(f32x8 v) { return (i32x8)v; }
ATTNSCOPE_INLINE f32x8 as_float(i32x8 v) { return (f32x8)v; }

/// a > b ? a : b per lane; b where either is NaN.
ATTNSCOPE_INLINE f32x8 max(f32x8 a, f32x8 b) {
#if defined(__AVX__)
  return (f32x8)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}

/// Whether any lane of a comparison's result is set.
ATTNSCOPE_INLINE bool any(i32x8 mask) {
#if defined(__AVX__)
  return _mm256_movemask_ps((__m256)(f32x8)mask) != 0;
#else
  using i64x4 = std::int64_t __attribute__((vector_size(32)));
  const i64x4 m = (i64x4)mask;
  return ((m[0] | m[1]) | (m[2] | m[3])) != 0;
#endif
}

ATTNSCOPE_INLINE float horizontal_sum(f32x8 v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}
ATTNSCOPE_INLINE float horizontal_max(f32x8 v) {
  float m = v[0];
  for (std::size_t i = 1; i < lanes; ++i) m = v[i] > m ? v[i] : m;
  return m;
}

/// Below this exp() returns 0: exp(-87) = 1.6e-38 is the last result before fp32 turns subnormal.
inline constexpr float exp_floor = -87.0f;

/// e^x for x <= 88 with an error below 2 ulp; 0 for x < exp_floor (-infinity included), NaN for NaN.
/// x = n ln2 + r with |r| <= ln2/2; e^r = 1 + r + r^2 q(r), q of degree 4 by minimax (3e-9 relative before rounding).
/// n is taken from the low bits of x/ln2 + 1.5*2^23, where a float's unit is 1.
ATTNSCOPE_INLINE f32x8 exp(f32x8 x) {
  constexpr float shifter = 12582912.0f;
  const f32x8 clamped = max(splat(exp_floor), x);  // NaN stays: max returns its second operand
  const f32x8 shifted = clamped * splat(1.44269504f) + splat(shifter);
  const f32x8 n = shifted - splat(shifter);
  f32x8 r = clamped - n * splat(0.693145752f);  // high part of ln2: 15 bits, so the product is exact
  r = r - n * splat(1.42860677e-6f);
  f32x8 q = splat(0x1.6a23cep-10f);
  q = q * r + splat(0x1.123a20p-7f);
  q = q * r + splat(0x1.5558f2p-5f);
  q = q * r + splat(0x1.555492p-3f);
  q = q * r + splat(0x1.fffffcp-2f);
  const f32x8 e = (q * (r * r) + r) + splat(1.0f);
  const f32x8 power = as_float((as_int(shifted) << 23) + splat(std::int32_t{0x3F800000}));
  const i32x8 underflow = x < splat(exp_floor);
  return as_float(as_int(e * power) & ~underflow);
}

}  // namespace attnscope::simd
