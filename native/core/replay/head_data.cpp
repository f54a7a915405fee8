#include "core/replay/head_data.h"

#include <algorithm>
#include <functional>
#include <string>

namespace attnscope {

Status PositionRows::set(const char* what, DType dtype, const void* data, std::uint32_t first, std::uint32_t count) {
  if (std::uint64_t{first} + count > tokens_)
    return Error{"E_REPLAY_KEYS", std::string(what) + " at positions " + std::to_string(first) + " to " + std::to_string(std::uint64_t{first} + count) +
                                      " exceed the sequence of " + std::to_string(tokens_) + " tokens; load the head with its own number of tokens."};
  if (data_.empty()) {
    data_.resize(std::size_t{tokens_} * dim_);
    there_.resize(tokens_);
  }
  to_float(dtype, data, std::size_t{count} * dim_, data_.data() + std::size_t{first} * dim_);
  std::fill_n(there_.begin() + first, count, std::uint8_t{1});
  return success();
}

std::uint32_t PositionRows::first_missing() const {
  if (there_.empty()) return 0;
  return static_cast<std::uint32_t>(std::find(there_.begin(), there_.end(), 0) - there_.begin());
}

HeadData::HeadData(const SessionShape& s)
    : shape(s), keys(s.tokens, s.head_dim), values(s.tokens, s.head_dim), key_rows_(s.kv_heads), value_rows_(s.kv_heads), query_rows_(s.heads) {
  input.layer = s.layer;
  input.layers = s.layers;
  input.heads = s.heads;
  input.kv_heads = s.kv_heads;
  input.head_dim = s.head_dim;
  input.tokens = s.tokens;
  input.prompt_tokens = s.prompt_tokens;
  input.scale = s.scale;
  input.visibility = {s.window};
  input.bytes_per_element = s.bytes_per_element;
}

Status HeadData::set_queries(DType dtype, const void* data, std::span<const std::uint32_t> at, std::span<const float> row_lse) {
  const auto wrong = [&](std::string what) {
    return Error{"E_REPLAY_QUERIES", "Queries of head " + std::to_string(shape.head) + " " + what};
  };
  if (!positions.empty()) return wrong("are loaded already; make a new session for other queries.");
  if (row_lse.size() != at.size())
    return wrong("come with " + std::to_string(row_lse.size()) + " LSE values for " + std::to_string(at.size()) + " rows; load one for every row.");
  if (std::adjacent_find(at.begin(), at.end(), std::greater_equal<>()) != at.end() || (!at.empty() && at.back() >= shape.tokens))
    return wrong("must have ascending, distinct positions below " + std::to_string(shape.tokens) + "; sort them.");
  positions.assign(at.begin(), at.end());
  lse.assign(row_lse.begin(), row_lse.end());
  queries.resize(at.size() * shape.head_dim);
  to_float(dtype, data, queries.size(), queries.data());
  return success();
}

std::uint32_t HeadData::pooled_blocks() const { return (shape.prompt_tokens + PrefillPlan::block - 1) / PrefillPlan::block; }

Status HeadData::set_pooled(std::span<const float> rows) {
  const std::size_t expected = std::size_t{pooled_blocks()} * shape.head_dim;
  if (rows.size() != expected)
    return Error{"E_REPLAY_POOLED", "Pooled queries have " + std::to_string(rows.size()) + " values, " + std::to_string(shape.prompt_tokens) +
                                        " prompt tokens need " + std::to_string(expected) + " (one row per 64); load the table of this layer."};
  pooled.assign(rows.begin(), rows.end());
  return success();
}

Status HeadData::check(std::span<const std::uint32_t> rows) const {
  const std::string head = "head " + std::to_string(shape.head);
  if (const std::uint32_t missing = keys.first_missing(); missing != shape.tokens)
    return Error{"E_REPLAY_KEYS", "The key at position " + std::to_string(missing) + " of " + head + " is not loaded; load keys of all " +
                                      std::to_string(shape.tokens) + " tokens."};
  if (const std::uint32_t missing = values.first_missing(); !values.empty() && missing != shape.tokens)
    return Error{"E_REPLAY_KEYS", "The value at position " + std::to_string(missing) + " of " + head + " is not loaded; load values of all " +
                                      std::to_string(shape.tokens) + " tokens, or of none."};
  if (positions.empty())
    return Error{"E_REPLAY_QUERIES", "No query of " + head + " is loaded; load its stored queries with their LSE."};
  for (const std::uint32_t row : rows)
    if (!std::binary_search(positions.begin(), positions.end(), row))
      return Error{"E_REPLAY_ROWS", "The query at position " + std::to_string(row) + " of " + head +
                                        " is not stored; evaluate stored rows, or capture with --level full."};
  return success();
}

void HeadData::connect() {
  const std::uint32_t kv_head = input.kv_head(shape.head), dim = shape.head_dim;
  key_rows_[kv_head] = keys.view();
  value_rows_[kv_head] = values.view();
  query_rows_[shape.head] = {positions, {queries.data(), positions.size(), dim, dim}};
  if (pooled.empty()) pool_queries();
  pooled_rows_.assign(pooled.empty() ? 0 : shape.heads, Rows{});
  if (!pooled.empty()) pooled_rows_[shape.head] = {pooled.data(), pooled_blocks(), dim, dim};
  input.keys = key_rows_;
  input.values = value_rows_;
  input.queries = query_rows_;
  input.pooled_queries = pooled_rows_;
}

/// Means over blocks of 64 prompt positions; none at all where a prompt row is missing.
void HeadData::pool_queries() {
  const auto prompt = static_cast<std::size_t>(std::lower_bound(positions.begin(), positions.end(), shape.prompt_tokens) - positions.begin());
  if (prompt != shape.prompt_tokens) return;
  const std::uint32_t dim = shape.head_dim;
  pooled.resize(std::size_t{pooled_blocks()} * dim);
  std::vector<double> sum(dim);
  for (std::size_t begin = 0, b = 0; begin < prompt; begin += PrefillPlan::block, ++b) {
    const std::size_t end = std::min<std::size_t>(prompt, begin + PrefillPlan::block);
    std::fill(sum.begin(), sum.end(), 0.0);
    for (std::size_t i = begin; i < end; ++i)
      for (std::uint32_t c = 0; c < dim; ++c) sum[c] += queries[i * dim + c];
    for (std::uint32_t c = 0; c < dim; ++c) pooled[b * dim + c] = static_cast<float>(sum[c] / static_cast<double>(end - begin));
  }
}

std::size_t HeadData::bytes() const {
  return keys.bytes() + values.bytes() + (queries.size() + lse.size() + pooled.size()) * sizeof(float) + positions.size() * sizeof(std::uint32_t) +
         token_class.size() + needles.size() * sizeof(KeySpan);
}

}  // namespace attnscope
