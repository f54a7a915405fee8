// Which tiles and columns a block of queries visits: the index arithmetic of the attention kernels, shared with the tests.
#pragma once
#include <cstdint>

#include "core/hd.h"

namespace attnscope::gpu {

/// Up to 64 keys that a block of queries is multiplied with: consecutive from `first`, or listed.
struct KeySegment {
  std::uint32_t first = 0;
  const std::uint32_t* listed = nullptr;
  std::uint32_t count = 64;
};

/// Keys of row block m (queries [first_query + m rows, ... + rows)) in the order they are visited. Dense and a-shape are
/// arithmetic; the others read a SparseIndex of one head.
struct KeyWalk {
  enum class Kind : std::uint8_t { dense, a_shape, listed } kind = Kind::dense;
  std::uint32_t rows = 64, first_query = 0, queries = 0;
  std::uint32_t sink = 0, local = 0;
  const std::uint32_t *tile_offset = nullptr, *tile = nullptr, *column_offset = nullptr, *column = nullptr;

  ATTNSCOPE_HD std::uint32_t first_of(std::uint32_t m) const { return first_query + m * rows; }
  /// One past the last query of the block.
  ATTNSCOPE_HD std::uint32_t end_of(std::uint32_t m) const {
    const std::uint32_t end = (m + 1) * rows;
    return first_query + (end < queries ? end : queries);
  }

  /// A-shape, in blocks of 64 keys: sink blocks are [0, sinks), the window's [window, end).
  struct Span { std::uint32_t sinks = 0, window = 0, end = 0; };
  ATTNSCOPE_HD Span a_shape_span(std::uint32_t m) const {
    const std::uint32_t first = first_of(m), end = (end_of(m) + 63) / 64;
    // The first query of the block sees furthest to the left: keys from first + 1 - local on.
    const std::uint32_t window = (first + 1 > local ? first + 1 - local : 0) / 64;
    const std::uint32_t sinks = sink / 64 + (sink % 64 != 0);
    return {sinks < window ? sinks : window, window < end ? window : end, end};
  }

  ATTNSCOPE_HD std::uint32_t tiles(std::uint32_t m) const {
    if (kind == Kind::dense) return (end_of(m) + 63) / 64;
    if (kind == Kind::a_shape) {
      const Span span = a_shape_span(m);
      return span.sinks + span.end - span.window;
    }
    return tile_offset[m + 1] - tile_offset[m];
  }
  ATTNSCOPE_HD std::uint32_t columns(std::uint32_t m) const { return column_offset == nullptr ? 0 : column_offset[m + 1] - column_offset[m]; }
  ATTNSCOPE_HD std::uint32_t segments(std::uint32_t m) const { return tiles(m) + (columns(m) + 63) / 64; }

  /// Segment i < segments(m), given tiles(m).
  ATTNSCOPE_HD KeySegment segment(std::uint32_t m, std::uint32_t i, std::uint32_t tiles) const {
    if (i < tiles) {
      if (kind == Kind::dense) return {i * 64};
      if (kind == Kind::listed) return {tile[tile_offset[m] + i]};
      const Span span = a_shape_span(m);
      return {(i < span.sinks ? i : span.window + (i - span.sinks)) * 64};
    }
    const std::uint32_t from = column_offset[m] + (i - tiles) * 64, left = column_offset[m + 1] - from;
    return {0, column + from, left < 64 ? left : 64};
  }

  /// Whether a query sees a key it was given.
  ATTNSCOPE_HD bool sees(std::uint32_t query, std::uint32_t key) const {
    return key <= query && (kind != Kind::a_shape || key < sink || query - key < local);
  }
  /// Whether every query of row block m sees keys [first, last]: no masking is needed.
  ATTNSCOPE_HD bool all_see(std::uint32_t m, std::uint32_t first, std::uint32_t last) const {
    return last <= first_of(m) && (kind != Kind::a_shape || last < sink || end_of(m) - 1 - first < local);
  }
};

}  // namespace attnscope::gpu
