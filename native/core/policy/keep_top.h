// Which of n scores are the k highest: the one rule every policy shares for ties and NaN.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace attnscope {

/// Sets kept[i] = 1 for the k highest scores and 0 for the others. Ties go to the lowest index; NaN ranks below
/// everything, so it is only kept where k reaches past all numbers. kept.size() == score.size().
template <class T>
void keep_top(std::span<const T> score, std::size_t k, std::span<std::uint8_t> kept);

extern template void keep_top(std::span<const float>, std::size_t, std::span<std::uint8_t>);
extern template void keep_top(std::span<const double>, std::size_t, std::span<std::uint8_t>);

/// Slots with kept[slot - first] == 0, ascending, appended to `out`.
void dropped_slots(std::span<const std::uint8_t> kept, std::size_t first, std::vector<std::uint32_t>& out);

}  // namespace attnscope
