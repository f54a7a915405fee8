// Random numbers that are the same on every platform and in every build: a value is a function of (what for, seed,
// index), so nothing depends on the order of calls, on threads or on how a library seeds its generator.
#pragma once
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <numbers>
#include <string_view>

namespace attnscope::seeded {

/// The finaliser of splitmix64: a bijection of 64 bits that passes BigCrush on consecutive inputs.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// One sequence, read at any index. `purpose` keeps the streams of different uses of one seed apart.
class Stream {
 public:
  constexpr Stream(std::string_view purpose, std::initializer_list<std::uint64_t> parts) {
    std::uint64_t name = 0xCBF29CE484222325u;  // FNV-1a
    for (const char c : purpose) name = (name ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    state_ = mix(name + step);
    for (const std::uint64_t part : parts) state_ = mix((state_ ^ mix(part + step)) + step);
  }

  constexpr std::uint64_t bits(std::uint64_t index) const { return mix(state_ + (index + 1) * step); }

  /// In [0, 1), a multiple of 2^-53.
  constexpr double uniform(std::uint64_t index) const { return static_cast<double>(bits(index) >> 11) * 0x1p-53; }

  /// Normals 2 pair and 2 pair + 1 of the sequence, N(0,1) by Box-Muller; |x| <= 8.6. Libraries may differ in the last
  /// bit of log, sin and cos, so the last bit of one float in 10^8 may differ too.
  void normal_pair(std::uint64_t pair, float& first, float& second) const {
    const double radius = std::sqrt(-2 * std::log(1 - uniform(2 * pair)));
    const double angle = 2 * std::numbers::pi * uniform(2 * pair + 1);
    first = static_cast<float>(radius * std::cos(angle));
    second = static_cast<float>(radius * std::sin(angle));
  }

 private:
  static constexpr std::uint64_t step = 0x9E3779B97F4A7C15u;
  std::uint64_t state_ = 0;
};

}  // namespace attnscope::seeded
