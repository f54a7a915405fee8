// The vectors of one head as a session holds them: fp32, checked for gaps, laid out as the LayerInput policies read.
#pragma once
#include "core/dtype.h"
#include "core/policy/input.h"
#include "core/replay/session.h"
#include "core/result.h"

namespace attnscope {

/// Rows by position that arrive in blocks.
class PositionRows {
 public:
  PositionRows(std::uint32_t tokens, std::uint32_t dim) : tokens_(tokens), dim_(dim) {}
  Status set(const char* what, DType dtype, const void* data, std::uint32_t first, std::uint32_t count);
  bool empty() const { return data_.empty(); }
  /// First position that did not arrive; `tokens` where all did.
  std::uint32_t first_missing() const;
  Rows view() const { return {data_.data(), data_.empty() ? 0 : std::size_t{tokens_}, dim_, dim_}; }
  std::size_t bytes() const { return data_.size() * sizeof(float) + there_.size(); }

 private:
  std::uint32_t tokens_, dim_;
  std::vector<float> data_;
  std::vector<std::uint8_t> there_;
};

class HeadData {
 public:
  explicit HeadData(const SessionShape& shape);
  // `input` points into this object.
  HeadData(const HeadData&) = delete;
  HeadData& operator=(const HeadData&) = delete;

  Status set_queries(DType dtype, const void* data, std::span<const std::uint32_t> positions, std::span<const float> lse);
  Status set_pooled(std::span<const float> rows);
  /// All keys are there, values are there or none, every row has a query.
  Status check(std::span<const std::uint32_t> rows) const;
  /// Points the input's heads at what is there; pools queries if that was not done elsewhere.
  void connect();
  std::size_t bytes() const;

  SessionShape shape;
  PositionRows keys, values;
  std::vector<std::uint32_t> positions;  // of queries
  std::vector<float> queries, lse, pooled;
  std::vector<std::uint8_t> token_class;
  std::vector<KeySpan> needles;
  LayerInput input;                      // memo: null

 private:
  std::uint32_t pooled_blocks() const;
  void pool_queries();
  std::vector<Rows> key_rows_, value_rows_, pooled_rows_;
  std::vector<QueryRows> query_rows_;
};

}  // namespace attnscope
