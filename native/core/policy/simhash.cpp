#include "core/policy/simhash.h"

#include <algorithm>

#include "core/simd.h"

namespace attnscope::simhash {
namespace {

/// Bit i = [v[i] > 0].
ATTNSCOPE_INLINE std::uint32_t positive(simd::f32x8 v) {
  const simd::i32x8 mask = v > simd::splat(0.0f);
#if defined(__AVX__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps((__m256)(simd::f32x8)mask));
#elif defined(__wasm_simd128__) && defined(__clang__)
  return static_cast<std::uint32_t>(__builtin_wasm_bitmask_i32x4(__builtin_shufflevector(mask, mask, 0, 1, 2, 3))) |
         static_cast<std::uint32_t>(__builtin_wasm_bitmask_i32x4(__builtin_shufflevector(mask, mask, 4, 5, 6, 7))) << 4;
#else
  const simd::i32x8 bits = mask & simd::i32x8{1, 2, 4, 8, 16, 32, 64, 128};
  return static_cast<std::uint32_t>(((bits[0] | bits[4]) | (bits[1] | bits[5])) | ((bits[2] | bits[6]) | (bits[3] | bits[7])));
#endif
}

}  // namespace

void Projection::grow(std::size_t columns) {
  const std::size_t first = panels() * panel_width;
  const std::size_t end = round_up(columns, panel_width);
  if (end <= first) return;
  weights_.resize(end * depth_);
  for (std::size_t c = first; c < end; ++c) {
    float* column = weights_.data() + c / panel_width * depth_ * panel_width + c % panel_width;
    const std::uint64_t pairs = (depth_ + 1) / 2;
    for (std::size_t i = 0; i < depth_; i += 2) {
      float a, b;
      stream_.normal_pair(c * pairs + i / 2, a, b);
      column[i * panel_width] = a;
      if (i + 1 < depth_) column[(i + 1) * panel_width] = b;
    }
  }
}

void project_signs(Rows rows, const Projection& projection, std::size_t first_panel, std::size_t end_panel, std::uint16_t* out,
                   std::size_t out_stride) {
  project_signs(rows, projection.panel(0), first_panel, end_panel, out, out_stride);
}

void project_signs(Rows rows, const float* weights, std::size_t first_panel, std::size_t end_panel, std::uint16_t* out, std::size_t out_stride) {
  // 96 rows of 128 floats stay in the L2 cache beside a panel (8 KB, in L1) while all panels pass over them.
  constexpr std::size_t block = 96, group = 4;
  alignas(64) float products[block * group * panel_width];
  for (std::size_t r = 0; r < rows.count; r += block) {
    const std::size_t n = std::min(block, rows.count - r);
    for (std::size_t p = first_panel; p < end_panel; p += group) {
      const std::size_t panels = std::min(group, end_panel - p), stride = panels * panel_width;
      block_product(rows.row(r), rows.stride, n, weights + p * rows.dim * panel_width, panels, rows.dim, products, stride, false);
      for (std::size_t g = 0; g < panels; ++g) {
        std::uint16_t* words = out + (p + g - first_panel) * out_stride + r;
        for (std::size_t i = 0; i < n; ++i) {
          const float* row = products + i * stride + g * panel_width;
          words[i] = static_cast<std::uint16_t>(positive(simd::load(row)) | positive(simd::load(row + simd::lanes)) << 8);
        }
      }
    }
  }
}

void table_codes(const std::uint16_t* signs, std::size_t stride, std::size_t count, std::uint32_t K, std::uint32_t table, std::uint16_t* codes) {
  const std::size_t column = std::size_t{table} * K;
  const std::uint32_t shift = column % panel_width, mask = (1u << K) - 1;
  const std::uint16_t* low = signs + column / panel_width * stride;
  if (shift + K <= panel_width) {
    for (std::size_t i = 0; i < count; ++i) codes[i] = static_cast<std::uint16_t>((low[i] >> shift) & mask);
    return;
  }
  const std::uint16_t* high = low + stride;
  for (std::size_t i = 0; i < count; ++i)
    codes[i] = static_cast<std::uint16_t>(((low[i] | static_cast<std::uint32_t>(high[i]) << 16) >> shift) & mask);
}

}  // namespace attnscope::simhash
