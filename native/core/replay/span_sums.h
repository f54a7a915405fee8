// Sums of runs of p in fp64: shares like 1 - 1e-9 and masses without sinks survive subtraction.
#pragma once
#include <cstddef>

#include "core/simd.h"

namespace attnscope {

using f64x4 = double __attribute__((vector_size(32)));
using f32x4 = float __attribute__((vector_size(16)));

ATTNSCOPE_INLINE f64x4 load_widened(const float* p) {
  f32x4 v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, f64x4);
}
ATTNSCOPE_INLINE double horizontal_sum64(f64x4 v) { return (v[0] + v[2]) + (v[1] + v[3]); }

/// Sum of p[begin, end). Eight values at a time in two chains; short runs, the usual ones of scattered keys, one by one.
inline double sum_run(const float* p, std::size_t begin, std::size_t end) {
  double sum = 0;
  if (end - begin >= 16) {
    f64x4 a{}, b{}, c{}, d{};
    for (; begin + 16 <= end; begin += 16) {
      a += load_widened(p + begin);
      b += load_widened(p + begin + 4);
      c += load_widened(p + begin + 8);
      d += load_widened(p + begin + 12);
    }
    sum = horizontal_sum64((a + b) + (c + d));
  }
  for (; begin < end; ++begin) sum += p[begin];
  return sum;
}

}  // namespace attnscope
