#include "dtype.h"

#include <bit>
#include <cstring>

// The 16-bit conversions are written without branches on the value so that compilers turn the loops into SIMD.
namespace attnscope {
namespace {

constexpr std::uint32_t f32_infinity = 0x7F800000;

float f16_to_float(std::uint16_t h) {
  const std::uint32_t magnitude = h & 0x7FFFu;
  // Exponent and mantissa moved into place, then rebased by 2^(127 - 15): exact for subnormals as well.
  const float rebased = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const std::uint32_t special = magnitude >= 0x7C00u ? f32_infinity : 0u;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(rebased) | special | (std::uint32_t{h} & 0x8000u) << 16);
}

std::uint16_t float_to_f16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  // Below 2^-14 the result is a multiple of 2^-24, the unit of 0.5 in float32: adding 0.5 rounds to it.
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<std::uint32_t>(0.5f);
  const std::uint32_t normal = (magnitude + 0xFFFu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  const std::uint32_t quiet_nan = 0x7E00u | ((magnitude >> 13) & 0x3FFu);
  std::uint32_t h = magnitude < 0x38800000u ? subnormal : normal;
  h = magnitude >= 0x477FF000u ? 0x7C00u : h;  // 65520, half way between the largest finite value and 65536
  h = magnitude > f32_infinity ? quiet_nan : h;
  return static_cast<std::uint16_t>(h | ((bits >> 16) & 0x8000u));
}

float bf16_to_float(std::uint16_t b) { return std::bit_cast<float>(std::uint32_t{b} << 16); }

std::uint16_t float_to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7FFFFFFFu) > f32_infinity ? quiet_nan : rounded);
}

bool is_finite(float x) { return (std::bit_cast<std::uint32_t>(x) & f32_infinity) != f32_infinity; }

template <class Decode>
void decode_all(const void* source, std::size_t n, float* out, Decode decode) {
  const auto* bytes = static_cast<const unsigned char*>(source);  // a mapped file aligns nothing
  for (std::size_t i = 0; i < n; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, 2);
    out[i] = decode(bits);
  }
}

template <class Encode, class Decode>
std::size_t encode_all(const float* source, std::size_t n, std::uint16_t* out, Encode encode, Decode decode) {
  std::size_t overflows = 0;
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = encode(source[i]);
    overflows += is_finite(source[i]) && !is_finite(decode(out[i]));
  }
  return overflows;
}

template <class Encode, class Decode>
std::size_t round_all(std::span<float> values, Encode encode, Decode decode) {
  std::size_t overflows = 0;
  for (float& x : values) {
    const float rounded = decode(encode(x));
    overflows += is_finite(x) && !is_finite(rounded);
    x = rounded;
  }
  return overflows;
}

}  // namespace

void to_float(DType from, const void* source, std::size_t n, float* out) {
  switch (from) {
    case DType::f32: if (n != 0) std::memcpy(out, source, n * sizeof(float)); return;
    case DType::f16: return decode_all(source, n, out, f16_to_float);
    case DType::bf16: return decode_all(source, n, out, bf16_to_float);
  }
}

std::size_t from_float(DType to, const float* source, std::size_t n, void* out) {
  switch (to) {
    case DType::f32: if (n != 0) std::memcpy(out, source, n * sizeof(float)); return 0;
    case DType::f16: return encode_all(source, n, static_cast<std::uint16_t*>(out), float_to_f16, f16_to_float);
    case DType::bf16: return encode_all(source, n, static_cast<std::uint16_t*>(out), float_to_bf16, bf16_to_float);
  }
  return 0;
}

std::size_t round_in_place(DType to, std::span<float> values) {
  switch (to) {
    case DType::f32: return 0;
    case DType::f16: return round_all(values, float_to_f16, f16_to_float);
    case DType::bf16: return round_all(values, float_to_bf16, bf16_to_float);
  }
  return 0;
}

}  // namespace attnscope
