// How the kernels divide their work and where they put partial results: arithmetic alone, run by the host, the device and the
// tests that hold it to plain loops.
#pragma once
#include <cstdint>

#include "core/hd.h"

namespace attnscope::gpu {

ATTNSCOPE_HD constexpr std::uint32_t lesser(std::uint32_t a, std::uint32_t b) { return a < b ? a : b; }
ATTNSCOPE_HD constexpr std::uint32_t ceil_div(std::uint32_t a, std::uint32_t b) { return a / b + (a % b != 0); }

struct Range {
  std::uint32_t begin = 0, end = 0;
};

/// Part `part` of [0, count) in `parts` parts that differ by one at most; none is empty where parts <= count.
ATTNSCOPE_HD constexpr Range part_of(std::uint32_t count, std::uint32_t parts, std::uint32_t part) {
  return {static_cast<std::uint32_t>(std::uint64_t{count} * part / parts), static_cast<std::uint32_t>(std::uint64_t{count} * (part + 1) / parts)};
}
/// Part `part` of [0, count) in parts of a whole number of `unit`s, all the same; the last ones may be short or empty.
ATTNSCOPE_HD constexpr Range part_in_units(std::uint32_t count, std::uint32_t parts, std::uint32_t part, std::uint32_t unit) {
  const std::uint64_t size = std::uint64_t{ceil_div(ceil_div(count, parts), unit)} * unit;
  const std::uint64_t begin = size * part, end = begin + size;
  return {begin < count ? static_cast<std::uint32_t>(begin) : count, end < count ? static_cast<std::uint32_t>(end) : count};
}
/// Into how many parts work of `size` is cut: enough for `blocks` blocks where each part is done `copies` times, none below `least`.
constexpr std::uint32_t parts_for(std::uint32_t size, std::uint32_t copies, std::uint32_t blocks, std::uint32_t least) {
  const std::uint32_t wanted = ceil_div(blocks, copies > 0 ? copies : 1), possible = size / least;
  const std::uint32_t parts = wanted < possible ? wanted : possible;
  return parts > 0 ? parts : 1;
}

/// Where block lists of row block m begin if each row keeps top_k of its m + 1 blocks, or all of them where there are fewer.
ATTNSCOPE_HD constexpr std::uint64_t block_list_offset(std::uint32_t m, std::uint32_t top_k) {
  const std::uint64_t full = m < top_k ? m : top_k;  // rows [0, full) keep all
  return full * (full + 1) / 2 + (m - full) * top_k;
}

/// Sums along the diagonals of a tile of 64 keys, as warps of `rows` rows (a multiple of 16) leave them: slot
/// key - row + rows of a warp, both counted from where the warp's tile begins, for key - row in [-rows, 63].
ATTNSCOPE_HD constexpr std::uint32_t diagonal_slots(std::uint32_t rows) { return rows + 64; }
/// Slot of the warp whose rows start at `first_row` of the block for row - key == difference, counted from the block's
/// first row; at or past diagonal_slots(rows) where the warp has no such pair.
ATTNSCOPE_HD constexpr std::uint32_t diagonal_slot(std::int32_t difference, std::uint32_t first_row, std::uint32_t rows) {
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(first_row + rows) - difference);
}

/// The grid of the pyramid's base under a warp's 32 rows: cells of up to 32 tokens lie in one warp's tile, larger ones are shared.
inline constexpr std::uint32_t largest_whole_cell = 32;

/// Word and bit where table `table` of `bits` bits begins in a row of signs, 32 columns a word.
struct SignPlace {
  std::uint32_t word = 0, shift = 0;
};
ATTNSCOPE_HD constexpr SignPlace sign_place(std::uint32_t table, std::uint32_t bits) { return {table * bits / 32, table * bits % 32}; }
/// Code from the two words it may lie in.
ATTNSCOPE_HD constexpr std::uint32_t code_of(std::uint32_t low, std::uint32_t high, std::uint32_t shift, std::uint32_t bits) {
  return static_cast<std::uint32_t>((low | static_cast<std::uint64_t>(high) << 32) >> shift) & ((1u << bits) - 1);
}

}  // namespace attnscope::gpu
