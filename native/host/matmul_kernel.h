// The innermost loops of the matrix product, in portable vector types (8 x float32: AVX2, or two NEON registers).
#pragma once
#include <cstddef>

#include "core/dtype.h"
#include "core/views.h"

namespace attnscope::kernel {

inline constexpr std::size_t kPanel = 16;     // output columns of a micro-tile
inline constexpr std::size_t kTileRows = 6;   // rows of a micro-tile: 6 x 2 accumulators fill 12 of 16 registers
inline constexpr std::size_t kDepth = 256;    // inner dimension of a packed block: a panel takes 16 KiB, half of L1

/// Packs columns [k, k + depth) of weight rows [row, row + rows) as panels [ceil(rows / 16)][depth][16], zero-padded.
/// `staging` holds kPanel * kDepth floats.
void pack_panels(DType dtype, const void* const* weight_rows, std::size_t rows, std::size_t k, std::size_t depth,
                 float* staging, float* panels);

/// out[i][0..columns) (+)= in[i][k..k+depth) . panel for every row of `in`; `accumulate` false overwrites.
void multiply_panel(Rows in, std::size_t k, std::size_t depth, const float* panel, std::size_t columns, bool accumulate,
                    MutableRows out, std::size_t out_column);

/// Dot product of n floats.
float dot(const float* a, const float* b, std::size_t n);

}  // namespace attnscope::kernel
