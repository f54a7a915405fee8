// Rotary position embedding, half-split as Hugging Face Llama: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin).
#pragma once
#include <span>
#include <vector>

#include "result.h"
#include "views.h"

namespace attnscope {

enum class RopeType { standard, llama3 };

struct RopeConfig {
  RopeType type = RopeType::standard;
  double theta = 10000;
  // llama3 scaling (Llama 3.1): wavelengths above original/low are divided by factor, below original/high kept,
  // between them interpolated.
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4, original_max_positions = 8192;
};

/// head_dim / 2 inverse frequencies in radians per token.
Result<std::vector<float>> inverse_frequencies(const RopeConfig& config, std::size_t head_dim);

/// cos and sin of every angle of `count` consecutive positions, [count][head_dim / 2]: computed once, shared by all heads.
/// Angles are fp32 products of position and inverse frequency, as in transformers.
struct Rotations {
  std::uint32_t first_position = 0;
  std::size_t count = 0, half = 0;
  std::vector<float> cos, sin;
};
Rotations make_rotations(std::uint32_t first_position, std::size_t count, std::span<const float> inverse_frequencies);

/// Rotates one vector of 2 * half channels by half angles.
void rotate_vector(float* vector, const float* cos, const float* sin, std::size_t half);

/// Rotates row r by position first_position + r, which `rotations` must cover.
void apply_rope(MutableRows rows, std::uint32_t first_position, const Rotations& rotations);

/// The same for a single use: makes the rotations of its rows itself.
void apply_rope(MutableRows rows, std::uint32_t first_position, std::span<const float> inverse_frequencies);

}  // namespace attnscope
