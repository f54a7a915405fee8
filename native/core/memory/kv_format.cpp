#include "core/memory/kv_format.h"

namespace attnscope::memory {
namespace kv_formats {
namespace {

std::uint64_t groups(std::uint64_t n, std::uint32_t group) { return group == 0 ? (n > 0) : (n + group - 1) / group; }

}  // namespace
}  // namespace kv_formats

std::uint64_t stored_bytes(KvType type, const KvScales& scales, std::uint64_t element_bytes, std::uint64_t tokens, std::uint64_t heads,
                           std::uint64_t head_dim) {
  const std::uint64_t channels = heads * head_dim;
  if (type == KvType::model) return element_bytes * tokens * channels;
  const std::uint64_t bits = type == KvType::int8 ? 8 : 4, rows = (tokens * channels * bits + 7) / 8;
  const std::uint64_t count = scales.per == KvScales::Per::channel ? channels * kv_formats::groups(tokens, scales.group)
                                                                   : tokens * heads * kv_formats::groups(head_dim, scales.group);
  return rows + count * scales.bytes * (scales.zero_point ? 2 : 1);
}

}  // namespace attnscope::memory
