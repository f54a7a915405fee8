#include "host/table_emitter.h"

#include <numeric>

namespace attnscope {

Column counting(const char* name, std::size_t rows, std::uint32_t first) {
  std::vector<std::uint32_t> values(rows);
  std::iota(values.begin(), values.end(), first);
  return {name, 1, std::move(values)};
}

}  // namespace attnscope
