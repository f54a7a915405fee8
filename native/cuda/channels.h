// Rows of 16-bit vectors read straight from global memory, eight channels a lane.
#pragma once
#include "mma_tile.h"

namespace attnscope::gpu {

/// Channels [8 chunk, 8 chunk + 8) of a row as they lie in memory, zeros from dim on.
ATTNSCOPE_DEVICE Chunk load_channels(const RowSource& source, std::uint64_t row, unsigned chunk) {
  const std::uint16_t* vector = source.data + row * source.row_stride;
  const unsigned first = chunk * chunk_elements;
  if (source.whole_chunks) return first < source.dim ? *reinterpret_cast<const Chunk*>(vector + first) : Chunk{};
  Chunk result;
#pragma unroll
  for (unsigned w = 0; w < 4; ++w) {
    const std::uint32_t low = first + 2 * w < source.dim ? vector[first + 2 * w] : 0;
    const std::uint32_t high = first + 2 * w + 1 < source.dim ? vector[first + 2 * w + 1] : 0;
    result.word[w] = low | high << 16;
  }
  return result;
}

template <class T>
ATTNSCOPE_DEVICE void to_channels(float (&x)[chunk_elements], const Chunk& chunk) {
#pragma unroll
  for (unsigned w = 0; w < 4; ++w) {
    x[2 * w] = to_float(T{static_cast<std::uint16_t>(chunk.word[w])});
    x[2 * w + 1] = to_float(T{static_cast<std::uint16_t>(chunk.word[w] >> 16)});
  }
}

/// Calls body(T{}, LaneTag<lanes>{}) with how many lanes share a row: 8 up to head_dim 64, 16 up to 128.
template <unsigned Lanes> struct LaneTag { static constexpr unsigned value = Lanes; };
template <class Body>
Outcome for_lanes(DType dtype, std::uint32_t head_dim, Body body) {
  return for_instance(dtype, head_dim, [&](auto element, auto dim) -> Outcome { return body(element, LaneTag<(decltype(dim)::value > 64 ? 16 : 8)>{}); });
}

}  // namespace attnscope::gpu
