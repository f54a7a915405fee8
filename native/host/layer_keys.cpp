#include "host/layer_keys.h"

namespace attnscope {

void LayerKeys::refresh(const RunContext& run, std::uint32_t layer, std::vector<KvExpansion>& expansions) {
  const std::uint32_t kv_heads = run.plan.model.kv_heads;
  views_.resize(kv_heads);
  expansions.resize(kv_heads);
  const bool fresh = panels_.empty();
  if (fresh) {
    panels_.reserve(kv_heads);
    for (std::uint32_t h = 0; h < kv_heads; ++h) panels_.emplace_back(Rows{nullptr, 0, run.plan.model.head_dim, run.plan.model.head_dim});
  }
  run.pool.parallel_for(kv_heads, [&](std::size_t h, unsigned) {
    const KvView view = run.cache.view(layer, static_cast<std::uint32_t>(h), expansions[h]);
    KeyPanels& panels = panels_[h];
    if (fresh) panels = KeyPanels(view.keys, run.plan.total_tokens());
    else panels.append(view.keys.slice(panels.count(), view.keys.count - panels.count()));
    views_[h] = view;
  });
}

}  // namespace attnscope
