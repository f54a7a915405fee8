#include "views.h"

#include <algorithm>

namespace attnscope {
namespace {

/// Sum over x in [begin, end) of clamp(x, low, high) - low.
std::int64_t clamped_sum(std::int64_t begin, std::int64_t end, std::int64_t low, std::int64_t high) {
  const std::int64_t rise_begin = std::clamp(low, begin, end);
  const std::int64_t rise_end = std::clamp(high, begin, end);
  const std::int64_t rising = (rise_end - rise_begin) * (rise_begin + rise_end - 1 - 2 * low) / 2;
  return rising + (end - rise_end) * (high - low);
}

}  // namespace

// Query i sees keys [i + 1 - window, i + 1), so within `columns` it sees clamp(i + 1) - clamp(i + 1 - window) of them.
std::uint64_t visible_pairs(TokenRange rows, TokenRange columns, Visibility visibility) {
  if (rows.begin >= rows.end || columns.begin >= columns.end) return 0;
  const std::int64_t begin = std::int64_t{rows.begin} + 1, end = std::int64_t{rows.end} + 1, window = visibility.window;
  std::int64_t pairs = clamped_sum(begin, end, columns.begin, columns.end);
  if (window != 0) pairs -= clamped_sum(begin - window, end - window, columns.begin, columns.end);
  return static_cast<std::uint64_t>(pairs);
}

}  // namespace attnscope
