// Inputs and outputs of kernels in tests: vectors of heads as the dtype holds them, memory that is exactly as long as needed
// and full of NaN.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "core/dtype.h"
#include "host/kernels/kernel_device.h"

namespace attnscope {

/// count values of T from the heap, each byte 0xFF: NaN as a float, an index far outside. 16-byte aligned, as kernels ask for.
template <class T>
class Poisoned {
 public:
  explicit Poisoned(std::size_t count) : count_(count), memory_(new (std::align_val_t{16}) std::byte[count * sizeof(T)]) { std::memset(memory_.get(), 0xFF, count * sizeof(T)); }
  explicit Poisoned(const std::vector<T>& values) : Poisoned(values.size()) {
    if (count_ > 0) std::memcpy(memory_.get(), values.data(), count_ * sizeof(T));
  }
  T* data() { return reinterpret_cast<T*>(memory_.get()); }
  const T* data() const { return reinterpret_cast<const T*>(memory_.get()); }
  std::size_t size() const { return count_; }
  T operator[](std::size_t i) const { return data()[i]; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete[](memory, std::align_val_t{16}); }
  };
  std::size_t count_;
  std::unique_ptr<std::byte[], Free> memory_;
};

/// [heads][rows][dim], or by_token: [rows][heads][dim]; normal values times `spread`.
class Vectors {
 public:
  Vectors(std::mt19937& random, DType dtype, std::size_t heads, std::size_t rows, std::size_t dim, bool by_token = false, float spread = 1)
      : dtype_(dtype), dim_(dim), head_stride_(by_token ? dim : rows * dim), row_stride_(by_token ? heads * dim : dim), values_(heads * rows * dim), memory_(values_.size()) {
    std::normal_distribution<float> normal(0, spread);
    for (float& x : values_) x = normal(random);
    store();
  }
  /// Rounds what row() points at, and stores it.
  void store() {
    round_in_place(dtype_, values_);
    from_float(dtype_, values_.data(), values_.size(), memory_.data());
  }
  float* row(std::size_t head, std::size_t i) { return values_.data() + head * head_stride_ + i * row_stride_; }
  const float* row(std::size_t head, std::size_t i) const { return values_.data() + head * head_stride_ + i * row_stride_; }
  HeadTensor tensor() { return {memory_.data(), head_stride_, row_stride_}; }

 private:
  DType dtype_;
  std::size_t dim_, head_stride_, row_stride_;
  std::vector<float> values_;
  Poisoned<std::uint16_t> memory_;
};

inline double dot(const float* a, const float* b, std::size_t n) {
  double sum = 0;
  for (std::size_t c = 0; c < n; ++c) sum += static_cast<double>(a[c]) * b[c];
  return sum;
}

/// Records the worst of |got - expected| / max(|expected|, least), for the line a test prints.
struct Worst {
  double error = 0;
  void add(double got, double expected, double least = 1) {
    const double here = std::fabs(got - expected) / std::max(std::fabs(expected), least);
    if (!std::isnan(error) && !(here <= error)) error = here;  // NaN is the worst there is
  }
};

inline void accept(Outcome outcome) {
  if (outcome != nullptr) std::printf("  %s\n", outcome);
  CHECK(outcome == nullptr);
}

}  // namespace attnscope
