// Matrix products on tensor cores: a block computes 128 rows by 128 outputs, a warp 64 by 64 of them, over panels of 32 elements. Four
// panels of x and w are in shared memory or on their way there; the fragments of the next 16 elements are loaded while those of the
// last are multiplied (the multistage scheme of CUTLASS).
#include "multiply.h"

#include "elements.h"
#include "indices.h"
#include "ops.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned tile = 128, depth = 32, stages = 4, threads = 128;
constexpr unsigned warp_tile = 64, row_tiles = warp_tile / 16, column_tiles = warp_tile / 8;
/// Row tiles whose blocks run at the same time: their rows of x and as many of w stay in the last-level cache.
constexpr unsigned group_tiles = 16;
constexpr unsigned fewest_copies = stages - 2;  // groups on their way when a panel is asked for

using Layout = TileLayout<depth>;
constexpr unsigned panel_chunks = tile * Layout::chunks;  // of x; those of w follow
constexpr unsigned rows_of_pass = threads / Layout::chunks, passes = tile / rows_of_pass;
static_assert(rows_of_pass % 8 == 0);  // rows of all passes are placed alike

/// A thread's part of the panels of a matrix: the same chunk of every rows_of_pass-th row.
template <bool Chunks>
class Panels {
 public:
  ATTNSCOPE_DEVICE Panels(const void* data, std::uint32_t first_row, std::uint32_t rows, std::uint32_t width) : width_(width) {
    const std::uint32_t row = first_row + thread_index() / Layout::chunks;
    chunk_ = thread_index() % Layout::chunks;
    element_ = chunk_ * chunk_elements;
    place_ = Layout::chunk_place(thread_index() / Layout::chunks, chunk_);
    inside_ = row < rows ? ceil_div(rows - row, rows_of_pass) : 0;
    start_ = static_cast<const std::uint16_t*>(data);
    next_ = start_ + std::uint64_t{row} * width + element_;
  }
  /// Starts copying the next panel.
  ATTNSCOPE_DEVICE void copy(Chunk* panel) {
#pragma unroll(Chunks ? passes : 1)
    for (unsigned i = 0; i < passes; ++i) {
      Chunk* to = panel + place_ + i * rows_of_pass * Layout::chunks;
      const std::uint16_t* from = next_ + std::uint64_t{i * rows_of_pass} * width_;
      if constexpr (Chunks) {
        const bool valid = i < inside_ && element_ < width_;
        copy_async(to, valid ? from : start_, valid);
      } else {
        Chunk chunk{};
#pragma unroll 1
        for (unsigned e = 0; e < chunk_elements; ++e)
          if (i < inside_ && element_ + e < width_) chunk.word[e / 2] |= static_cast<std::uint32_t>(from[e]) << (16 * (e % 2));
        *to = chunk;
      }
    }
    next_ += depth;
    element_ += depth;
  }

 private:
  const std::uint16_t *start_, *next_;
  std::uint32_t width_, inside_, element_;
  unsigned chunk_, place_;
};

/// Of 16 elements: 64 rows of x and of w, as multiply_add takes them.
struct Fragments {
  std::uint32_t x[row_tiles][4], w[column_tiles / 2][4];
};

ATTNSCOPE_DEVICE void load_fragments(Fragments& f, const Chunk* stage, unsigned first_row, unsigned first_column, unsigned step) {
  const unsigned lane = lane_index();
#pragma unroll
  for (unsigned t = 0; t < row_tiles; ++t) load_matrices(f.x[t], stage + Layout::chunk_place(first_row + 16 * t + lane % 16, 2 * step + lane / 16));
#pragma unroll
  for (unsigned n = 0; n < column_tiles / 2; ++n)
    load_matrices(f.w[n], stage + panel_chunks + Layout::chunk_place(first_column + 16 * n + lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2));
}

struct alignas(8) Pair {
  float first, second;
};

/// Two neighbouring outputs; `pairs`: both lie in one aligned word or pair of words of every row.
template <class T>
ATTNSCOPE_DEVICE void put(const MultiplyArgs& args, bool pairs, std::uint32_t row, std::uint32_t column, float first, float second) {
  if (row >= args.rows || column >= args.out_width) return;
  const std::uint64_t at = std::uint64_t{row} * args.out_width + column;
  const bool both = column + 1 < args.out_width;
  if (args.out_dtype == DType::f32) {
    float* out = static_cast<float*>(args.out) + at;
    if (pairs) {
      Pair& pair = *reinterpret_cast<Pair*>(out);
      pair = args.add ? Pair{pair.first + first, pair.second + second} : Pair{first, second};
    } else {
      out[0] = args.add ? out[0] + first : first;
      if (both) out[1] = args.add ? out[1] + second : second;
    }
  } else {
    T* out = static_cast<T*>(args.out) + at;
    if (pairs) {
      *reinterpret_cast<std::uint32_t*>(out) = pack<T>(first, second);
    } else {
      out[0] = from_float<T>(first);
      if (both) out[1] = from_float<T>(second);
    }
  }
}

template <class T, bool Chunks>
ATTNSCOPE_KERNEL(threads) multiply_tiles(MultiplyArgs args, bool pairs) {
  auto* shared = reinterpret_cast<Chunk*>(shared_memory());
  const auto stage = [&](std::uint32_t panel) { return shared + panel % stages * 2 * panel_chunks; };

  // Blocks go down the rows of a group, then to the next outputs.
  const std::uint32_t all_row_tiles = ceil_div(args.rows, tile), all_column_tiles = ceil_div(args.out_width, tile);
  const std::uint32_t group = block_x() / (group_tiles * all_column_tiles), in_group = block_x() % (group_tiles * all_column_tiles);
  const std::uint32_t tiles_of_group = lesser(group_tiles, all_row_tiles - group * group_tiles);
  const std::uint32_t block_row = (group * group_tiles + in_group % tiles_of_group) * tile, block_column = in_group / tiles_of_group * tile;
  const unsigned lane = lane_index(), warp_row = warp_index() / 2 * warp_tile, warp_column = warp_index() % 2 * warp_tile;

  const std::uint32_t panels = ceil_div(args.in, depth);
  Panels<Chunks> x(args.x, block_row, args.rows, args.in), w(args.w, block_column, args.out_width, args.in);
  const auto copy_panel = [&](std::uint32_t panel) {
    if (panel < panels) {
      x.copy(stage(panel));
      w.copy(stage(panel) + panel_chunks);
    }
    commit_copies();
  };

  float sum[row_tiles][column_tiles][4] = {};
  Fragments fragments[2];
  for (std::uint32_t panel = 0; panel < stages; ++panel) copy_panel(panel);
  wait_copies<stages - 1>();
  sync_block();
  load_fragments(fragments[0], stage(0), warp_row, warp_column, 0);
  for (std::uint32_t panel = 0; panel < panels; ++panel) {
#pragma unroll
    for (unsigned step = 0; step < depth / 16; ++step) {
      const bool last = step + 1 == depth / 16;
      if (last) {
        wait_copies<fewest_copies>();  // the next panel
        sync_block();                  // and every warp has this one in its registers
      }
      // Past the last panel whatever lies there, which nothing is multiplied with.
      load_fragments(fragments[(step + 1) % 2], stage(panel + last), warp_row, warp_column, last ? 0 : step + 1);
      if (last) copy_panel(panel + stages);
      const Fragments& f = fragments[step % 2];
#pragma unroll
      for (unsigned t = 0; t < row_tiles; ++t)
#pragma unroll
        for (unsigned n = 0; n < column_tiles; ++n) multiply_add<T>(sum[t][n], f.x[t], f.w[n / 2][n % 2 * 2], f.w[n / 2][n % 2 * 2 + 1]);
    }
  }
  wait_copies<0>();

#pragma unroll
  for (unsigned t = 0; t < row_tiles; ++t)
#pragma unroll
    for (unsigned h = 0; h < 2; ++h)
#pragma unroll
      for (unsigned n = 0; n < column_tiles; ++n)
        put<T>(args, pairs, block_row + warp_row + 16 * t + lane / 4 + 8 * h, block_column + warp_column + 8 * n + 2 * (lane % 4), sum[t][n][2 * h], sum[t][n][2 * h + 1]);
}

}  // namespace

std::size_t workspace_of(const MultiplyArgs&) { return 0; }

Outcome run_multiply(const MultiplyArgs& args, Stream stream) {
  if (const Outcome wrong = check(args)) return wrong;
  if (args.rows == 1) return run_multiply_row(args, stream);
  const bool chunks = rows_in_chunks(args.x, args.in) && rows_in_chunks(args.w, args.in);
  const bool pairs = args.out_width % 2 == 0 && reinterpret_cast<std::uintptr_t>(args.out) % (2 * size_of(args.out_dtype)) == 0;
  const Grid grid{ceil_div(args.rows, tile) * ceil_div(args.out_width, tile)};
  return for_half(args.dtype, [&](auto element) {
    using T = decltype(element);
    return launch(chunks ? multiply_tiles<T, true> : multiply_tiles<T, false>, grid, threads, stages * 2 * panel_chunks * sizeof(Chunk), stream, args, pairs);
  });
}

}  // namespace attnscope::gpu
