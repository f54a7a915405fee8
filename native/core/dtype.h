// Storage types of weights and captured vectors and their conversion to and from float32.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace attnscope {

enum class DType : std::uint8_t { f32 = 0, f16 = 1, bf16 = 2 };
inline std::size_t size_of(DType t) { return t == DType::f32 ? 4 : 2; }

/// n values of type `from` at `source` to float32.
void to_float(DType from, const void* source, std::size_t n, float* out);

/// float32 to `to`, round to nearest even. Returns the number of finite inputs that became infinite (f16 overflow).
std::size_t from_float(DType to, const float* source, std::size_t n, void* out);

/// Rounds values in place to what `to` can hold, so that computing and storing use the same numbers.
/// Returns the number of finite inputs that overflowed.
std::size_t round_in_place(DType to, std::span<float> values);

}  // namespace attnscope
