#include "host/matmul_kernel.h"

#include <algorithm>

#include "core/simd.h"

namespace attnscope::kernel {
namespace {

using simd::load;
using simd::store;
using Vector = simd::f32x8;
constexpr std::size_t kLanes = simd::lanes;

/// Transposes an 8 x 8 block: source rows `stride` apart, destination rows kPanel apart.
inline void transpose8(const float* source, std::size_t stride, float* destination) {
  Vector r[8], t[8];
  for (int i = 0; i < 8; ++i) r[i] = load(source + i * stride);
  for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      r[i + j] = __builtin_shufflevector(t[i + j], t[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      r[i + j + 2] = __builtin_shufflevector(t[i + j], t[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int j = 0; j < 4; ++j) {
    store(destination + j * kPanel, __builtin_shufflevector(r[j], r[j + 4], 0, 1, 2, 3, 8, 9, 10, 11));
    store(destination + (j + 4) * kPanel, __builtin_shufflevector(r[j], r[j + 4], 4, 5, 6, 7, 12, 13, 14, 15));
  }
}

/// One micro-tile: R rows by 16 columns over `depth` steps, kept in registers.
template <std::size_t R>
void micro_tile(const float* in, std::size_t stride, std::size_t depth, const float* panel, Vector (&sum)[R][2]) {
  for (std::size_t i = 0; i < R; ++i) sum[i][0] = sum[i][1] = Vector{};
  for (std::size_t k = 0; k < depth; ++k) {
    const Vector b0 = load(panel + k * kPanel), b1 = load(panel + k * kPanel + kLanes);
    for (std::size_t i = 0; i < R; ++i) {
      const float a = in[i * stride + k];
      sum[i][0] += a * b0;
      sum[i][1] += a * b1;
    }
  }
}

template <std::size_t R>
void tile_rows(const float* in, std::size_t stride, std::size_t depth, const float* panel, std::size_t columns,
               bool accumulate, float* out, std::size_t out_stride) {
  Vector sum[R][2];
  micro_tile<R>(in, stride, depth, panel, sum);
  for (std::size_t i = 0; i < R; ++i) {
    float* row = out + i * out_stride;
    if (columns == kPanel) {
      for (std::size_t half = 0; half < 2; ++half)
        store(row + half * kLanes, accumulate ? load(row + half * kLanes) + sum[i][half] : sum[i][half]);
    } else {
      float values[kPanel];
      store(values, sum[i][0]);
      store(values + kLanes, sum[i][1]);
      for (std::size_t c = 0; c < columns; ++c) row[c] = accumulate ? row[c] + values[c] : values[c];
    }
  }
}

}  // namespace

void pack_panels(DType dtype, const void* const* weight_rows, std::size_t rows, std::size_t k, std::size_t depth,
                 float* staging, float* panels) {
  for (std::size_t first = 0; first < rows; first += kPanel, panels += depth * kPanel) {
    for (std::size_t i = 0; i < kPanel; ++i) {
      float* row = staging + i * kDepth;
      if (first + i < rows)
        to_float(dtype, static_cast<const char*>(weight_rows[first + i]) + k * size_of(dtype), depth, row);
      else
        std::fill_n(row, depth, 0.f);
    }
    std::size_t c = 0;
    for (; c + kLanes <= depth; c += kLanes)
      for (std::size_t half = 0; half < kPanel; half += kLanes)
        transpose8(staging + half * kDepth + c, kDepth, panels + c * kPanel + half);
    for (; c < depth; ++c)
      for (std::size_t i = 0; i < kPanel; ++i) panels[c * kPanel + i] = staging[i * kDepth + c];
  }
}

void multiply_panel(Rows in, std::size_t k, std::size_t depth, const float* panel, std::size_t columns, bool accumulate,
                    MutableRows out, std::size_t out_column) {
  std::size_t i = 0;
  auto go = [&]<std::size_t R>() {
    tile_rows<R>(in.row(i) + k, in.stride, depth, panel, columns, accumulate, out.row(i) + out_column, out.stride);
    i += R;
  };
  while (i + kTileRows <= in.count) go.template operator()<kTileRows>();
  switch (in.count - i) {
    case 5: go.template operator()<5>(); break;
    case 4: go.template operator()<4>(); break;
    case 3: go.template operator()<3>(); break;
    case 2: go.template operator()<2>(); break;
    case 1: go.template operator()<1>(); break;
    default: break;
  }
}

float dot(const float* a, const float* b, std::size_t n) {
  Vector sum[4] = {};
  std::size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
    for (std::size_t j = 0; j < 4; ++j) sum[j] += load(a + i + j * kLanes) * load(b + i + j * kLanes);
  const Vector folded = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  float total = simd::horizontal_sum(folded);
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

}  // namespace attnscope::kernel
