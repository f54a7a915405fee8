// Sums of value rows with the weights of many queries at once: what both the dense output and the output error are made of.
#pragma once
#include "core/block_product.h"
#include "core/views.h"

namespace attnscope {

/// Keys whose values are packed and multiplied at a time: 256 x 128 floats are 128 KB, half of a small L2 cache.
inline constexpr std::size_t value_block = 256;

/// Rows keys[0..count) of `values` as panels of 16 columns, each [count][16]; columns past dim are zero.
inline void gather_values(Rows values, const std::uint32_t* keys, std::size_t count, float* out) {
  for (std::size_t c = 0; c < values.dim; c += panel_width) {
    const std::size_t width = values.dim - c < panel_width ? values.dim - c : panel_width;
    for (std::size_t k = 0; k < count; ++k, out += panel_width) {
      const float* from = values.row(keys[k]) + c;
      for (std::size_t i = 0; i < width; ++i) out[i] = from[i];
      for (std::size_t i = width; i < panel_width; ++i) out[i] = 0;
    }
  }
}

/// sums[r][c] += sum over k < count of p[r][k] values[k][c]; panels from gather_values, products in fp32 into `product`
/// ([rows][width]), added in fp64. width = dim rounded up to 16.
inline void add_value_product(const float* p, std::size_t p_stride, std::size_t rows, const float* panels, std::size_t count,
                              std::size_t width, float* product, double* sums) {
  for (std::size_t panel = 0; panel < width / panel_width; ++panel)
    block_product(p, p_stride, rows, panels + panel * count * panel_width, 1, count, product + panel * panel_width, width, false);
  for (std::size_t i = 0; i < rows * width; ++i) sums[i] += product[i];
}

}  // namespace attnscope
