#include "core/policy/synthetic_indices.h"

namespace attnscope {

std::vector<std::uint32_t> draw_runs(std::uint32_t n, std::uint32_t count, std::uint32_t length, std::uint32_t forced, const seeded::Stream& random) {
  std::vector<std::uint32_t> drawn;
  std::vector<std::uint8_t> member(n);
  const auto add = [&](std::uint32_t i) {
    if (drawn.size() == count || i >= n || member[i]) return;
    member[i] = 1;
    drawn.push_back(i);
  };
  for (std::uint32_t i = 0; i < forced; ++i) add(i);
  const bool one_run = length == 0 || length >= count;
  const std::uint32_t starts = length == 0 ? 1 : one_run ? n - count + 1 : n;
  for (std::uint64_t run = 0; drawn.size() < count; ++run) {
    const auto start = static_cast<std::uint32_t>(random.uniform(run) * starts);
    for (std::uint32_t i = 0; i < (one_run ? count : length); ++i) add(start + i);
  }
  return drawn;
}

}  // namespace attnscope
