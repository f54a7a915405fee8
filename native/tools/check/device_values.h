// Plain arrays of the operations of a model, in any precision and anywhere in memory that their elements may lie, with what
// results are measured by: rounding, element by element.
#pragma once
#include "tools/check/device_array.h"

namespace attnscope::check_kernels {

/// `count` values that start `shift` elements after an aligned address.
class DeviceValues {
 public:
  /// An output, poisoned.
  DeviceValues(Session& session, DType dtype, std::size_t count, std::size_t shift);
  /// An input, or an output that is added to, of what the dtype makes of value(0), value(1), ...
  DeviceValues(Session& session, DType dtype, std::size_t count, std::size_t shift, const std::function<float(std::size_t)>& value);

  void* data() const { return bytes_.data() + shift_ * size_of(dtype_); }
  template <class T> T* as() const { return static_cast<T*>(data()); }
  float operator[](std::size_t i) const { return values_[i]; }
  std::size_t size() const { return count_; }
  /// As the device has them now; all NaN where something outside was written to.
  std::vector<float> download() const;

 private:
  DType dtype_;
  std::size_t count_, shift_;
  std::vector<float> values_;
  DeviceArray<std::byte> bytes_;
};

/// Unit roundoff: the largest relative error of rounding to nearest. The smallest normal number that obeys it.
inline double roundoff(DType dtype) { return dtype == DType::f32 ? 0x1p-24 : dtype == DType::f16 ? 0x1p-11 : 0x1p-8; }
inline double smallest_normal(DType dtype) { return dtype == DType::f16 ? 0x1p-14 : 0x1p-126; }

/// x to the nearest value of the dtype, ties to even, infinite where it is too large: written out, since it is what is checked.
double rounded(DType dtype, double x);

/// How wrong a result is, as a share of the size of what it was made of; 0 where both are NaN or the same infinity.
inline double element_error(double got, double expected, double size) {
  if (std::isnan(expected) || std::isinf(expected)) return std::isnan(expected) ? (std::isnan(got) ? 0 : infinite) : (got == expected ? 0 : infinite);
  if (!std::isfinite(got)) return infinite;
  return got == expected ? 0 : std::fabs(got - expected) / size;
}

/// In [-1, 1).
inline float uniform(Session& session) { return static_cast<float>(static_cast<std::int64_t>(session.random())) * 0x1p-63f; }

}  // namespace attnscope::check_kernels
