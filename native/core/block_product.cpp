#include "block_product.h"

#include "simd.h"

namespace attnscope {
namespace {

using simd::f32x8;

/// R rows by P panels held in registers over the whole depth.
template <int R, int P>
void micro_kernel(const float* a, std::size_t a_stride, const float* b, std::size_t panel_stride, std::size_t depth,
                  float* c, std::size_t c_stride, bool accumulate) {
  constexpr int vectors = 2 * P;
  f32x8 acc[R][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v)
      acc[r][v] = accumulate ? simd::load(c + r * c_stride + v * simd::lanes) : simd::splat(0.0f);

  for (std::size_t k = 0; k < depth; ++k) {
    f32x8 column[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v)
      column[v] = simd::load(b + (v / 2) * panel_stride + k * panel_width + (v % 2) * simd::lanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const f32x8 x = simd::splat(a[r * a_stride + k]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) acc[r][v] = x * column[v] + acc[r][v];
    }
  }

#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) simd::store(c + r * c_stride + v * simd::lanes, acc[r][v]);
}

using Kernel = void (*)(const float*, std::size_t, const float*, std::size_t, std::size_t, float*, std::size_t, bool);

// WebAssembly's vectors are half as wide, so a row of a panel takes four registers instead of two, of the same 16.
#if defined(__wasm__)
constexpr std::size_t max_rows = 2;
constexpr Kernel one_panel[max_rows + 1] = {nullptr, micro_kernel<1, 1>, micro_kernel<2, 1>};
#else
constexpr std::size_t max_rows = 6;
constexpr Kernel one_panel[max_rows + 1] = {nullptr,           micro_kernel<1, 1>, micro_kernel<2, 1>, micro_kernel<3, 1>,
                                            micro_kernel<4, 1>, micro_kernel<5, 1>, micro_kernel<6, 1>};
#endif

}  // namespace

void block_product(const float* a, std::size_t a_stride, std::size_t rows, const float* b, std::size_t panels,
                   std::size_t depth, float* c, std::size_t c_stride, bool accumulate) {
  const std::size_t panel_stride = depth * panel_width;
  std::size_t p = 0;
  // A single row (decode) has one chain of dependent additions per vector: four panels at once keep both FMA units busy.
  if (rows == 1)
    for (; p + 4 <= panels; p += 4)
      micro_kernel<1, 4>(a, a_stride, b + p * panel_stride, panel_stride, depth, c + p * panel_width, c_stride, accumulate);

  for (; p < panels; ++p) {
    const float* panel = b + p * panel_stride;
    for (std::size_t r = 0; r < rows; r += max_rows) {
      const std::size_t n = rows - r < max_rows ? rows - r : max_rows;
      one_panel[n](a + r * a_stride, a_stride, panel, panel_stride, depth, c + r * c_stride + p * panel_width, c_stride,
                   accumulate);
    }
  }
}

}  // namespace attnscope
