// A KV cache that loses rows: each kv head keeps its own tokens, in position order, at the positions they were computed for.
#pragma once
#include <span>

#include "host/kv_cache.h"

namespace attnscope {

class EvictingKvCache final : public KvCache {
 public:
  EvictingKvCache(const ModelPlan& model, DType dtype);

  Status append(std::uint32_t layer, std::uint32_t kv_head, Rows keys, Rows values) override;
  std::size_t length(std::uint32_t layer, std::uint32_t kv_head) const override { return head(layer, kv_head).positions.size(); }
  KvView view(std::uint32_t layer, std::uint32_t kv_head, KvExpansion& expansion) const override;
  std::uint32_t evictions(std::uint32_t layer, std::uint32_t kv_head) const override { return head(layer, kv_head).evictions; }
  void release(std::uint32_t layer) override;

  /// Drops rows by their ascending indices; memory that falls to less than half used is given back.
  Status evict(std::uint32_t layer, std::uint32_t kv_head, std::span<const std::uint32_t> slots);

  std::span<const std::uint32_t> positions(std::uint32_t layer, std::uint32_t kv_head) const { return head(layer, kv_head).positions; }
  /// Tokens that were ever appended to a kv head: the position of the next.
  std::uint32_t appended(std::uint32_t layer, std::uint32_t kv_head) const { return head(layer, kv_head).appended; }
  /// Tokens of all layers and kv heads held now.
  std::uint64_t tokens() const { return tokens_; }
  /// Bytes of one token of one kv head: its key and its value.
  std::size_t token_bytes() const { return 2 * row_bytes_; }

 private:
  struct Head {
    Buffer<std::uint8_t> keys, values;
    std::vector<std::uint32_t> positions;
    std::size_t capacity = 0;
    std::uint32_t appended = 0;   // position of the next token
    std::uint32_t evictions = 0;
  };
  const Head& head(std::uint32_t layer, std::uint32_t kv_head) const { return heads_[layer * kv_heads_ + kv_head]; }
  Status reserve(Head& head, std::size_t capacity);

  std::size_t kv_heads_, dim_, row_bytes_;
  DType dtype_;
  std::uint64_t tokens_ = 0;
  std::vector<Head> heads_;
};

}  // namespace attnscope
