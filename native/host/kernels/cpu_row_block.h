// Attention of up to 64 consecutive queries over keys that come in batches, in any order: what the dense, the a-shape and the
// sparse kernel share. They differ in the keys they name.
#pragma once
#include <span>

#include "host/kernels/cpu_product.h"
#include "host/kernels/cpu_rows.h"

namespace attnscope::cpu {

/// Keys of a batch: 64 KB of scores, beside 2 x 128 KB of keys and values (head_dim 128), stay in the L2 cache.
inline constexpr std::size_t batch_keys = 256;

/// Which keys the elements of a row see, besides key <= query: all, or key < sink or query - key < local.
struct ElementRule {
  bool windowed = false;
  std::uint32_t sink = 0, local = 0;
};

class RowBlock {
 public:
  /// Buffers of one thread, for keys of `dim` channels and values of `value_stride` >= dim.
  RowBlock(Scratch& scratch, std::size_t dim, std::size_t value_width);

  /// Starts with queries [first, first + rows) of `source`, rows <= 64, at positions first_query + first on.
  void begin(const SourceRows& source, std::size_t first, std::size_t rows, std::uint32_t first_query, float scale);
  /// Adds the keys named, positions = rows of both; at most batch_keys of them. Later keys than a query's are hidden from it.
  void attend(const float* keys, std::size_t key_stride, const float* values, std::size_t value_stride, std::span<const std::uint32_t> positions,
              const ElementRule& rule);
  /// Row r of the result, `value_width` floats, and its log-sum-exp: zeros and -infinity where it saw no key.
  const float* finish(std::size_t r, float* lse);

 private:
  void mask(std::span<const std::uint32_t> positions, const ElementRule& rule);

  std::size_t dim_, width_, rows_ = 0;
  std::uint32_t first_query_ = 0;
  float *queries_, *scores_, *output_, *row_;
  const float* key_[batch_keys];
  const float* value_[batch_keys];
  alignas(64) float maximum_[block_rows], shrink_[block_rows];
  alignas(64) double sum_[block_rows];
};

}  // namespace attnscope::cpu
