#include "core/memory/hf_cache.h"

#include <utility>

namespace attnscope::memory {

HfCache::HfCache(const Config& config, Recorder& recorder) : config_(config), r_(recorder) {
  const Offload::Unit unit = config.scheme.offload.unit;
  parts_ = unit == Offload::Unit::head ? config.model.kv_heads : 1;
  slots_.resize(std::size_t{config.model.layers} * parts_);
  offloaded_ = unit != Offload::Unit::none && slots_.size() > 2;  // the code evicts nothing from two caches
}

std::uint64_t HfCache::key_bytes(std::uint64_t tokens) const {
  return stored_bytes(config_.kv.type, config_.kv.keys, size_of(config_.dtype), tokens, config_.model.kv_heads / parts_, config_.model.head_dim);
}
std::uint64_t HfCache::value_bytes(std::uint64_t tokens) const {
  return stored_bytes(config_.kv.type, config_.kv.values, size_of(config_.dtype), tokens, config_.model.kv_heads / parts_, config_.model.head_dim);
}
std::uint64_t HfCache::plain_bytes(std::uint64_t tokens) const {
  return stored_bytes(KvType::model, {}, size_of(config_.dtype), tokens, config_.model.kv_heads / parts_, config_.model.head_dim);
}

Category HfCache::fresh(std::uint32_t slot) const {
  const bool kept = config_.scheme.cache == Scheme::Cache::growing && !config_.kv.quantized() && slots_[slot].tokens == 0;
  return kept ? Category::kv : Category::attention;
}

void HfCache::allocate(std::uint64_t tokens) {
  for (Slot& slot : slots_) {
    slot.k = r_.alloc(key_bytes(tokens), Category::kv, Op::inputs);
    slot.v = r_.alloc(value_bytes(tokens), Category::kv, Op::inputs);
  }
}

void HfCache::append(std::uint32_t at, Block k, Block v, std::uint64_t added) {
  Slot& slot = slots_[at];
  const auto count = static_cast<std::uint32_t>(slots_.size());
  const std::uint64_t held = std::exchange(slot.tokens, slot.tokens + added);
  const bool in_place = config_.scheme.cache == Scheme::Cache::in_place, quantized = config_.kv.quantized();
  if (offloaded_ && held > 0) {
    evict((at + count - 1) % count);
    fetch(at);
    fetch((at + 1) % count);
  }
  if (quantized && held > 0) {  // attention reads all of it in the model's dtype
    plain_k_ = r_.alloc(plain_bytes(slot.tokens), Category::attention, Op::append);
    plain_v_ = r_.alloc(plain_bytes(slot.tokens), Category::attention, Op::append);
  }
  if (in_place) {
    // Written where it will stay.
  } else if (!quantized && held == 0) {
    slot.k = std::exchange(k, {}), slot.v = std::exchange(v, {});
  } else {
    Block old_k = slot.k, old_v = slot.v;
    slot.k = r_.alloc(key_bytes(slot.tokens), Category::kv, Op::append);
    if (!offloaded_) r_.free(old_k, Op::append);
    slot.v = r_.alloc(value_bytes(slot.tokens), Category::kv, Op::append);
    r_.free(Op::append, old_k, old_v);
  }
  if (quantized && held == 0) plain_k_ = k, plain_v_ = v;
  else r_.free(Op::append, k, v);
  if (offloaded_ && held == 0 && at >= 2) evict(at - 1);
}

void HfCache::done() { r_.free(Op::attention, plain_k_, plain_v_); }

void HfCache::retain(std::uint32_t at, std::uint64_t kept) {
  Slot& slot = slots_[at];
  if (kept >= slot.tokens) return;
  slot.tokens = kept;
  Block scratch = r_.alloc(config_.retention.scratch_bytes, Category::index, Op::retain);
  Block old_k = slot.k, old_v = slot.v;
  slot.k = r_.alloc(key_bytes(kept), Category::kv, Op::retain);
  r_.free(old_k, Op::retain);
  slot.v = r_.alloc(value_bytes(kept), Category::kv, Op::retain);
  r_.free(Op::retain, old_v, scratch);
}

void HfCache::reload() {
  if (!offloaded_) return;
  std::vector<Block> host;
  for (Slot& slot : slots_)
    if (slot.host_k.held) {
      host.insert(host.end(), {slot.host_k, slot.host_v});
      slot.host_k = slot.host_v = {};
      copy_in(slot, Op::reload, 0);
    }
  for (Block& block : host) r_.host_free(block, Op::reload);  // with the cache they belonged to
  offloaded_ = false;
}

void HfCache::evict(std::uint32_t at) {
  Slot& slot = slots_[at];
  if (!slot.k.held) return;
  slot.host_k = copy_out(slot.k);
  slot.host_v = copy_out(slot.v);
}

void HfCache::fetch(std::uint32_t at) {
  Slot& slot = slots_[at];
  if (slot.k.held) return;
  copy_in(slot, Op::prefetch, 1);
  r_.host_free(slot.host_k, Op::prefetch);
  r_.host_free(slot.host_v, Op::prefetch);
}

Block HfCache::copy_out(Block& block) {
  const Block host = r_.host_alloc(block.bytes, Op::evict);
  r_.copy(Kind::d2h, block.bytes, Op::evict);
  r_.free(block, Op::evict);
  return host;
}

void HfCache::copy_in(Slot& slot, Op op, std::uint8_t stream) {
  const auto one = [&](std::uint64_t bytes) {
    const Block block = r_.alloc(bytes, Category::kv, op, stream);
    r_.copy(Kind::h2d, bytes, op, stream);
    return block;
  };
  slot.k = one(key_bytes(slot.tokens));
  slot.v = one(value_bytes(slot.tokens));
}

}  // namespace attnscope::memory
