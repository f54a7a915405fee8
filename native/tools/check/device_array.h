// Memory of the device between guard zones, and vectors of heads in the layouts that kernels are given.
#pragma once
#include <cstring>

#include "tools/check/session.h"

namespace attnscope::check_kernels {

/// `count` values between two guard zones. Everything is 0xFF at first: NaN as fp32, fp16, bf16 and fp64, an index far outside.
template <class T>
class DeviceArray {
 public:
  DeviceArray(Session& session, std::size_t count) : device_(session.device), count_(count) {
    memory_ = static_cast<std::byte*>(device_.allocate(bytes() + 2 * guard_bytes));
    if (memory_ != nullptr) device_.fill(memory_, poison, bytes() + 2 * guard_bytes);
  }
  DeviceArray(Session& session, std::span<const T> values) : DeviceArray(session, values.size()) { upload(values); }
  DeviceArray(Session& session, const std::vector<T>& values) : DeviceArray(session, std::span<const T>(values)) {}
  ~DeviceArray() { device_.release(memory_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + guard_bytes); }
  void upload(std::span<const T> values) {
    if (memory_ != nullptr && !values.empty()) device_.upload(data(), values.data(), values.size_bytes());
  }
  std::vector<T> download() const {
    std::vector<T> values(count_);
    if (memory_ != nullptr && count_ != 0) fetch(values.data(), data(), bytes());
    return values;
  }
  /// Whether nothing was written outside the array.
  bool guarded() const {
    if (memory_ == nullptr) return false;
    std::vector<std::uint8_t> zone(guard_bytes);
    for (const std::size_t at : {std::size_t{0}, guard_bytes + bytes()}) {
      fetch(zone.data(), memory_ + at, guard_bytes);
      if (std::any_of(zone.begin(), zone.end(), [](std::uint8_t byte) { return byte != poison; })) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t guard_bytes = 256;  // keeps the alignment of allocations
  static constexpr std::uint8_t poison = 0xFF;
  std::size_t bytes() const { return count_ * sizeof(T); }
  void fetch(void* to, const void* from, std::size_t n) const {
    device_.download(to, from, n);
    device_.synchronize();
  }

  KernelDevice& device_;
  std::size_t count_;
  std::byte* memory_ = nullptr;
};

enum class Layout { by_head, by_token, gaps };  // [heads][rows][dim]; [rows][heads][dim]; by head, rows 8 elements apart

/// Vectors of heads: values as the dtype holds them, in fp64 for references, and on the device.
class HeadVectors {
 public:
  /// Normal random values times `spread`.
  HeadVectors(Session& session, DType dtype, std::size_t heads, std::size_t rows, std::size_t dim, Layout layout, float spread);
  /// From a function of (head, row, channel).
  HeadVectors(Session& session, DType dtype, std::size_t heads, std::size_t rows, std::size_t dim, Layout layout,
              const std::function<float(std::size_t, std::size_t, std::size_t)>& value);

  const double* row(std::size_t head, std::size_t i) const { return values_.data() + (head * rows_ + i) * dim_; }
  HeadTensor tensor() const { return {bytes_.data(), head_stride_, row_stride_}; }
  std::size_t dim() const { return dim_; }

 private:
  std::size_t rows_, dim_, head_stride_, row_stride_;
  std::vector<double> values_;
  DeviceArray<std::byte> bytes_;
};

/// An output of vectors of heads, poisoned.
class HeadOutput {
 public:
  HeadOutput(Session& session, DType dtype, std::size_t heads, std::size_t rows, std::size_t dim, Layout layout);
  HeadTensor tensor() const { return {bytes_.data(), head_stride_, row_stride_}; }
  /// [heads][rows][dim]; all NaN where a guard zone or a gap between rows was written to.
  std::vector<float> download() const;

 private:
  DType dtype_;
  std::size_t heads_, rows_, dim_, head_stride_, row_stride_;
  DeviceArray<std::byte> bytes_;
};

double dot(const double* a, const double* b, std::size_t n);

}  // namespace attnscope::check_kernels
