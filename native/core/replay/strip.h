// P[rows, :]: the exact attention of the evaluated rows of one head, computed once; every slider only reduces it again.
#pragma once
#include <vector>

#include "core/policy/input.h"
#include "core/attention.h"

namespace attnscope {

class Strip {
 public:
  /// Nothing is computed yet. `rows`: ascending positions. `tokens`: side of the map.
  Strip(std::vector<std::uint32_t> rows, std::uint32_t tokens, std::uint32_t dim);

  /// Computes the next `count` rows; `queries` holds all rows of the strip in order, `lse` one value a row, natural log.
  /// `values` may be empty: outputs are then 0. Returns how many rows are left.
  std::size_t compute(std::size_t count, Rows queries, std::span<const float> lse, const KeyPanels& keys, Rows values, float scale,
                      Visibility visibility, Scratch& scratch);

  std::size_t size() const { return rows_.size(); }
  std::size_t done() const { return done_; }
  std::span<const std::uint32_t> rows() const { return rows_; }
  std::uint32_t tokens() const { return tokens_; }
  std::uint32_t dim() const { return dim_; }
  /// Probabilities of row r: keys [0, rows()[r]], 0 where not visible; zeros after them.
  const float* row(std::size_t r) const { return p_.data() + r * stride_; }
  /// Sum of row r in fp64: 1 but for the rounding of p and of the stored LSE. Shares are taken of this sum.
  double total(std::size_t r) const { return total_[r]; }
  /// Dense output of row r, [dim]: sum of p v over the visible keys, in fp32 by blocks of 256 keys, fp64 over blocks.
  const float* output(std::size_t r) const { return out_.data() + r * dim_; }
  std::size_t bytes() const { return (p_.size() + out_.size()) * sizeof(float) + total_.size() * sizeof(double); }

 private:
  std::vector<std::uint32_t> rows_;
  std::uint32_t tokens_, dim_;
  std::size_t stride_, done_ = 0;
  std::vector<float> p_, out_;
  std::vector<double> total_;
};

}  // namespace attnscope
