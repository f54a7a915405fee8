// A layer's keys and values in the form attention reads: taken from the cache, the keys packed into panels.
#pragma once
#include <vector>

#include "host/run_context.h"

namespace attnscope {

class LayerKeys {
 public:
  /// Brings views and panels up to date with the cache, packing only keys that came since the last call, or all that are
  /// left where the cache evicted some. The views' memory for 16-bit caches is `expansions` (one a kv head), which layers may share: refresh before use.
  void refresh(const RunContext& run, std::uint32_t layer, std::vector<KvExpansion>& expansions);

  const KeyPanels& panels(std::size_t kv_head) const { return panels_[kv_head]; }
  const KvView& view(std::size_t kv_head) const { return views_[kv_head]; }
  std::span<const KvView> views() const { return views_; }

 private:
  std::vector<KeyPanels> panels_;
  std::vector<KvView> views_;
  std::vector<std::uint32_t> evictions_;  // that the panels know of
};

}  // namespace attnscope
