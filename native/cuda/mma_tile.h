// Rows of 16-bit vectors in shared memory as matrix instructions read them, and products of 16-row tiles with 64 of them.
#pragma once
#include "core/hd.h"
#include "device.h"
#include "host/kernels/kernel_device.h"

namespace attnscope::gpu {

/// Keys of a tile, the width of every product with keys.
inline constexpr unsigned tile_keys = 64;

/// Rows of Dim elements in chunks of 16 bytes, placed so that the eight rows of an 8 x 8 matrix lie in different banks: chunk
/// c of row r goes where c xor r would, within eight chunks; with rows of 12 chunks (Dim 96), which start in two alternating
/// halves of the banks, within four and by r / 2.
template <unsigned Dim>
struct TileLayout {
  static_assert(Dim % 32 == 0);
  static constexpr unsigned chunks = Dim / chunk_elements;
  ATTNSCOPE_HD static constexpr unsigned chunk_place(unsigned row, unsigned chunk) {
    const unsigned flipped = chunks % 8 == 0 ? chunk ^ (row & 7) : chunk ^ ((row >> 1) & 3);
    return row * chunks + flipped;
  }
  static constexpr std::size_t bytes(unsigned rows) { return std::size_t{rows} * chunks * sizeof(Chunk); }
};

/// How rows lie in global memory; `whole_chunks`: base, strides and dim are multiples of 16 bytes, so that rows are copied in chunks.
struct RowSource {
  const std::uint16_t* data = nullptr;
  std::uint64_t row_stride = 0;
  std::uint32_t dim = 0;
  bool whole_chunks = false;
};

/// Starts copying `rows` rows to shared memory, zeros from dim on and where `row_of` answers a row at or past `end`.
/// Complete after wait_copies (or at once, for rows that are not whole chunks) and a barrier.
template <unsigned Dim, class RowOf>
ATTNSCOPE_DEVICE void copy_rows(Chunk* to, const RowSource& source, unsigned rows, std::uint32_t end, RowOf row_of) {
  using Layout = TileLayout<Dim>;
  for (unsigned i = thread_index(); i < rows * Layout::chunks; i += block_threads()) {
    const unsigned row = i / Layout::chunks, chunk = i % Layout::chunks;
    const std::uint32_t from = row_of(row);
    const bool inside = from < end;
    const std::uint16_t* vector = source.data + (inside ? from : 0) * source.row_stride;
    Chunk* place = to + Layout::chunk_place(row, chunk);
    const unsigned first = chunk * chunk_elements;
    if (source.whole_chunks) {
      const bool valid = inside && first < source.dim;
      copy_async(place, vector + (valid ? first : 0), valid);
    } else {
      auto* element = reinterpret_cast<std::uint16_t*>(place);
      for (unsigned e = 0; e < chunk_elements; ++e) element[e] = inside && first + e < source.dim ? vector[first + e] : std::uint16_t{0};
    }
  }
}

/// The part of a thread in copying `Rows` rows by a block of `Threads` where these divide well and rows are whole chunks: one chunk of
/// every step-th row, so that a channel and two places serve all of its copies.
template <unsigned Dim, unsigned Rows, unsigned Threads>
struct CopyShare {
  using Layout = TileLayout<Dim>;
  static constexpr unsigned step = Threads / Layout::chunks, copies = step > 0 ? Rows / step : 0;
  static constexpr bool exists = Threads % Layout::chunks == 0 && step % 4 == 0 && copies % 4 == 0;
  unsigned row;  // of its first copy
  bool valid;    // whether its channel is one of the rows'
  const std::uint16_t* channel;
  Chunk *even, *odd;  // places repeat every eight rows
  ATTNSCOPE_DEVICE CopyShare(Chunk* to, const RowSource& source) : row(thread_index() / Layout::chunks) {
    const unsigned chunk = thread_index() % Layout::chunks;
    valid = chunk * chunk_elements < source.dim;
    channel = source.data + (valid ? chunk * chunk_elements : 0);
    even = to + Layout::chunk_place(row, chunk), odd = to + Layout::chunk_place(row + step, chunk);
  }
  ATTNSCOPE_DEVICE Chunk* place(unsigned i) const { return (i % 2 == 0 ? even : odd) + i / 2 * 2 * step * Layout::chunks; }
};

/// copy_rows for rows first, first + 1, ...
template <unsigned Dim, unsigned Rows, unsigned Threads>
ATTNSCOPE_DEVICE void copy_consecutive(Chunk* to, const RowSource& source, std::uint32_t first, std::uint32_t end) {
  using Share = CopyShare<Dim, Rows, Threads>;
  if constexpr (Share::exists) {
    if (source.whole_chunks && first + Rows <= end) {
      const Share share(to, source);
      const std::uint16_t* from = share.channel + (first + share.row) * source.row_stride;
#pragma unroll
      for (unsigned i = 0; i < Share::copies; ++i, from += Share::step * source.row_stride) copy_async(share.place(i), from, share.valid);
      return;
    }
  }
  copy_rows<Dim>(to, source, Rows, end, [first](unsigned row) { return first + row; });
}

/// copy_rows for rows whose numbers lie in shared memory.
template <unsigned Dim, unsigned Rows, unsigned Threads>
ATTNSCOPE_DEVICE void copy_listed(Chunk* to, const RowSource& source, const std::uint32_t* numbers, std::uint32_t end) {
  using Share = CopyShare<Dim, Rows, Threads>;
  if constexpr (Share::exists) {
    if (source.whole_chunks) {
      const Share share(to, source);
      const auto* channel = reinterpret_cast<const std::byte*>(share.channel);
      const auto row_bytes = static_cast<std::uint32_t>(source.row_stride * sizeof(std::uint16_t));  // fits: whole_chunks
#pragma unroll
      for (unsigned first = 0; first < Share::copies; first += 4) {
        std::uint32_t number[4];  // four at once: they wait for shared memory together
#pragma unroll
        for (unsigned i = 0; i < 4; ++i) number[i] = numbers[share.row + (first + i) * Share::step];
#pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
          const bool inside = number[i] < end;
          copy_async(share.place(first + i), channel + std::uint64_t{inside ? number[i] : 0} * row_bytes, inside && share.valid);
        }
      }
      return;
    }
  }
  copy_rows<Dim>(to, source, Rows, end, [numbers](unsigned row) { return numbers[row]; });
}

/// s[n] = 16 rows of A, from row `first_row` of `a`, times the 64 keys of `keys`: tile n holds keys 8 n .. 8 n + 7. A lane has rows
/// lane / 4 (s[n][0], s[n][1]) and lane / 4 + 8 (s[n][2], s[n][3]) at keys 8 n + 2 (lane % 4) and the next.
template <class T, unsigned Dim, unsigned RowTiles>
ATTNSCOPE_DEVICE void multiply_keys(float (&s)[RowTiles][tile_keys / 8][4], const Chunk* a, unsigned first_row, const Chunk* keys) {
  using Layout = TileLayout<Dim>;
  const unsigned lane = lane_index();
#pragma unroll
  for (unsigned t = 0; t < RowTiles; ++t)
#pragma unroll
    for (unsigned n = 0; n < tile_keys / 8; ++n)
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) s[t][n][e] = 0;
#pragma unroll
  for (unsigned k = 0; k < Dim / 16; ++k) {
    std::uint32_t left[RowTiles][4];
#pragma unroll
    for (unsigned t = 0; t < RowTiles; ++t) load_matrices(left[t], a + Layout::chunk_place(first_row + 16 * t + lane % 16, 2 * k + lane / 16));
#pragma unroll
    for (unsigned n = 0; n < tile_keys / 16; ++n) {
      std::uint32_t right[4];
      load_matrices(right, keys + Layout::chunk_place(16 * n + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
#pragma unroll
      for (unsigned t = 0; t < RowTiles; ++t) {
        multiply_add<T>(s[t][2 * n], left[t], right[0], right[1]);
        multiply_add<T>(s[t][2 * n + 1], left[t], right[2], right[3]);
      }
    }
  }
}

/// P as multiply_keys laid out the scores, rounded to T: fragments of the left factor of 16 keys each, in half the registers.
template <class T, unsigned RowTiles>
ATTNSCOPE_DEVICE void pack_scores(std::uint32_t (&packed)[tile_keys / 16][RowTiles][4], const float (&p)[RowTiles][tile_keys / 8][4]) {
#pragma unroll
  for (unsigned k = 0; k < tile_keys / 16; ++k)
#pragma unroll
    for (unsigned t = 0; t < RowTiles; ++t) {
      packed[k][t][0] = pack<T>(p[t][2 * k][0], p[t][2 * k][1]);
      packed[k][t][1] = pack<T>(p[t][2 * k][2], p[t][2 * k][3]);
      packed[k][t][2] = pack<T>(p[t][2 * k + 1][0], p[t][2 * k + 1][1]);
      packed[k][t][3] = pack<T>(p[t][2 * k + 1][2], p[t][2 * k + 1][3]);
    }
}

/// o[n] += P V: `p` from pack_scores, `values` 64 rows of Dim; tile n of o holds channels 8 n ...
template <class T, unsigned Dim, unsigned RowTiles>
ATTNSCOPE_DEVICE void multiply_values(float (&o)[RowTiles][Dim / 8][4], const std::uint32_t (&p)[tile_keys / 16][RowTiles][4], const Chunk* values) {
  using Layout = TileLayout<Dim>;
  const unsigned lane = lane_index();
#pragma unroll
  for (unsigned k = 0; k < tile_keys / 16; ++k)
#pragma unroll
    for (unsigned n = 0; n < Dim / 16; ++n) {
      std::uint32_t right[4];
      load_matrices_transposed(right, values + Layout::chunk_place(16 * k + lane % 16, 2 * n + lane / 16));
#pragma unroll
      for (unsigned t = 0; t < RowTiles; ++t) {
        multiply_add<T>(o[t][2 * n], p[k][t], right[0], right[1]);
        multiply_add<T>(o[t][2 * n + 1], p[k][t], right[2], right[3]);
      }
    }
}

/// Calls body(T{}, std::integral_constant<unsigned, Dim>) for the element type and the smallest instance that holds head_dim.
inline constexpr unsigned largest_dim = 128;
template <unsigned Dim> struct DimTag { static constexpr unsigned value = Dim; };
template <class Body>
Outcome for_instance(DType dtype, std::uint32_t head_dim, Body body) {
  if (head_dim == 0 || head_dim > largest_dim) return "E_KERNEL_HEAD_DIM CUDA kernels take head_dim from 1 to 128; run this model on the CPU";
  const auto with_dim = [&](auto element) -> Outcome {
    if (head_dim <= 64) return body(element, DimTag<64>{});
    if (head_dim <= 96) return body(element, DimTag<96>{});
    return body(element, DimTag<128>{});
  };
  if (dtype == DType::bf16) return with_dim(Bf16{});
  if (dtype == DType::f16) return with_dim(F16{});
  return "E_KERNEL_DTYPE CUDA kernels take bf16 or f16; f32 runs on the CPU";
}

/// Whether rows of a tensor can be copied in chunks of 16 bytes; they lie less than 4 GiB apart.
inline bool whole_chunks(const HeadTensor& x, std::uint32_t dim) {
  return reinterpret_cast<std::uintptr_t>(x.data) % sizeof(Chunk) == 0 && x.row_stride % chunk_elements == 0 && x.row_stride < 1u << 31 && x.head_stride % chunk_elements == 0 && dim % chunk_elements == 0;
}
/// Rows of one head.
inline ATTNSCOPE_HD RowSource rows_of(const HeadTensor& x, std::uint32_t head, std::uint32_t dim, bool chunks) {
  return {static_cast<const std::uint16_t*>(x.data) + head * x.head_stride, x.row_stride, dim, chunks};
}

}  // namespace attnscope::gpu
