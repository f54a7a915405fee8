// Large arrays that report exhausted memory as an error: std::vector would end the process, because exceptions are off.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

#include "host/failure.h"

namespace attnscope {

template <class T>
class Buffer {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  Buffer() = default;

  /// `count` elements, 64-byte aligned, contents undefined.
  static Result<Buffer> allocate(std::size_t count, std::string_view purpose) {
    Buffer buffer;
    const std::size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
    if (bytes != 0) {
      buffer.data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
      if (!buffer.data_)
        return failure("E_OUT_OF_MEMORY", "cannot allocate ", bytes >> 20, " MiB for ", purpose,
                       "; use a shorter prompt or a machine with more memory");
    }
    buffer.count_ = count;
    return buffer;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return count_; }
  std::span<T> span() { return {data_.get(), count_}; }
  std::span<const T> span() const { return {data_.get(), count_}; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  struct Free { void operator()(T* p) const { std::free(p); } };
  std::unique_ptr<T[], Free> data_;
  std::size_t count_ = 0;
};

}  // namespace attnscope
