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

/// Rotates row r by position first_position + r. cos and sin are computed in fp32 from fp32 angles, as transformers does.
void apply_rope(MutableRows rows, std::uint32_t first_position, std::span<const float> inverse_frequencies);

}  // namespace attnscope
