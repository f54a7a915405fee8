// Vertical-slash, phase 3: columns and distances of every head to tiles and columns of every row block. A thread walks a row block
// (core/policy/vertical_slash_walk.h), once to count, once to write; between the two counts become offsets. Long stretches of
// columns are noted and copied by the whole block afterwards: written by one thread each, they would cost a transaction an index.
#include "core/policy/vertical_slash_walk.h"
#include "indices.h"
#include "ops.h"
#include "team.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned threads = 64, scan_threads = 512;
constexpr unsigned long_stretch = 16, most_noted = 1024;

struct Stretch {
  std::uint32_t from, count;
  std::uint64_t to;
};
struct Noted {
  std::uint32_t count;
  Stretch stretch[most_noted];
};

struct CountSink {
  std::uint32_t tile_count = 0, column_count = 0;
  ATTNSCOPE_DEVICE void tiles(std::uint32_t begin, std::uint32_t end) { tile_count += (end - begin) / 64; }
  ATTNSCOPE_DEVICE void columns(std::uint32_t first, std::uint32_t end) { column_count += end - first; }
};

struct WriteSink {
  const std::uint32_t* all_columns;
  std::uint32_t *tile, *column;  // where this row block's go
  std::uint32_t* head_column;    // where this head's begin
  Noted* noted;
  ATTNSCOPE_DEVICE void tiles(std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t key = begin; key < end; key += 64) *tile++ = key;
  }
  ATTNSCOPE_DEVICE void columns(std::uint32_t first, std::uint32_t end) {
    const std::uint32_t count = end - first;
    const std::uint32_t place = count >= long_stretch ? atomic_add(&noted->count, 1u) : most_noted;
    if (place < most_noted) noted->stretch[place] = {first, count, static_cast<std::uint64_t>(column - head_column)};
    else
      for (std::uint32_t i = 0; i < count; ++i) column[i] = all_columns[first + i];
    column += count;
  }
};

template <class Sink>
ATTNSCOPE_DEVICE void walk(const ConvertArgs& args, std::uint32_t head, std::uint32_t m, Sink& sink) {
  vertical_slash::FallingDistances distances{args.distance + std::uint64_t{head} * args.distances, args.distances};
  vertical_slash::RisingColumns columns{args.column + std::uint64_t{head} * args.columns, args.columns};
  vertical_slash::walk_row_block(m, args.tokens, distances, columns, sink);
}

/// Leaves the number of tiles and columns of row block m at offset m + 1.
ATTNSCOPE_KERNEL(threads) convert_count(ConvertArgs args, std::uint32_t row_blocks) {
  const std::uint32_t head = block_x(), m = block_y() * threads + thread_index();
  if (m >= row_blocks) return;
  CountSink sink;
  walk(args, head, m, sink);
  const std::uint64_t at = std::uint64_t{head} * (row_blocks + 1) + m + 1;
  args.out.tile_offset[at] = sink.tile_count;
  args.out.column_offset[at] = sink.column_count;
}

/// Counts of a head to offsets, in place; one block a head and kind.
ATTNSCOPE_KERNEL(scan_threads) convert_offsets(ConvertArgs args, std::uint32_t row_blocks) {
  const BlockTeam team{reinterpret_cast<std::uint32_t*>(shared_memory())};
  std::uint32_t* offset = (block_y() == 0 ? args.out.tile_offset : args.out.column_offset) + std::uint64_t{block_x()} * (row_blocks + 1);
  if (thread_index() == 0) offset[0] = 0;
  std::uint32_t before = 0;
  for (std::uint32_t first = 0; first < row_blocks; first += scan_threads) {
    const std::uint32_t m = first + thread_index(), count = m < row_blocks ? offset[m + 1] : 0;
    std::uint32_t total;
    const std::uint32_t below = sum_before(team, count, total);
    if (m < row_blocks) offset[m + 1] = before + below + count;
    before += total;
  }
}

ATTNSCOPE_KERNEL(threads) convert_write(ConvertArgs args, std::uint32_t row_blocks) {
  auto& noted = *reinterpret_cast<Noted*>(shared_memory());
  const std::uint32_t head = block_x(), m = block_y() * threads + thread_index();
  if (thread_index() == 0) noted.count = 0;
  sync_block();
  const std::uint32_t* all_columns = args.column + std::uint64_t{head} * args.columns;
  std::uint32_t* head_column = args.out.column + head * args.out.column_capacity;
  if (m < row_blocks) {
    const std::uint64_t at = std::uint64_t{head} * (row_blocks + 1) + m;
    WriteSink sink{all_columns, args.out.tile + head * args.out.tile_capacity + args.out.tile_offset[at], head_column + args.out.column_offset[at], head_column, &noted};
    walk(args, head, m, sink);
  }
  sync_block();
  for (std::uint32_t i = warp_index(); i < lesser(noted.count, most_noted); i += threads / warp_size) {
    const Stretch& stretch = noted.stretch[i];
    for (std::uint32_t c = lane_index(); c < stretch.count; c += warp_size) head_column[stretch.to + c] = all_columns[stretch.from + c];
  }
}

}  // namespace

std::size_t workspace_of(const ConvertArgs&) { return 0; }

Outcome run_convert(const ConvertArgs& args, Stream stream) {
  if (args.out.column_offset == nullptr) return "E_KERNEL_SHAPE the conversion writes columns too: column_offset is missing";
  const std::uint32_t row_blocks = ceil_div(args.tokens, 64);
  const Grid grid{args.heads, ceil_div(row_blocks, threads)};
  if (const Outcome failed = launch(convert_count, grid, threads, 0, stream, args, row_blocks)) return failed;
  if (const Outcome failed = launch(convert_offsets, Grid{args.heads, 2}, scan_threads, warp_size * sizeof(std::uint32_t), stream, args, row_blocks)) return failed;
  return launch(convert_write, grid, threads, sizeof(Noted), stream, args, row_blocks);
}

}  // namespace attnscope::gpu
