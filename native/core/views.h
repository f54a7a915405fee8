// Non-owning views over row-major float32 data. Included by nvcc as well: no vector types here.
#pragma once
#include <cstddef>
#include <cstdint>

namespace attnscope {

/// `count` rows of `dim` floats, `stride` floats apart.
struct Rows {
  const float* data = nullptr;
  std::size_t count = 0;
  std::size_t dim = 0;
  std::size_t stride = 0;
  const float* row(std::size_t i) const { return data + i * stride; }
  Rows slice(std::size_t begin, std::size_t n) const { return {data + begin * stride, n, dim, stride}; }
};

struct MutableRows {
  float* data = nullptr;
  std::size_t count = 0;
  std::size_t dim = 0;
  std::size_t stride = 0;
  float* row(std::size_t i) const { return data + i * stride; }
  MutableRows slice(std::size_t begin, std::size_t n) const { return {data + begin * stride, n, dim, stride}; }
  operator Rows() const { return {data, count, dim, stride}; }
};

/// Which keys query position i sees: 0..i, or only the last `window` of them (0 = no window).
struct Visibility {
  std::uint32_t window = 0;
  std::uint32_t first_key(std::uint32_t query) const {
    return window != 0 && query + 1 > window ? query + 1 - window : 0;
  }
  bool sees(std::uint32_t query, std::uint32_t key) const { return key <= query && key >= first_key(query); }
};

/// Half-open range of token positions.
struct TokenRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::uint32_t size() const { return end - begin; }
};

/// Number of visible (query, key) pairs with query in `rows` and key in `columns`; closed form, exact.
std::uint64_t visible_pairs(TokenRange rows, TokenRange columns, Visibility visibility);

}  // namespace attnscope
