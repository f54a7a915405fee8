#include "core/policy/hashed_keys.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/policy/score_row.h"

namespace attnscope::simhash {
namespace {

/// Layers that share a set of W in the authors' evaluation code (cache_ref.py).
constexpr std::uint32_t layers_per_projection = 16;

seeded::Stream stream_of(const LayerInput& input, std::uint32_t kv_head, const HashPlan& plan) {
  if (!plan.per_kv_head) return seeded::Stream("simhash", {plan.seed});
  return seeded::Stream("simhash", {plan.seed, 1 + input.layer / layers_per_projection, kv_head});
}

/// The last two values under a name: going back and forth between two settings costs nothing, and no more is held.
template <class T>
class Recent {
 public:
  template <class Make>
  std::shared_ptr<T> get(const std::string& key, Make make) {
    if (key_[0] != key) {
      std::swap(key_[0], key_[1]);
      std::swap(value_[0], value_[1]);
    }
    if (key_[0] != key) {
      value_[0] = nullptr;  // freed before the next is made
      value_[0] = make();
      key_[0] = key;
    }
    return value_[0];
  }

 private:
  std::string key_[2];
  std::shared_ptr<T> value_[2];
};

template <class T>
Recent<T>& recent(Memo& memo, const std::string& name) {
  return *memo.get<std::shared_ptr<Recent<T>>>(name, [] { return std::make_shared<Recent<T>>(); });
}

}  // namespace

HashedKeys::HashedKeys(const LayerInput& input, std::uint32_t kv_head, const HashPlan& plan)
    : count_(plan.context), dim_(input.head_dim), transform_(plan.transform), centre_(dim_, 0.0f), norms_(count_), inverse_norms_(count_),
      projection_(stream_of(input, kv_head, plan), dim_ + (plan.transform ? 1 : 0)) {
  const Rows keys = input.keys[kv_head];
  if (plan.centre.end > plan.centre.begin) {
    std::vector<double> sum(dim_);
    for (std::uint32_t i = plan.centre.begin; i < plan.centre.end; ++i)
      for (std::size_t c = 0; c < dim_; ++c) sum[c] += keys.row(i)[c];
    for (std::size_t c = 0; c < dim_; ++c) centre_[c] = static_cast<float>(sum[c] / (plan.centre.end - plan.centre.begin));
  }
  std::vector<float> centred(dim_);
  for (std::size_t i = 0; i < count_; ++i) {
    for (std::size_t c = 0; c < dim_; ++c) centred[c] = keys.row(i)[c] - centre_[c];
    norms_[i] = std::sqrt(dot(centred.data(), centred.data(), dim_));
    radius_ = norms_[i] > radius_ ? norms_[i] : radius_;
  }
  for (std::size_t i = 0; i < count_; ++i) {
    const float length = transform_ ? radius_ : norms_[i];
    inverse_norms_[i] = length > 0 ? 1 / length : 0.0f;
  }
}

void HashedKeys::extend(Rows keys, std::size_t columns) {
  const std::size_t first = projection_.panels();
  projection_.grow(columns);
  const std::size_t end = projection_.panels();
  if (end == first) return;
  signs_.resize(end * count_);
  constexpr std::size_t block = 96;
  const std::size_t depth = projection_.depth();
  std::vector<float> centred(block * depth);
  for (std::size_t i = 0; i < count_; i += block) {
    const std::size_t n = std::min(block, count_ - i);
    for (std::size_t r = 0; r < n; ++r) {
      float* row = centred.data() + r * depth;
      for (std::size_t c = 0; c < dim_; ++c) row[c] = keys.row(i + r)[c] - centre_[c];
      if (transform_) row[dim_] = std::sqrt(std::max(0.0f, radius_ * radius_ - norms_[i + r] * norms_[i + r]));
    }
    project_signs({centred.data(), n, depth, depth}, projection_, first, end, signs_.data() + first * count_ + i, count_);
  }
}

void HashedKeys::query_codes(const float* q, std::uint32_t K, std::uint32_t L, std::vector<std::uint16_t>& codes) const {
  const std::size_t panels = round_up(std::size_t{K} * L, panel_width) / panel_width;
  std::vector<float> row(projection_.depth(), 0.0f);  // the transform's extra coordinate of a query is 0
  std::copy(q, q + dim_, row.begin());
  std::vector<std::uint16_t> signs(panels);
  project_signs({row.data(), 1, row.size(), row.size()}, projection_, 0, panels, signs.data(), 1);
  codes.resize(L);
  for (std::uint32_t t = 0; t < L; ++t) table_codes(signs.data(), 1, 1, K, t, &codes[t]);
}

Index index_of(const LayerInput& input, std::uint32_t kv_head, const HashPlan& plan, std::uint32_t K, std::uint32_t L) {
  char where[64], what[160], tables[200];
  std::snprintf(where, sizeof where, "simhash/%u/%u", input.layer, kv_head);
  std::snprintf(what, sizeof what, "%u %u-%u %d %llu %d", plan.context, plan.centre.begin, plan.centre.end, plan.transform,
                static_cast<unsigned long long>(plan.seed), plan.per_kv_head);
  std::snprintf(tables, sizeof tables, "%s %u %u", what, K, L);
  Index index;
  index.keys = recent<HashedKeys>(*input.memo, std::string(where) + "/keys").get(what, [&] { return std::make_shared<HashedKeys>(input, kv_head, plan); });
  index.keys->extend(input.keys[kv_head], std::size_t{K} * L);
  index.tables = recent<const HashTables>(*input.memo, std::string(where) + "/tables").get(tables, [&] {
    return std::make_shared<const HashTables>(index.keys->tables(K, L));
  });
  return index;
}

}  // namespace attnscope::simhash
