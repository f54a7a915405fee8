#include "core/memory/max_context.h"

#include <algorithm>

namespace attnscope::memory {
namespace contexts {
namespace {

constexpr std::uint32_t longest_prompt = 1u << 28;

Result<Config> at(const ConfigAt& config_at, std::uint32_t tokens) {
  Result<Config> config = config_at(tokens);
  if (config) config.value().prompt_tokens = tokens;
  return config;
}

}  // namespace
}  // namespace contexts

Result<std::uint32_t> max_context_by_bytes(const Implementation& implementation, const ConfigAt& config_at, const ContextSearch& search) {
  const std::uint32_t grid = std::max(1u, search.grid);
  const auto fits = [&](std::uint32_t steps) -> Result<bool> {
    const Result<Config> config = contexts::at(config_at, steps * grid);
    if (!config) return config.error();
    const Result<ClosedForm> form = peak(implementation, config.value());
    if (!form) return form.error();
    return form.value().bytes <= search.budget;
  };
  std::uint32_t low = 0, high = 1;   // low fits, high does not
  for (const std::uint32_t end = contexts::longest_prompt / grid;; low = high, high = std::min(end, 2 * high)) {
    const Result<bool> ok = fits(high);
    if (!ok) return ok.error();
    if (!ok.value()) break;
    if (high == end) return end * grid;
  }
  while (high - low > 1) {
    const std::uint32_t middle = low + (high - low) / 2;
    const Result<bool> ok = fits(middle);
    if (!ok) return ok.error();
    (ok.value() ? low : high) = middle;
  }
  return low * grid;
}

Result<ContextBand> max_context(const Implementation& implementation, const ConfigAt& config_at, const ContextSearch& search) {
  const Result<std::uint32_t> bound = max_context_by_bytes(implementation, config_at, search);
  if (!bound) return bound.error();
  ContextBand band;
  band.by_bytes = bound.value();
  const std::uint32_t grid = std::max(1u, search.grid);
  std::uint32_t in_a_row = 0;
  for (std::uint32_t tokens = band.by_bytes; tokens > 0; tokens -= grid) {
    CachingAllocator allocator({.limit = search.budget, .expandable_segments = search.expandable_segments});
    const Result<Config> config = contexts::at(config_at, tokens);
    if (!config) return config.error();
    if (const Status ran = run_script(implementation, config.value(), allocator); !ran) return ran.error();
    const AllocatorReport report = allocator.report();
    band.tried.push_back({tokens, !report.failed, report.peak_reserved, report.failure});
    if (report.failed) {
      in_a_row = 0;
      continue;
    }
    band.longest = std::max(band.longest, tokens);
    if (++in_a_row == search.confirm) break;
  }
  std::reverse(band.tried.begin(), band.tried.end());
  for (const ContextPoint& point : band.tried) {
    if (!point.feasible) break;
    band.all_below = point.tokens;
  }
  return band;
}

}  // namespace attnscope::memory
