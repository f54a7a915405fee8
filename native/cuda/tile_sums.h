// Column and diagonal sums of a tile of probabilities that a warp holds as multiply_keys left it, 16 RowTiles rows x 64 keys.
#pragma once
#include "indices.h"
#include "mma_tile.h"
#include "scatter_sum.h"

namespace attnscope::gpu {

/// A lane's share of the column sums: tile n's two columns of this lane, at 2 n and 2 n + 1.
constexpr unsigned lane_columns = tile_keys / 8 * 2;
template <unsigned RowTiles>
ATTNSCOPE_DEVICE void lane_column_sums(const float (&p)[RowTiles][tile_keys / 8][4], float (&column)[lane_columns]) {
#pragma unroll
  for (unsigned v = 0; v < lane_columns; ++v) {
    column[v] = 0;
#pragma unroll
    for (unsigned t = 0; t < RowTiles; ++t) column[v] += p[t][v / 2][v % 2] + p[t][v / 2][v % 2 + 2];
  }
}
/// sums[k] = sum over lanes of column k, [64], from what lane_column_sums left.
ATTNSCOPE_DEVICE void join_columns(float (&column)[lane_columns], float* sums) {
  const unsigned first = scatter_sum<16, 4, lane_columns>(column), x = lane_index() % 4;
#pragma unroll
  for (unsigned k = 0; k < scattered_count(lane_columns, 3); ++k) sums[(first + k) / 2 * 8 + 2 * x + (first + k) % 2] = column[k];
}
/// sums[k] = sum over the warp's rows of column k, [64].
template <unsigned RowTiles>
ATTNSCOPE_DEVICE void column_sums(const float (&p)[RowTiles][tile_keys / 8][4], float* sums) {
  float column[lane_columns];
  lane_column_sums<RowTiles>(p, column);
  join_columns(column, sums);
}

/// The tile is cut into squares of 8 x 8. Squares on one diagonal of squares are added first, each lane for itself: of square
/// diagonal e (key square - row square) a lane holds the pairs (row a, keys b = 2 x, 2 x + 1), a = lane / 4, x = lane % 4. A pair's
/// diagonal is 8 e + (b - a): with b >= a it belongs to group e and rest b - a, else to group e - 1 and rest b - a + 8. Moving
/// row a's values left by a, around the end, brings equal rests into equal lanes x; then rows are summed.
///
/// sums[8 g + rest], g < Groups, from square diagonals 0 .. Groups.
template <unsigned Groups, unsigned Squares>
ATTNSCOPE_DEVICE void join_diagonals(const float (&square)[Squares][2], float* sums) {
  static_assert(Squares > Groups);
  const unsigned lane = lane_index(), a = lane / 4, x = lane % 4;
  float rest[2 * Groups];
  const bool odd = a % 2 != 0;
  const unsigned from_first = lane - x + (x + a / 2) % 4, from_second = lane - x + (x + (a + 1) / 2) % 4;
#pragma unroll
  for (unsigned e = 0; e < Groups; ++e) {
    const float first = 2 * x >= a ? square[e][0] : square[e + 1][0], second = 2 * x + 1 >= a ? square[e][1] : square[e + 1][1];
    rest[2 * e] = shuffle(odd ? second : first, from_first);
    rest[2 * e + 1] = shuffle(odd ? first : second, from_second);
  }
  const unsigned begin = scatter_sum<16, 4, 2 * Groups>(rest);
  if (2 * Groups % 8 != 0 && (lane & 4) != 0) return;  // the last step split nothing: the neighbour holds the same
#pragma unroll
  for (unsigned k = 0; k < scattered_count(2 * Groups, 3); ++k) sums[(begin + k) / 2 * 8 + 2 * x + (begin + k) % 2] = rest[k];
}

/// sums[slot], slot = key - row + 16 RowTiles (diagonal_slot): the sum of the pairs on that diagonal, [16 RowTiles + 64].
template <unsigned RowTiles>
ATTNSCOPE_DEVICE void diagonal_sums(const float (&p)[RowTiles][tile_keys / 8][4], float* sums) {
  constexpr int key_squares = tile_keys / 8, row_squares = 2 * RowTiles;
  constexpr unsigned diagonals = key_squares + row_squares;  // e from -row_squares on
  float square[diagonals + 1][2];  // the first and the last hold no pairs
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
  join_diagonals<diagonals>(square, sums);
}

/// Diagonals of a warp that walks along its 16 RowTiles rows, tile after tile: squares that the next tile adds to are kept, so that a
/// tile has 64 diagonals to join, each complete as far as the warp's rows go.
template <unsigned RowTiles>
struct DiagonalWalk {
  static constexpr unsigned key_squares = tile_keys / 8, row_squares = 2 * RowTiles;
  float kept[row_squares][2] = {};

  /// sums[s]: diagonal key - row = s - 16 RowTiles, the key counted from the tile's first, [64].
  ATTNSCOPE_DEVICE void add(const float (&p)[RowTiles][key_squares][4], float* sums) {
    float square[key_squares + row_squares][2];  // e from -row_squares on
#pragma unroll
    for (int e = 0; e < static_cast<int>(key_squares + row_squares); ++e)
#pragma unroll
      for (unsigned i = 0; i < 2; ++i) {
        square[e][i] = e < static_cast<int>(row_squares) ? kept[e % row_squares][i] : 0;
#pragma unroll
        for (int h = 0; h < static_cast<int>(row_squares); ++h) {
          const int n = e - static_cast<int>(row_squares) + h;
          if (n >= 0 && n < static_cast<int>(key_squares)) square[e][i] += p[h / 2][n][h % 2 * 2 + i];
        }
      }
    join_diagonals<key_squares>(square, sums);
#pragma unroll
    for (unsigned e = 0; e < row_squares; ++e)
#pragma unroll
      for (unsigned i = 0; i < 2; ++i) kept[e][i] = square[key_squares + e][i];
  }
};

}  // namespace attnscope::gpu
