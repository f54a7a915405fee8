#include "host/kv_cache.h"

namespace attnscope {

DenseKvCache::DenseKvCache(const ModelPlan& model, std::size_t capacity, DType dtype)
    : kv_heads_(model.kv_heads), dim_(model.head_dim), capacity_(capacity), dtype_(dtype),
      heads_(std::size_t(model.layers) * model.kv_heads) {}

Status DenseKvCache::append(std::uint32_t layer, std::uint32_t kv_head, Rows keys, Rows values) {
  Head& head = heads_[layer * kv_heads_ + kv_head];
  const std::size_t row_bytes = dim_ * size_of(dtype_);
  if (head.keys.size() == 0) {
    for (auto* side : {&head.keys, &head.values}) {
      auto buffer = Buffer<std::uint8_t>::allocate(capacity_ * row_bytes, "the KV cache");
      if (!buffer) return buffer.error();
      *side = buffer.take();
    }
  }
  if (head.length + keys.count > capacity_)
    return failure("E_KV_CAPACITY", "the KV cache of layer ", layer, " holds ", capacity_, " tokens and cannot take ",
                   keys.count, " more; this is a fault of the engine, report it");
  for (std::size_t i = 0; i < keys.count; ++i) {
    const std::size_t at = (head.length + i) * row_bytes;
    from_float(dtype_, keys.row(i), dim_, head.keys.data() + at);
    from_float(dtype_, values.row(i), dim_, head.values.data() + at);
  }
  head.length += keys.count;
  return success();
}

std::size_t DenseKvCache::length(std::uint32_t layer, std::uint32_t kv_head) const { return head(layer, kv_head).length; }

KvView DenseKvCache::view(std::uint32_t layer, std::uint32_t kv_head, KvExpansion& expansion) const {
  const Head& from = head(layer, kv_head);
  auto rows = [&](const Buffer<std::uint8_t>& stored, std::vector<float>& expanded) {
    if (dtype_ == DType::f32) return Rows{reinterpret_cast<const float*>(stored.data()), from.length, dim_, dim_};
    expanded.resize(from.length * dim_);
    to_float(dtype_, stored.data(), expanded.size(), expanded.data());
    return Rows{expanded.data(), from.length, dim_, dim_};
  };
  return {rows(from.keys, expansion.keys), rows(from.values, expansion.values), nullptr};
}

void DenseKvCache::release(std::uint32_t layer) {
  for (std::size_t h = 0; h < kv_heads_; ++h) heads_[layer * kv_heads_ + h] = Head{};
}

}  // namespace attnscope
