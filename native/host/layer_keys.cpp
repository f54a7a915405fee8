#include "host/layer_keys.h"

namespace attnscope {
namespace {

/// Tokens that panels packed anew have room for: the cache that shrank once will again before many more have come.
constexpr std::size_t kRoom = 64;

}  // namespace

void LayerKeys::refresh(const RunContext& run, std::uint32_t layer, std::vector<KvExpansion>& expansions) {
  const std::uint32_t kv_heads = run.plan.model.kv_heads;
  views_.resize(kv_heads);
  evictions_.resize(kv_heads);
  expansions.resize(kv_heads);
  const bool fresh = panels_.empty();
  if (fresh) {
    panels_.reserve(kv_heads);
    for (std::uint32_t h = 0; h < kv_heads; ++h) panels_.emplace_back(Rows{nullptr, 0, run.plan.model.head_dim, run.plan.model.head_dim});
  }
  run.pool.parallel_for(kv_heads, [&](std::size_t h, unsigned) {
    const KvView view = run.cache.view(layer, static_cast<std::uint32_t>(h), expansions[h]);
    KeyPanels& panels = panels_[h];
    const std::uint32_t evictions = run.cache.evictions(layer, static_cast<std::uint32_t>(h));
    if (fresh) panels = KeyPanels(view.keys, run.plan.total_tokens());
    else if (evictions != evictions_[h]) panels = KeyPanels(view.keys, view.keys.count + kRoom);
    else panels.append(view.keys.slice(panels.count(), view.keys.count - panels.count()));
    views_[h] = view;
    evictions_[h] = evictions;
  });
}

}  // namespace attnscope
