// How columns and distances become tiles and columns of one block of 64 queries: the walk itself, apart from how indices
// are looked up. The policy engine and the CPU kernels look up in tables, a GPU searches the lists.
#pragma once
#include <cstdint>

#include "core/hd.h"

namespace attnscope::vertical_slash {

inline constexpr std::uint32_t no_distance = ~0u;

/// Row block m of `tokens` queries (vertical_slash.h says what is walked and why).
///   distance_at_or_below(x)  the largest distance at or below x, or no_distance; x never rises from call to call
///   columns_below(x)         how many columns lie below x <= tokens; x never falls from call to call
///   sink.tiles(begin, end)   keys [begin, end) are to be cut into tiles of 64: a multiple of 64 of them; ascending
///   sink.columns(first, end) columns [first, end) of the list are single; ascending
template <class DistanceAtOrBelow, class ColumnsBelow, class Sink>
ATTNSCOPE_HD void walk_row_block(std::uint32_t m, std::uint32_t tokens, DistanceAtOrBelow& distance_at_or_below, ColumnsBelow& columns_below, Sink& sink) {
  constexpr std::uint32_t block = 64;
  const std::uint32_t rows_end = (m + 1) * block;
  const auto within = [tokens](std::uint32_t key) { return key < tokens ? key : tokens; };
  std::uint32_t begin = 0, end = 0;  // of the open range; end 0: none
  std::uint32_t column = 0;          // the first that is neither emitted nor inside a range
  const auto emit_columns = [&](std::uint32_t key_end) {
    const std::uint32_t last = columns_below(within(key_end));
    if (last > column) sink.columns(column, last);
  };
  const auto close = [&] {
    sink.tiles(begin, end);
    emit_columns(begin);
    column = columns_below(within(end));
  };
  std::uint32_t t = distance_at_or_below(within(rows_end) - 1);
  if (t != no_distance) {
    // A tile cannot start left of key 0, so none ends before key 64.
    end = rows_end - t > block ? rows_end - t : block;
    begin = end - block;
    while (end < rows_end) {
      t = distance_at_or_below(within(rows_end - end) - 1);  // the next whose tile ends past the range
      if (t == no_distance) break;
      const std::uint32_t tile_end = rows_end - t;
      if (tile_end > end + block) {
        close();
        begin = tile_end - block;
        end = tile_end;
      } else {
        end += block;
      }
    }
    close();
  }
  if (end < rows_end) emit_columns(rows_end);
}

/// distance_at_or_below over a list in descending order. As x falls the place moves on; the step to the next doubles
/// until it is passed, so that neighbours cost two reads and far ones twice the logarithm of how far they are.
struct FallingDistances {
  const std::uint32_t* distance;
  std::uint32_t count;
  std::uint32_t place = 0;  // everything before it lies above every x to come

  ATTNSCOPE_HD std::uint32_t operator()(std::uint32_t x) {
    std::uint32_t low = place, step = 1;  // distance[i] > x for i < low
    while (low < count && distance[low] > x) {
      const std::uint32_t far = count - low > step ? low + step : count;
      if (far == count || distance[far] <= x) {
        std::uint32_t high = far;  // at or past the place
        ++low;
        while (low < high) {
          const std::uint32_t middle = low + (high - low) / 2;
          if (distance[middle] > x) low = middle + 1; else high = middle;
        }
        break;
      }
      low = far;
      step *= 2;
    }
    place = low;
    return low < count ? distance[low] : no_distance;
  }
};

/// columns_below over a list in ascending order, likewise.
struct RisingColumns {
  const std::uint32_t* column;
  std::uint32_t count;
  std::uint32_t place = 0;

  ATTNSCOPE_HD std::uint32_t operator()(std::uint32_t x) {
    std::uint32_t low = place, step = 1;  // column[i] < x for i < low
    while (low < count && column[low] < x) {
      const std::uint32_t far = count - low > step ? low + step : count;
      if (far == count || column[far] >= x) {
        std::uint32_t high = far;
        ++low;
        while (low < high) {
          const std::uint32_t middle = low + (high - low) / 2;
          if (column[middle] < x) low = middle + 1; else high = middle;
        }
        break;
      }
      low = far;
      step *= 2;
    }
    place = low;
    return low;
  }
};

}  // namespace attnscope::vertical_slash
