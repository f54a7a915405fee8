#include "core/policy/lagkv_size.h"

#include <algorithm>

namespace attnscope {

std::uint32_t lagkv_kept(std::uint32_t tokens, std::uint32_t sink, std::uint32_t lag, double ratio) {
  if (lag == 0 || tokens < sink + 2ull * lag) return tokens;
  const std::uint32_t partitions = (tokens - sink) / lag, remainder = (tokens - sink) % lag;
  return sink + static_cast<std::uint32_t>(ratio * lag) * (partitions - 1) + lag + remainder;
}

std::optional<std::uint32_t> lagkv_partition_tokens(std::uint32_t budget, std::uint32_t tokens, std::uint32_t sink, std::uint32_t lag) {
  if (budget >= tokens) return lag;
  if (lag == 0 || tokens < sink + 2ull * lag) return std::nullopt;
  const std::uint32_t partitions = (tokens - sink) / lag, always = sink + lag + (tokens - sink) % lag;
  if (budget < always) return std::nullopt;
  return std::min((budget - always) / (partitions - 1), lag);
}

std::uint32_t kvpress_kept(std::uint32_t tokens, double compression_ratio) {
  return compression_ratio == 0 ? tokens : static_cast<std::uint32_t>(tokens * (1 - compression_ratio));
}

}  // namespace attnscope
