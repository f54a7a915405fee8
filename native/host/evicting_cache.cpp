#include "host/evicting_cache.h"

#include <algorithm>
#include <cstring>

namespace attnscope {
namespace {

/// Room beyond what is held when a head's memory is laid out anew: an eighth, at least 64 tokens.
std::size_t with_room(std::size_t tokens) { return tokens + std::max<std::size_t>(64, tokens / 8); }

}  // namespace

EvictingKvCache::EvictingKvCache(const ModelPlan& model, DType dtype)
    : kv_heads_(model.kv_heads), dim_(model.head_dim), row_bytes_(model.head_dim * size_of(dtype)), dtype_(dtype),
      heads_(std::size_t(model.layers) * model.kv_heads) {}

Status EvictingKvCache::reserve(Head& head, std::size_t capacity) {
  for (auto* side : {&head.keys, &head.values}) {
    auto grown = Buffer<std::uint8_t>::allocate(capacity * row_bytes_, "the KV cache");
    if (!grown) return grown.error();
    if (!head.positions.empty()) std::memcpy(grown.value().data(), side->data(), head.positions.size() * row_bytes_);
    *side = grown.take();
  }
  head.capacity = capacity;
  return success();
}

Status EvictingKvCache::append(std::uint32_t layer, std::uint32_t kv_head, Rows keys, Rows values) {
  Head& head = heads_[layer * kv_heads_ + kv_head];
  const std::size_t held = head.positions.size();
  if (held + keys.count > head.capacity) ATTNSCOPE_TRY(reserve(head, with_room(held + keys.count)));
  for (std::size_t i = 0; i < keys.count; ++i) {
    from_float(dtype_, keys.row(i), dim_, head.keys.data() + (held + i) * row_bytes_);
    from_float(dtype_, values.row(i), dim_, head.values.data() + (held + i) * row_bytes_);
    head.positions.push_back(head.appended++);
  }
  tokens_ += keys.count;
  return success();
}

Status EvictingKvCache::evict(std::uint32_t layer, std::uint32_t kv_head, std::span<const std::uint32_t> slots) {
  if (slots.empty()) return success();
  Head& head = heads_[layer * kv_heads_ + kv_head];
  const std::size_t held = head.positions.size();
  for (std::size_t i = 0; i < slots.size(); ++i)
    if (slots[i] >= held || (i > 0 && slots[i] <= slots[i - 1]))
      return failure("E_POLICY_EVICT", "the policy of layer ", layer, ", kv head ", kv_head, " drops slot ", slots[i], " of ", held,
                     " held, which is outside or out of order; this is a fault of the policy, report it");
  std::size_t to = slots[0];
  for (std::size_t i = 0; i < slots.size(); ++i) {
    // The run of kept rows between this dropped one and the next moves down in one piece.
    const std::size_t from = slots[i] + 1, end = i + 1 < slots.size() ? slots[i + 1] : held;
    std::memmove(head.keys.data() + to * row_bytes_, head.keys.data() + from * row_bytes_, (end - from) * row_bytes_);
    std::memmove(head.values.data() + to * row_bytes_, head.values.data() + from * row_bytes_, (end - from) * row_bytes_);
    std::copy(head.positions.begin() + from, head.positions.begin() + end, head.positions.begin() + to);
    to += end - from;
  }
  head.positions.resize(to);
  tokens_ -= slots.size();
  ++head.evictions;
  if (with_room(to) < head.capacity / 2) {
    head.positions.shrink_to_fit();
    return reserve(head, with_room(to));
  }
  return success();
}

KvView EvictingKvCache::view(std::uint32_t layer, std::uint32_t kv_head, KvExpansion& expansion) const {
  const Head& from = head(layer, kv_head);
  const std::size_t held = from.positions.size();
  auto rows = [&](const Buffer<std::uint8_t>& stored, std::vector<float>& expanded) {
    if (dtype_ == DType::f32) return Rows{reinterpret_cast<const float*>(stored.data()), held, dim_, dim_};
    expanded.resize(held * dim_);
    to_float(dtype_, stored.data(), expanded.size(), expanded.data());
    return Rows{expanded.data(), held, dim_, dim_};
  };
  return {rows(from.keys, expansion.keys), rows(from.values, expansion.values), from.positions.data()};
}

void EvictingKvCache::release(std::uint32_t layer) {
  for (std::size_t h = 0; h < kv_heads_; ++h) {
    Head& head = heads_[layer * kv_heads_ + h];
    tokens_ -= head.positions.size();
    head = Head{};
  }
}

}  // namespace attnscope
