#include "core/replay/top_keys.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "core/replay/span_sums.h"

namespace attnscope {

void TopKeys::read(const float* p, std::uint32_t begin, std::uint32_t end) {
  p_ = p;
  begin_ = begin;
  end_ = end;
  for (auto& table : counts_) table.fill(0);
  const auto bin = [](float x) { return std::bit_cast<std::uint32_t>(x) >> low_bits & (bins - 1); };
  std::uint32_t k = begin;
  for (; k + 2 <= end; k += 2) {
    ++counts_[0][bin(p[k])];
    ++counts_[1][bin(p[k + 1])];
  }
  if (k < end) ++counts_[0][bin(p[k])];
}

TopKeys::Threshold TopKeys::threshold(std::uint32_t count) const {
  std::uint32_t above = 0, bin = bins;
  while (bin-- > 0) {
    const std::uint32_t here = counts_[0][bin] + counts_[1][bin];
    if (above + here >= count) break;
    above += here;
  }
  return {std::bit_cast<float>(bin << low_bits), std::bit_cast<float>((bin + 1) << low_bits), above};
}

double TopKeys::mass(std::uint32_t count) {
  if (count == 0) return 0;
  if (count >= end_ - begin_) return sum_run(p_, begin_, end_);
  const Threshold edge = threshold(count);
  in_bin_.clear();
  f64x4 sums[2] = {};
  double sum = 0;
  std::uint32_t k = begin_;
  const simd::f32x8 low = simd::splat(edge.low), high = simd::splat(edge.high);
  for (; k + simd::lanes <= end_; k += simd::lanes) {
    const simd::f32x8 v = simd::load(p_ + k);
    const simd::i32x8 above = v >= high, reached = v >= low;
    float kept[simd::lanes];
    simd::store(kept, simd::as_float(simd::as_int(v) & above));
    sums[0] += load_widened(kept);
    sums[1] += load_widened(kept + 4);
    if (simd::any(reached & ~above))
      for (std::size_t i = 0; i < simd::lanes; ++i)
        if (v[i] >= edge.low && v[i] < edge.high) in_bin_.push_back(v[i]);
  }
  for (; k < end_; ++k) {
    if (p_[k] >= edge.high) sum += p_[k];
    else if (p_[k] >= edge.low) in_bin_.push_back(p_[k]);
  }
  sum += horizontal_sum64(sums[0] + sums[1]);
  const std::size_t missing = std::min<std::size_t>(count - edge.above, in_bin_.size());
  std::nth_element(in_bin_.begin(), in_bin_.begin() + static_cast<std::ptrdiff_t>(missing), in_bin_.end(), std::greater<>());
  for (std::size_t i = 0; i < missing; ++i) sum += in_bin_[i];
  return sum;
}

const std::vector<std::uint32_t>& TopKeys::keys(std::uint32_t count) {
  keys_.clear();
  ties_.clear();
  if (count >= end_ - begin_) {
    for (std::uint32_t k = begin_; k < end_; ++k) keys_.push_back(k);
    return keys_;
  }
  const Threshold edge = threshold(count);
  const auto take = [&](std::uint32_t k) {
    if (p_[k] >= edge.high) keys_.push_back(k);
    else if (p_[k] >= edge.low) ties_.push_back(k);
  };
  std::uint32_t k = begin_;
  const simd::f32x8 low = simd::splat(edge.low);
  for (; k + simd::lanes <= end_; k += simd::lanes)
    if (simd::any(simd::load(p_ + k) >= low))
      for (std::uint32_t i = 0; i < simd::lanes; ++i) take(k + i);
  for (; k < end_; ++k) take(k);

  const std::size_t missing = std::min<std::size_t>(count - keys_.size(), ties_.size());
  std::nth_element(ties_.begin(), ties_.begin() + static_cast<std::ptrdiff_t>(missing), ties_.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return p_[a] != p_[b] ? p_[a] > p_[b] : a < b; });
  keys_.insert(keys_.end(), ties_.begin(), ties_.begin() + static_cast<std::ptrdiff_t>(missing));
  std::sort(keys_.begin(), keys_.end());
  return keys_;
}

}  // namespace attnscope
