// Vectors of heads as rows of fp32, whatever dtype and layout they have.
#pragma once
#include "core/dtype.h"
#include "core/views.h"
#include "host/kernels/cpu_context.h"

namespace attnscope::cpu {

/// Rows of one head; of 16-bit elements or of fp32.
struct SourceRows {
  DType dtype = DType::f32;
  const std::byte* data = nullptr;
  std::size_t stride = 0, dim = 0;  // in elements

  /// Row i to fp32 with zeros up to `padded` channels.
  void read(std::size_t i, float* out, std::size_t padded) const {
    to_float(dtype, data + i * stride * size_of(dtype), dim, out);
    std::fill(out + dim, out + padded, 0.0f);
  }
  /// Whether rows can be read in place by loads of whole vectors.
  bool in_place(std::size_t lanes) const { return dtype == DType::f32 && dim % lanes == 0; }
  Rows rows(std::size_t count) const { return {reinterpret_cast<const float*>(data), count, dim, stride}; }
};

inline SourceRows source_rows(const HeadTensor& tensor, DType dtype, std::size_t head, std::size_t dim) {
  return {dtype, static_cast<const std::byte*>(tensor.data) + head * tensor.head_stride * size_of(dtype), static_cast<std::size_t>(tensor.row_stride), dim};
}

/// All heads as fp32: where they lie if that can be, else converted once into a buffer of the context.
struct FloatHeads {
  const float* data = nullptr;
  std::size_t head_stride = 0, stride = 0;
  const float* head(std::size_t h) const { return data + h * head_stride; }
};

/// The first `count` rows of every head. Rows get `lanes`-fold channels, padded with zeros (1: as they are). False where the
/// copy does not fit in memory.
bool as_floats(Context& context, Shared buffer, const HeadTensor& tensor, DType dtype, std::size_t heads, std::size_t count, std::size_t dim,
               std::size_t lanes, FloatHeads& out);

/// Writes fp32 values in the dtype of the tensor; how many finite ones became infinite.
inline std::size_t write_row(const HeadTensor& tensor, DType dtype, std::size_t head, std::size_t row, const float* values, std::size_t dim) {
  std::byte* to = static_cast<std::byte*>(tensor.data) + (head * tensor.head_stride + row * tensor.row_stride) * size_of(dtype);
  return from_float(dtype, values, dim, to);
}

}  // namespace attnscope::cpu
