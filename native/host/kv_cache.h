// Where keys and values live between forward passes. Attention and the statistics read them only through this interface.
// A cache that offloads fills the expansion in view(). One that evicts (evicting_cache.h) says at which positions the rows
// lie that it still holds, and counts its evictions, after which LayerKeys repacks instead of appending.
#pragma once
#include <memory>
#include <vector>

#include "core/dtype.h"
#include "core/views.h"
#include "host/buffer.h"
#include "host/plan.h"

namespace attnscope {

/// Keys (post-RoPE) and values of one kv head as float32, in sequence order; valid until the cache changes or the
/// expansion it was made with is reused.
struct KvView {
  Rows keys, values;
  const std::uint32_t* positions = nullptr;  // of the rows, ascending; null: 0, 1, 2, ...
};

/// Memory a cache expands its storage into when that is not float32; one per thread.
struct KvExpansion {
  std::vector<float> keys, values;
};

class KvCache {
 public:
  virtual ~KvCache() = default;

  /// Adds rows that follow the ones already held for this layer and kv head.
  virtual Status append(std::uint32_t layer, std::uint32_t kv_head, Rows keys, Rows values) = 0;
  /// Tokens held for a layer's kv head.
  virtual std::size_t length(std::uint32_t layer, std::uint32_t kv_head) const = 0;
  virtual KvView view(std::uint32_t layer, std::uint32_t kv_head, KvExpansion& expansion) const = 0;
  /// How often rows were dropped so far: rows that a view showed before the last time have moved.
  virtual std::uint32_t evictions(std::uint32_t layer, std::uint32_t kv_head) const { return (void)layer, (void)kv_head, 0; }
  /// Gives a layer's memory back.
  virtual void release(std::uint32_t layer) = 0;
};

/// Keeps every token, in the precision the run rounds vectors to (so that nothing is lost by storing them).
class DenseKvCache final : public KvCache {
 public:
  DenseKvCache(const ModelPlan& model, std::size_t capacity, DType dtype);

  Status append(std::uint32_t layer, std::uint32_t kv_head, Rows keys, Rows values) override;
  std::size_t length(std::uint32_t layer, std::uint32_t kv_head) const override;
  KvView view(std::uint32_t layer, std::uint32_t kv_head, KvExpansion& expansion) const override;
  void release(std::uint32_t layer) override;

 private:
  struct Head {
    Buffer<std::uint8_t> keys, values;
    std::size_t length = 0;
  };
  const Head& head(std::uint32_t layer, std::uint32_t kv_head) const { return heads_[layer * kv_heads_ + kv_head]; }

  std::size_t kv_heads_, dim_, capacity_;
  DType dtype_;
  std::vector<Head> heads_;
};

}  // namespace attnscope
