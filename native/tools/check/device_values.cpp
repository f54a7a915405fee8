#include "tools/check/device_values.h"

namespace attnscope::check_kernels {

DeviceValues::DeviceValues(Session& session, DType dtype, std::size_t count, std::size_t shift)
    : dtype_(dtype), count_(count), shift_(shift), bytes_(session, (count + shift) * size_of(dtype)) {}

DeviceValues::DeviceValues(Session& session, DType dtype, std::size_t count, std::size_t shift, const std::function<float(std::size_t)>& value)
    : DeviceValues(session, dtype, count, shift) {
  values_.resize(count);
  for (std::size_t i = 0; i < count; ++i) values_[i] = value(i);
  std::vector<std::byte> stored((count + shift) * size_of(dtype), std::byte{0xFF});
  std::byte* first = stored.data() + shift * size_of(dtype);
  from_float(dtype, values_.data(), count, first);
  to_float(dtype, first, count, values_.data());
  bytes_.upload(stored);
}

std::vector<float> DeviceValues::download() const {
  const std::vector<std::byte> stored = bytes_.download();
  const auto first = stored.begin() + static_cast<std::ptrdiff_t>(shift_ * size_of(dtype_));
  std::vector<float> values(count_);
  to_float(dtype_, stored.data() + shift_ * size_of(dtype_), count_, values.data());
  if (!bytes_.guarded() || std::any_of(stored.begin(), first, [](std::byte b) { return b != std::byte{0xFF}; }))
    std::fill(values.begin(), values.end(), std::numeric_limits<float>::quiet_NaN());
  return values;
}

double rounded(DType dtype, double x) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int bits = dtype == DType::f32 ? 24 : dtype == DType::f16 ? 11 : 8, lowest = dtype == DType::f16 ? -14 : -126, highest = dtype == DType::f16 ? 15 : 127;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(x), lowest) - bits + 1);
  const double value = std::nearbyint(x / unit) * unit;  // to even in the rounding mode that programs start in
  return std::ilogb(value) > highest ? std::copysign(infinite, x) : value;
}

}  // namespace attnscope::check_kernels
