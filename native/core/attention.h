// Pass 1 of two: softmax attention of one head, tiled, yielding the output and the log-sum-exp of every row.
// Scores are q.k * scale in fp32; lse is the natural logarithm of the sum of exp(score) over visible keys.
#pragma once
#include <memory>
#include <span>

#include "views.h"

namespace attnscope {

/// Scratch memory of one worker thread; grows to what is asked and is reused between calls.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(Scratch&&) noexcept;
  Scratch& operator=(Scratch&&) noexcept;
  /// At least `count` floats, 64-byte aligned, contents undefined; `slot` names independent buffers.
  float* floats(int slot, std::size_t count);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The keys of one kv head repacked into panels that a block of queries streams through: panel p holds keys 16p..16p+15
/// as [dim][16], zero where there is no key. Packed once, used by every query head of the group in both passes; a decode
/// step appends its key instead of packing again.
class KeyPanels {
 public:
  static constexpr std::size_t width = 16;

  /// Packs `keys`, leaving room for `capacity` keys in all.
  explicit KeyPanels(Rows keys, std::size_t capacity = 0);
  /// Adds the keys that follow those already here; grows by doubling when the capacity is used up.
  void append(Rows keys);

  std::size_t count() const { return count_; }
  std::size_t dim() const { return dim_; }
  const float* data() const { return data_.get(); }
  const float* panel(std::size_t p) const { return data_.get() + p * dim_ * width; }

 private:
  struct Free { void operator()(float* p) const; };
  void reserve(std::size_t capacity);
  std::unique_ptr<float[], Free> data_;
  std::size_t count_ = 0, capacity_ = 0, dim_ = 0;
};

/// One head's queries at consecutive positions first_query, first_query+1, ... against keys at positions 0..count-1.
/// Every query's own key must be there: keys->count() >= first_query + queries.count.
struct HeadInput {
  Rows queries;
  std::uint32_t first_query = 0;
  const KeyPanels* keys = nullptr;
  float scale = 1;
  Visibility visibility;
};

/// out[i] = sum_j softmax_j(q_i.k_j * scale) v_j and lse[i]; any number of rows (a prefill block or one decode step).
/// queries.count rows of `out` and `lse` are written. Agrees with an fp64 reference to 1e-5 relative.
void attention_forward(const HeadInput& input, Rows values, MutableRows out, std::span<float> lse, Scratch& scratch);

}  // namespace attnscope
