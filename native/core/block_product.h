// The one matrix product of the engine's attention: C = A B or C += A B with A row-major and B in panels of 16 columns.
// Scores are Q (rows) times key panels; outputs are P (rows) times value panels.
#pragma once
#include <cstddef>

namespace attnscope {

/// Columns of a panel: two vectors, so that 6 rows x 16 columns use 12 of 16 AVX2 registers as accumulators.
inline constexpr std::size_t panel_width = 16;

inline constexpr std::size_t round_up(std::size_t n, std::size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// c[r][16 p + lane] = (accumulate ? c : 0) + sum over k of a[r][k] * b[p][k][lane]
/// for r < rows, p < panels, k < depth; b holds panels of [depth][16]. Strides count floats. Each element is summed over k in
/// ascending order whatever the number of rows, so the same query gives the same bits in a block and alone.
void block_product(const float* a, std::size_t a_stride, std::size_t rows, const float* b, std::size_t panels,
                   std::size_t depth, float* c, std::size_t c_stride, bool accumulate);

}  // namespace attnscope
