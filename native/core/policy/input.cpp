#include "core/policy/input.h"

#include <algorithm>

namespace attnscope {

std::size_t QueryRows::find(std::uint32_t position) const {
  const auto found = std::lower_bound(positions.begin(), positions.end(), position);
  return found != positions.end() && *found == position ? static_cast<std::size_t>(found - positions.begin()) : npos;
}

}  // namespace attnscope
