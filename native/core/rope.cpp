#include "rope.h"

#include <cmath>
#include <numbers>

namespace attnscope {
namespace {

/// Llama 3.1's frequency scaling, in fp32 as transformers computes it.
float scale_llama3(float frequency, const RopeConfig& config) {
  const auto original = static_cast<float>(config.original_max_positions);
  const auto low = static_cast<float>(config.low_freq_factor), high = static_cast<float>(config.high_freq_factor);
  const auto factor = static_cast<float>(config.factor);
  const float wavelength = static_cast<float>(2 * std::numbers::pi) / frequency;
  if (wavelength > original / low) return frequency / factor;
  if (wavelength < original / high) return frequency;
  const float smooth = (original / wavelength - low) / (high - low);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

Error invalid(const char* what) { return {"E_ROPE_CONFIG", std::string("RoPE needs ") + what + "; correct rope parameters in config.json."}; }

}  // namespace

Result<std::vector<float>> inverse_frequencies(const RopeConfig& config, std::size_t head_dim) {
  if (head_dim == 0 || head_dim % 2 != 0) return invalid("an even head_dim");
  if (!(config.theta > 0)) return invalid("rope_theta above 0");
  if (config.type == RopeType::llama3 &&
      !(config.factor > 0 && config.low_freq_factor > 0 && config.high_freq_factor > config.low_freq_factor && config.original_max_positions > 0))
    return invalid("factor > 0, 0 < low_freq_factor < high_freq_factor and original_max_position_embeddings > 0");

  std::vector<float> frequencies(head_dim / 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    const float frequency = 1.0f / static_cast<float>(std::pow(config.theta, static_cast<double>(exponent)));
    frequencies[i] = config.type == RopeType::llama3 ? scale_llama3(frequency, config) : frequency;
  }
  return frequencies;
}

Rotations make_rotations(std::uint32_t first_position, std::size_t count, std::span<const float> inverse_frequencies) {
  const std::size_t half = inverse_frequencies.size();
  Rotations rotations{first_position, count, half, std::vector<float>(count * half), std::vector<float>(count * half)};
  for (std::size_t r = 0; r < count; ++r) {
    const auto position = static_cast<float>(first_position + r);
    for (std::size_t i = 0; i < half; ++i) {
      const double angle = position * inverse_frequencies[i];  // rounded to fp32 by the product; its cosine is then exact to fp32
      rotations.cos[r * half + i] = static_cast<float>(std::cos(angle));
      rotations.sin[r * half + i] = static_cast<float>(std::sin(angle));
    }
  }
  return rotations;
}

void rotate_vector(float* vector, const float* cos, const float* sin, std::size_t half) {
  float* x1 = vector;
  float* x2 = vector + half;
  for (std::size_t i = 0; i < half; ++i) {
    const float a = x1[i], b = x2[i];
    x1[i] = a * cos[i] - b * sin[i];
    x2[i] = b * cos[i] + a * sin[i];
  }
}

void apply_rope(MutableRows rows, std::uint32_t first_position, const Rotations& rotations) {
  const std::size_t half = rotations.half, skipped = first_position - rotations.first_position;
  for (std::size_t r = 0; r < rows.count; ++r) {
    const std::size_t at = (skipped + r) * half;
    rotate_vector(rows.row(r), rotations.cos.data() + at, rotations.sin.data() + at, half);
  }
}

void apply_rope(MutableRows rows, std::uint32_t first_position, std::span<const float> inverse_frequencies) {
  apply_rope(rows, first_position, make_rotations(first_position, rows.count, inverse_frequencies));
}

}  // namespace attnscope
