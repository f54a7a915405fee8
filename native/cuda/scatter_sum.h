// Sums over lanes of many values at once: at each step half of the values go to the neighbour, so that N values over N lanes
// cost N - 1 exchanges instead of N log N.
#pragma once
#include "core/hd.h"
#include "device.h"

namespace attnscope::gpu {

/// values[i], i < N, summed over the lanes that differ in the bits High, High / 2, ..., Low, and spread over them. While the
/// number of values is even a step splits it; afterwards the lanes of a pair keep the same. On return values[0, kept) hold the
/// sums of values [first, first + kept): `first` is returned, kept is scattered_count(N, steps).
template <unsigned High, unsigned Low, unsigned N, unsigned Size>
ATTNSCOPE_DEVICE unsigned scatter_sum(float (&values)[Size]) {
  static_assert(N <= Size && Low > 0);
  if constexpr (High < Low) {
    return 0;
  } else if constexpr (N % 2 == 0) {
    constexpr unsigned half = N / 2;
    const bool upper = (lane_index() & High) != 0;
#pragma unroll
    for (unsigned i = 0; i < half; ++i) {
      const float send = upper ? values[i] : values[i + half], keep = upper ? values[i + half] : values[i];
      values[i] = keep + shuffle_xor(send, High);
    }
    return (upper ? half : 0) + scatter_sum<High / 2, Low, half>(values);
  } else {
#pragma unroll
    for (unsigned i = 0; i < N; ++i) values[i] += shuffle_xor(values[i], High);
    return scatter_sum<High / 2, Low, N>(values);
  }
}

/// How many of n values a lane keeps after `steps` steps.
ATTNSCOPE_HD constexpr unsigned scattered_count(unsigned n, unsigned steps) {
  for (unsigned s = 0; s < steps; ++s) n = n % 2 == 0 ? n / 2 : n;
  return n;
}

}  // namespace attnscope::gpu
