// Column and diagonal sums of a tile of probabilities that a warp holds as multiply_keys left it, 16 RowTiles rows x 64 keys.
#pragma once
#include "indices.h"
#include "mma_tile.h"
#include "scatter_sum.h"

namespace attnscope::gpu {

/// sums[k] = sum over the warp's rows of column k, [64].
template <unsigned RowTiles>
ATTNSCOPE_DEVICE void column_sums(const float (&p)[RowTiles][tile_keys / 8][4], float* sums) {
  constexpr unsigned values = tile_keys / 8 * 2;
  float column[values];  // tile n's two columns of this lane, at 2 n and 2 n + 1
#pragma unroll
  for (unsigned v = 0; v < values; ++v) {
    column[v] = 0;
#pragma unroll
    for (unsigned t = 0; t < RowTiles; ++t) column[v] += p[t][v / 2][v % 2] + p[t][v / 2][v % 2 + 2];
  }
  const unsigned first = scatter_sum<16, 4, values>(column), x = lane_index() % 4;
#pragma unroll
  for (unsigned k = 0; k < scattered_count(values, 3); ++k) sums[(first + k) / 2 * 8 + 2 * x + (first + k) % 2] = column[k];
}

/// sums[slot], slot = key - row + 16 RowTiles (diagonal_slot): the sum of the pairs on that diagonal, [16 RowTiles + 64].
///
/// The tile is cut into squares of 8 x 8. Squares on one diagonal of squares are added first, each lane for itself: of square
/// diagonal e (key square - row square) a lane holds the pairs (row a, keys b = 2 x, 2 x + 1), a = lane / 4, x = lane % 4. A pair's
/// diagonal is 8 e + (b - a): with b >= a it belongs to e and rest b - a, else to e - 1 and rest b - a + 8. Moving row a's
/// values left by a, around the end, brings equal rests into equal lanes x; then rows are summed.
template <unsigned RowTiles>
ATTNSCOPE_DEVICE void diagonal_sums(const float (&p)[RowTiles][tile_keys / 8][4], float* sums) {
  constexpr int key_squares = tile_keys / 8, row_squares = 2 * RowTiles;
  constexpr unsigned diagonals = key_squares + row_squares;  // e from -row_squares on
  const unsigned lane = lane_index(), a = lane / 4, x = lane % 4;
  float square[diagonals + 1][2];  // e from -row_squares on; the first and the last hold no pairs
#pragma unroll
  for (int e = 0; e <= static_cast<int>(diagonals); ++e)
#pragma unroll
    for (unsigned i = 0; i < 2; ++i) {
      square[e][i] = 0;
#pragma unroll
      for (int h = 0; h < row_squares; ++h) {
        const int n = e - row_squares + h;
        if (n >= 0 && n < key_squares) square[e][i] += p[h / 2][n][h % 2 * 2 + i];
      }
    }
  float rest[2 * diagonals];
  const bool odd = a % 2 != 0;
  const unsigned from_first = lane - x + (x + a / 2) % 4, from_second = lane - x + (x + (a + 1) / 2) % 4;
#pragma unroll
  for (unsigned e = 0; e < diagonals; ++e) {
    const float first = 2 * x >= a ? square[e][0] : square[e + 1][0], second = 2 * x + 1 >= a ? square[e][1] : square[e + 1][1];
    rest[2 * e] = shuffle(odd ? second : first, from_first);
    rest[2 * e + 1] = shuffle(odd ? first : second, from_second);
  }
  const unsigned begin = scatter_sum<16, 4, 2 * diagonals>(rest);
  if (2 * diagonals % 8 != 0 && (lane & 4) != 0) return;  // the last step split nothing: the neighbour holds the same
#pragma unroll
  for (unsigned k = 0; k < scattered_count(2 * diagonals, 3); ++k) sums[(begin + k) / 2 * 8 + 2 * x + (begin + k) % 2] = rest[k];
}

}  // namespace attnscope::gpu
