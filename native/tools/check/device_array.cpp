#include "tools/check/device_array.h"

#include "core/dtype.h"

namespace attnscope::check_kernels {
namespace {

struct Strides {
  std::size_t head, row, total;
};

Strides strides_of(Layout layout, std::size_t heads, std::size_t rows, std::size_t dim) {
  constexpr std::size_t gap = 8;  // 16 bytes of 16-bit elements: rows stay as aligned as kernels ask for
  switch (layout) {
    case Layout::by_head: return {rows * dim, dim, heads * rows * dim};
    case Layout::by_token: return {dim, heads * dim, heads * rows * dim};
    case Layout::gaps: return {rows * (dim + gap), dim + gap, heads * rows * (dim + gap)};
  }
  return {};
}

}  // namespace

HeadVectors::HeadVectors(Session& session, DType dtype, std::size_t heads, std::size_t rows, std::size_t dim, Layout layout, float spread)
    : HeadVectors(session, dtype, heads, rows, dim, layout, [&session, normal = std::normal_distribution<float>(0, spread)](auto, auto, auto) mutable {
        return normal(session.random);
      }) {}

HeadVectors::HeadVectors(Session& session, DType dtype, std::size_t heads, std::size_t rows, std::size_t dim, Layout layout,
                         const std::function<float(std::size_t, std::size_t, std::size_t)>& value)
    : rows_(rows), dim_(dim), head_stride_(strides_of(layout, heads, rows, dim).head), row_stride_(strides_of(layout, heads, rows, dim).row),
      bytes_(session, strides_of(layout, heads, rows, dim).total * size_of(dtype)) {
  const std::size_t total = strides_of(layout, heads, rows, dim).total, size = size_of(dtype);
  std::vector<std::byte> stored(total * size, std::byte{0xFF});  // gaps hold NaN: nobody may compute with them
  std::vector<float> row(dim);
  for (std::size_t h = 0; h < heads; ++h)
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t c = 0; c < dim; ++c) row[c] = value(h, i, c);
      round_in_place(dtype, row);
      values_.insert(values_.end(), row.begin(), row.end());
      from_float(dtype, row.data(), dim, stored.data() + (h * head_stride_ + i * row_stride_) * size);
    }
  bytes_.upload(stored);
}

HeadOutput::HeadOutput(Session& session, DType dtype, std::size_t heads, std::size_t rows, std::size_t dim, Layout layout)
    : dtype_(dtype), heads_(heads), rows_(rows), dim_(dim), head_stride_(strides_of(layout, heads, rows, dim).head),
      row_stride_(strides_of(layout, heads, rows, dim).row), bytes_(session, strides_of(layout, heads, rows, dim).total * size_of(dtype)) {}

std::vector<float> HeadOutput::download() const {
  const std::vector<std::byte> stored = bytes_.download();
  const std::size_t size = size_of(dtype_);
  std::vector<float> values(heads_ * rows_ * dim_);
  std::vector<std::uint8_t> written(stored.size());
  for (std::size_t h = 0; h < heads_; ++h)
    for (std::size_t i = 0; i < rows_; ++i) {
      const std::size_t at = (h * head_stride_ + i * row_stride_) * size;
      to_float(dtype_, stored.data() + at, dim_, values.data() + (h * rows_ + i) * dim_);
      std::fill_n(written.begin() + static_cast<std::ptrdiff_t>(at), dim_ * size, std::uint8_t{1});
    }
  bool intact = bytes_.guarded();
  for (std::size_t i = 0; i < stored.size(); ++i) intact = intact && (written[i] || stored[i] == std::byte{0xFF});
  if (!intact) std::fill(values.begin(), values.end(), std::numeric_limits<float>::quiet_NaN());
  return values;
}

double dot(const double* a, const double* b, std::size_t n) {
  double sum = 0;
  for (std::size_t c = 0; c < n; ++c) sum += a[c] * b[c];
  return sum;
}

}  // namespace attnscope::check_kernels
