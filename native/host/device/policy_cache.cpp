#include "host/device/policy_cache.h"

#include <algorithm>
#include <numeric>

#include "host/device/device_model.h"
#include "host/failure.h"

namespace attnscope {
namespace policy_cache {

constexpr const char* kAdvice = "use a shorter --context, fewer decoded tokens or --weights streamed";

/// Room beyond what is held, as EvictingKvCache leaves it: an eighth, at least 64 tokens.
std::size_t with_room(std::size_t tokens) { return tokens + std::max<std::size_t>(64, tokens / 8); }

}  // namespace policy_cache

Status grow(KernelDevice& device, DeviceMemory& memory, DeviceBuffer& buffer, std::uint64_t bytes, const char* what) {
  if (buffer.bytes() >= bytes) return success();
  if (buffer) ATTNSCOPE_TRY(check(device.synchronize()));  // what is queued may still read it
  buffer = {};
  auto grown = memory.allocate(bytes + bytes / 8, MemoryCategory::workspace, what, policy_cache::kAdvice);
  if (!grown) return grown.error();
  buffer = grown.take();
  return success();
}

DevicePolicyCache::DevicePolicyCache(const Plan& plan, KernelDevice& device, DeviceMemory& memory)
    : plan_(plan), device_(device), memory_(memory), kv_heads_(plan.model.kv_heads), row_bytes_(plan.model.head_dim * size_of(plan.vectors)),
      layers_(plan.model.layers) {
  for (Layer& layer : layers_) layer.held.resize(kv_heads_);
}

Status DevicePolicyCache::allocate(DeviceBuffer& keys, DeviceBuffer& values, std::size_t capacity) {
  for (const auto& [buffer, what] : {std::pair(&keys, "the KV cache's keys"), std::pair(&values, "the KV cache's values")}) {
    auto memory = memory_.allocate(std::uint64_t{kv_heads_} * capacity * row_bytes_, MemoryCategory::kv, what, policy_cache::kAdvice);
    if (!memory) return memory.error();
    *buffer = memory.take();
  }
  return success();
}

HeadTensor DevicePolicyCache::rows_of(const DeviceBuffer& buffer, std::uint32_t layer, std::uint32_t kv_head, std::size_t row) const {
  const std::size_t capacity = layers_[layer].capacity, dim = plan_.model.head_dim;
  return {buffer.at((kv_head * capacity + row) * row_bytes_), capacity * dim, dim};
}

std::size_t DevicePolicyCache::longest(std::uint32_t layer) const { return *std::max_element(layers_[layer].held.begin(), layers_[layer].held.end()); }

bool DevicePolicyCache::uniform(std::uint32_t layer) const {
  const auto& held = layers_[layer].held;
  return std::all_of(held.begin(), held.end(), [&](std::uint32_t each) { return each == held[0]; });
}

Status DevicePolicyCache::reserve(std::uint32_t layer, std::size_t rows, bool exact) {
  Layer& at = layers_[layer];
  if (rows <= at.capacity) return success();
  const std::size_t capacity = exact ? rows : policy_cache::with_room(rows);
  DeviceBuffer keys, values;
  ATTNSCOPE_TRY(allocate(keys, values, capacity));
  for (std::uint32_t h = 0; h < kv_heads_ && at.capacity > 0; ++h) {
    if (at.held[h] == 0) continue;
    ATTNSCOPE_TRY(check(device_.copy(keys.at(h * capacity * row_bytes_), at.keys.at(h * at.capacity * row_bytes_), at.held[h] * row_bytes_)));
    ATTNSCOPE_TRY(check(device_.copy(values.at(h * capacity * row_bytes_), at.values.at(h * at.capacity * row_bytes_), at.held[h] * row_bytes_)));
  }
  if (at.capacity > 0) ATTNSCOPE_TRY(check(device_.synchronize()));  // before what is copied from goes
  at.keys = std::move(keys);
  at.values = std::move(values);
  at.capacity = capacity;
  return success();
}

Status DevicePolicyCache::append(std::uint32_t layer, const void* keys, const void* values, std::uint32_t rows) {
  Layer& at = layers_[layer];
  auto in_order = counting(rows);
  if (!in_order) return in_order.error();
  for (std::uint32_t h = 0; h < kv_heads_; ++h) {
    for (const auto& [from, to] : {std::pair(keys, this->keys(layer, h, at.held[h]).data), std::pair(values, this->values(layer, h, at.held[h]).data)}) {
      const auto* first = static_cast<const std::byte*>(from) + h * row_bytes_;
      ATTNSCOPE_TRY(rows == 1 ? check(device_.copy(to, first, row_bytes_))
                              : check(device_.gather({rows, row_bytes_, kv_heads_ * row_bytes_, first, in_order.value(), to})));
    }
    at.held[h] += rows;
  }
  at.appended += rows;
  tokens_ += std::uint64_t{kv_heads_} * rows;
  return success();
}

void DevicePolicyCache::appended_in_place(std::uint32_t layer, std::uint32_t rows) {
  for (std::uint32_t& held : layers_[layer].held) held += rows;
  layers_[layer].appended += rows;
  tokens_ += std::uint64_t{kv_heads_} * rows;
}

Status DevicePolicyCache::evict(std::uint32_t layer, std::span<const std::vector<std::uint32_t>> slots) {
  Layer& at = layers_[layer];
  std::size_t longest = 0;
  for (std::uint32_t h = 0; h < kv_heads_; ++h) longest = std::max<std::size_t>(longest, at.held[h] - slots[h].size());
  const std::size_t fitting = policy_cache::with_room(longest), capacity = fitting < at.capacity / 2 ? fitting : at.capacity;

  // All heads move in one gather, into memory laid out as theirs is: rows behind a head's last are whatever the list's zeros name.
  std::vector<std::uint32_t> rows(kv_heads_ * capacity);
  for (std::uint32_t h = 0; h < kv_heads_; ++h) {
    std::uint32_t* to = rows.data() + h * capacity;
    std::size_t next = 0;
    for (std::uint32_t slot = 0; slot < at.held[h]; ++slot) {
      if (next < slots[h].size() && slots[h][next] == slot) ++next;
      else *to++ = static_cast<std::uint32_t>(h * at.capacity + slot);
    }
    at.held[h] -= static_cast<std::uint32_t>(slots[h].size());
    tokens_ -= slots[h].size();
  }
  const std::uint64_t bytes = rows.size() * row_bytes_;
  if (spare_keys_.bytes() != bytes) {
    if (spare_keys_) ATTNSCOPE_TRY(check(device_.synchronize()));  // another layer's rows may still be gathered from it
    spare_keys_ = {}, spare_values_ = {};
    ATTNSCOPE_TRY(allocate(spare_keys_, spare_values_, capacity));
  }
  ATTNSCOPE_TRY(grow(device_, memory_, list_, rows.size() * sizeof(std::uint32_t), "lists of rows that stay"));
  ATTNSCOPE_TRY(check(device_.upload(list_.data(), rows.data(), rows.size() * sizeof(std::uint32_t))));
  for (const auto& [from, to] : {std::pair(&at.keys, &spare_keys_), std::pair(&at.values, &spare_values_)})
    ATTNSCOPE_TRY(check(device_.gather({static_cast<std::uint32_t>(rows.size()), row_bytes_, row_bytes_, from->data(), list_.as<std::uint32_t>(), to->data()})));
  std::swap(at.keys, spare_keys_);
  std::swap(at.values, spare_values_);
  at.capacity = capacity;
  if (spare_keys_.bytes() == bytes) return success();
  ATTNSCOPE_TRY(check(device_.synchronize()));  // before what is gathered from goes
  spare_keys_ = {}, spare_values_ = {};
  return success();
}

Result<const std::uint32_t*> DevicePolicyCache::counting(std::size_t count) {
  if (counting_.bytes() < count * sizeof(std::uint32_t)) {
    ATTNSCOPE_TRY(grow(device_, memory_, counting_, count * sizeof(std::uint32_t), "row numbers"));
    std::vector<std::uint32_t> numbers(counting_.bytes() / sizeof(std::uint32_t));
    std::iota(numbers.begin(), numbers.end(), 0u);
    ATTNSCOPE_TRY(check(device_.upload(counting_.data(), numbers.data(), numbers.size() * sizeof(std::uint32_t))));
  }
  return const_cast<const std::uint32_t*>(counting_.as<std::uint32_t>());
}

}  // namespace attnscope
