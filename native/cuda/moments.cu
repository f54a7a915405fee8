// First and second moments of vectors about a pivot. A block has 64 x 64 products of one head, a thread 4 x 4 of them: sums over 64
// rows in fp32, then in fp64. Of the products only those on and above the diagonal of such squares are computed, and stored twice.
//
// Blocks of different rows add to the same totals: these repeat to fp64 rounding, not bit by bit.
#include "indices.h"
#include "mma_tile.h"
#include "ops.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned square = 64, batch = 64, threads = 256, edge = 4;  // channels, rows, and products of a thread
constexpr unsigned row_chunks = square / 4;
static_assert(threads == square / edge * (square / edge));
constexpr std::size_t panel_chunks = std::size_t{batch} * row_chunks;

ATTNSCOPE_DEVICE void load_four(float (&x)[edge], const Chunk& chunk) {
#pragma unroll
  for (unsigned e = 0; e < edge; ++e) x[e] = float_of_bits(chunk.word[e]);
}

ATTNSCOPE_KERNEL(threads) add_moments(MomentsArgs args, std::uint32_t squares, std::uint32_t splits) {
  auto* left_panel = reinterpret_cast<Chunk*>(shared_memory());
  // Square (i, j), i <= j, of head block_x() / pairs.
  const std::uint32_t pairs = squares * (squares + 1) / 2, head = block_x() / pairs;
  std::uint32_t i = 0, j = block_x() % pairs;
  while (j >= squares - i) j -= squares - i++;
  j += i;
  Chunk* right_panel = i == j ? left_panel : left_panel + panel_chunks;
  const unsigned thread = thread_index(), a = thread / (square / edge), b = thread % (square / edge);
  const Range rows = part_in_units(args.rows, splits, block_y(), batch);

  const auto copy = [&](Chunk* panel, std::uint32_t first_row, std::uint32_t first_channel) {
    const std::uint32_t at = thread % square, channel = first_channel + at;
    const bool inside = channel < args.head_dim;
    const float pivot = inside ? args.pivot[std::uint64_t{head} * args.head_dim + channel] : 0;
    const float* x = args.x + std::uint64_t{head} * args.head_dim + (inside ? channel : 0);
#pragma unroll 8
    for (unsigned row = thread / square; row < batch; row += threads / square) {
      const bool there = inside && first_row + row < rows.end;
      const float y = there ? x[std::uint64_t{first_row + row} * args.heads * args.head_dim] - pivot : 0;
      panel[row * row_chunks + at / 4].word[at % 4] = float_bits(y);
    }
  };

  double product[edge][edge] = {}, sum = 0;
  for (std::uint32_t first_row = rows.begin; first_row < rows.end; first_row += batch) {
    sync_block();  // nobody reads the batch before any more
    copy(left_panel, first_row, i * square);
    if (i != j) copy(right_panel, first_row, j * square);
    sync_block();
    float part[edge][edge] = {};
#pragma unroll 8
    for (unsigned row = 0; row < batch; ++row) {
      float left[edge], right[edge];
      load_four(left, left_panel[row * row_chunks + a]);
      load_four(right, right_panel[row * row_chunks + b]);
#pragma unroll
      for (unsigned p = 0; p < edge; ++p)
#pragma unroll
        for (unsigned q = 0; q < edge; ++q) part[p][q] += left[p] * right[q];
    }
#pragma unroll
    for (unsigned p = 0; p < edge; ++p)
#pragma unroll
      for (unsigned q = 0; q < edge; ++q) product[p][q] += part[p][q];
    if (i == j && thread < square) {
      float of_channel = 0;
#pragma unroll 8
      for (unsigned row = 0; row < batch; ++row) of_channel += float_of_bits(left_panel[row * row_chunks + thread / 4].word[thread % 4]);
      sum += of_channel;
    }
  }

  const std::uint32_t dim = args.head_dim;
  double* products = args.product + std::uint64_t{head} * dim * dim;
#pragma unroll
  for (unsigned p = 0; p < edge; ++p)
#pragma unroll
    for (unsigned q = 0; q < edge; ++q) {
      const std::uint32_t row = i * square + edge * a + p, column = j * square + edge * b + q;
      if (row >= dim || column >= dim) continue;
      atomic_add(products + std::uint64_t{row} * dim + column, product[p][q]);
      if (i != j) atomic_add(products + std::uint64_t{column} * dim + row, product[p][q]);
    }
  if (i == j && thread < square && i * square + thread < dim) atomic_add(args.sum + std::uint64_t{head} * dim + i * square + thread, sum);
}

}  // namespace

Outcome run_moments(const MomentsArgs& args, Stream stream) {
  const std::uint32_t squares = ceil_div(args.head_dim, square), pairs = squares * (squares + 1) / 2;
  // 512 blocks: about one for every one that 132 multiprocessors hold at a time. Below 256 rows the final additions would cost more than the sums.
  const std::uint32_t splits = parts_for(args.rows, args.heads * pairs, 512, 256);
  return launch(add_moments, {args.heads * pairs, splits}, threads, 2 * panel_chunks * sizeof(Chunk), stream, args, squares, splits);
}

}  // namespace attnscope::gpu
