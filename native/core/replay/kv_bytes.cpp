#include <algorithm>
#include <cmath>

#include "core/replay/metrics.h"

namespace attnscope {

KvBytes kv_bytes(std::span<const double> tokens_by_kv_head, std::uint32_t head_dim, double bytes_per_element, std::uint32_t page) {
  const double token_bytes = 2.0 * head_dim * bytes_per_element;
  KvBytes bytes;
  double longest = 0;
  for (const double tokens : tokens_by_kv_head) {
    bytes.ideal += tokens * token_bytes;
    bytes.paged += std::ceil(tokens / page) * page * token_bytes;
    longest = std::max(longest, tokens);
  }
  bytes.rectangular = longest * static_cast<double>(tokens_by_kv_head.size()) * token_bytes;
  return bytes;
}

}  // namespace attnscope
