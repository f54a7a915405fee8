// Which tiles and columns a block of queries visits: the index arithmetic of the attention kernels, shared with the tests.
#pragma once
#include <cstdint>

#include "core/hd.h"

namespace attnscope::gpu {

/// Stands for "no key"; larger than every key, so that lists stay ascending.
inline constexpr std::uint32_t no_key = ~0u;

/// The keys of one block of queries in the order they are visited, in segments of 64: tiles of consecutive keys, then single columns.
struct BlockKeys {
  std::uint32_t tiles = 0, columns = 0;
  std::uint32_t sinks = 0, gap = 0;  // arithmetic tiles: the first `sinks` of all, then those `gap` further on
  const std::uint32_t *tile = nullptr, *column = nullptr;  // listed ones

  ATTNSCOPE_HD std::uint32_t segments() const { return tiles + (columns + 63) / 64; }
  /// First key of an arithmetic tile.
  ATTNSCOPE_HD std::uint32_t first(std::uint32_t i) const { return (i < sinks ? i : i + gap) * 64; }
  /// Key at place `at` < 64 of segment i < segments(); ascending, no_key behind the last column.
  ATTNSCOPE_HD std::uint32_t key(std::uint32_t i, std::uint32_t at) const {
    if (i < tiles) return (tile == nullptr ? first(i) : tile[i]) + at;
    const std::uint32_t c = (i - tiles) * 64 + at;
    return c < columns ? column[c] : no_key;
  }
};

/// Which keys row block m (queries [first_query + m rows, ... + rows)) visits. Dense and a-shape are arithmetic; the others read a
/// SparseIndex of one head.
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

  ATTNSCOPE_HD BlockKeys block(std::uint32_t m) const {
    BlockKeys keys;
    if (kind == Kind::dense) {
      keys.tiles = (end_of(m) + 63) / 64;
    } else if (kind == Kind::a_shape) {
      const Span span = a_shape_span(m);
      keys.tiles = span.sinks + span.end - span.window, keys.sinks = span.sinks, keys.gap = span.window - span.sinks;
    } else {
      keys.tiles = tile_offset[m + 1] - tile_offset[m], keys.tile = tile + tile_offset[m];
      if (column_offset != nullptr) keys.columns = column_offset[m + 1] - column_offset[m], keys.column = column + column_offset[m];
    }
    return keys;
  }

  /// Whether a query sees a key it was given.
  ATTNSCOPE_HD bool sees(std::uint32_t query, std::uint32_t key) const {
    return key <= query && (kind != Kind::a_shape || key < sink || query - key < local);
  }
  /// Whether all queries [first_query, last_query] see all keys [first, last]: no masking is needed.
  ATTNSCOPE_HD bool all_see(std::uint32_t first_query, std::uint32_t last_query, std::uint32_t first, std::uint32_t last) const {
    return last <= first_query && (kind != Kind::a_shape || last < sink || last_query - first < local);
  }
};

}  // namespace attnscope::gpu
