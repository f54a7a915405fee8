// Elements of any precision that lie side by side, as fp32 and eight at a time: what the operations are made of that no matrix
// product is in.
#pragma once
#include "channels.h"

namespace attnscope::gpu {

/// Elements [first, first + 8) of the `count` at `data`, zeros from count on. `chunks`: data is a multiple of 16 bytes.
template <class T>
ATTNSCOPE_DEVICE void load_eight(float (&x)[chunk_elements], const T* data, std::uint64_t first, std::uint64_t count, bool chunks) {
  if (!chunks || first + chunk_elements > count) {
    for (unsigned e = 0; e < chunk_elements; ++e) x[e] = first + e < count ? to_float(data[first + e]) : 0;
  } else if constexpr (sizeof(T) == 2) {
    to_channels<T>(x, *reinterpret_cast<const Chunk*>(data + first));
  } else {
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
      const Chunk chunk = *reinterpret_cast<const Chunk*>(data + first + 4 * half);
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) x[4 * half + e] = float_of_bits(chunk.word[e]);
    }
  }
}

/// The other way, rounded to T; nothing is written from count on.
template <class T>
ATTNSCOPE_DEVICE void store_eight(T* data, const float (&x)[chunk_elements], std::uint64_t first, std::uint64_t count, bool chunks) {
  if (!chunks || first + chunk_elements > count) {
    for (unsigned e = 0; e < chunk_elements; ++e)
      if (first + e < count) data[first + e] = from_float<T>(x[e]);
  } else if constexpr (sizeof(T) == 2) {
    Chunk chunk;
#pragma unroll
    for (unsigned w = 0; w < 4; ++w) chunk.word[w] = pack<T>(x[2 * w], x[2 * w + 1]);
    *reinterpret_cast<Chunk*>(data + first) = chunk;
  } else {
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
      Chunk chunk;
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) chunk.word[e] = float_bits(x[4 * half + e]);
      *reinterpret_cast<Chunk*>(data + first + 4 * half) = chunk;
    }
  }
}

/// Whether rows of `width` elements of 16 or 32 bits, one after the other from `data`, can all be read in chunks.
inline bool rows_in_chunks(const void* data, std::uint64_t width) {
  return reinterpret_cast<std::uintptr_t>(data) % sizeof(Chunk) == 0 && width % chunk_elements == 0;
}

ATTNSCOPE_DEVICE bool is_finite(float x) { return (float_bits(x) & 0x7F800000u) != 0x7F800000u; }

/// Adds the counts of a warp's lanes to a counter that is rarely touched.
ATTNSCOPE_DEVICE void count_in(std::uint32_t* counter, std::uint32_t found) {
  found = warp_sum(found);
  if (found > 0 && lane_index() == 0) atomic_add(counter, found);
}

/// Calls body(T{}) for 16-bit elements.
template <class Body>
Outcome for_half(DType dtype, Body body) {
  if (dtype == DType::bf16) return body(Bf16{});
  if (dtype == DType::f16) return body(F16{});
  return "E_KERNEL_DTYPE CUDA kernels take bf16 or f16; f32 runs on the CPU";
}
/// Calls body(T{}) for elements of any precision.
template <class Body>
Outcome for_element(DType dtype, Body body) {
  return dtype == DType::f32 ? body(float{}) : for_half(dtype, body);
}

}  // namespace attnscope::gpu
