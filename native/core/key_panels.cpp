#include <algorithm>
#include <new>

#include "attention.h"
#include "block_product.h"

namespace attnscope {
namespace {

constexpr std::align_val_t cache_line{64};

}  // namespace

void KeyPanels::Free::operator()(float* p) const { ::operator delete(p, cache_line); }

KeyPanels::KeyPanels(Rows keys, std::size_t capacity) : dim_(keys.dim) {
  reserve(std::max(keys.count, capacity));
  append(keys);
}

void KeyPanels::reserve(std::size_t capacity) {
  capacity = round_up(capacity, width);
  if (capacity <= capacity_) return;
  const std::size_t floats = capacity * dim_;
  auto* grown = static_cast<float*>(::operator new(floats * sizeof(float), cache_line));
  const std::size_t used = round_up(count_, width) * dim_;
  std::copy(data_.get(), data_.get() + used, grown);
  data_.reset(grown);
  capacity_ = capacity;
}

void KeyPanels::append(Rows keys) {
  if (count_ + keys.count > capacity_) reserve(std::max(count_ + keys.count, 2 * capacity_));
  for (std::size_t i = 0; i < keys.count; ++i) {
    const std::size_t key = count_ + i;
    float* panel = data_.get() + key / width * width * dim_;
    // A panel is cleared when its first key comes: room for planned tokens costs no memory before they do.
    if (key % width == 0) std::fill_n(panel, width * dim_, 0.0f);
    float* lane = panel + key % width;
    const float* source = keys.row(i);
    for (std::size_t c = 0; c < dim_; ++c) lane[c * width] = source[c];
  }
  count_ += keys.count;
}

}  // namespace attnscope
