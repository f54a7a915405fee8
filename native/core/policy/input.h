// What a policy may look at: the keys, values and queries of one layer, as cached (post-RoPE, fp32).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/views.h"

namespace attnscope {

/// Half-open run of key positions.
struct KeySpan {
  std::uint32_t begin = 0, end = 0;
};

/// Results that do not depend on every parameter (scores of a strip, hash tables), kept between calls so that a slider
/// only redoes what it changes. The key names everything the value depends on: "vertical-slash/64/h3".
class Memo {
 public:
  template <class T>
  const T& get(const std::string& key, const std::function<T()>& make) {
    auto found = entries_.find(key);
    if (found == entries_.end()) found = entries_.emplace(key, std::make_shared<T>(make())).first;
    return *static_cast<const T*>(found->second.get());
  }
  void clear() { entries_.clear(); }

 private:
  std::map<std::string, std::shared_ptr<void>> entries_;
};

/// Queries of one head, rotated, at ascending positions.
struct QueryRows {
  std::span<const std::uint32_t> positions;
  Rows rows;
  /// Row of a position; npos where it is not there.
  static constexpr std::size_t npos = ~std::size_t{0};
  std::size_t find(std::uint32_t position) const;
};

/// One layer of one sequence. Heads that are not supplied have empty rows; a policy touches only heads it is asked about.
struct LayerInput {
  std::uint32_t layer = 0, layers = 1, heads = 1, kv_heads = 1, head_dim = 0;
  std::uint32_t tokens = 0;                    // keys in all (prompt and decoded)
  std::uint32_t prompt_tokens = 0;
  float scale = 1;
  Visibility visibility;
  std::span<const Rows> keys, values;          // [kv heads] rows by position, [tokens][head_dim]
  std::span<const QueryRows> queries;          // [heads]
  /// [heads] prompt queries summed over blocks of 64 positions and divided by the rows in the block; may be empty.
  std::span<const Rows> pooled_queries;
  Memo* memo = nullptr;                        // never null when a policy is called
  double bytes_per_element = 2;                // of K and V as the run stores them

  std::uint32_t group() const { return heads / kv_heads; }
  std::uint32_t kv_head(std::uint32_t head) const { return head / group(); }
};

}  // namespace attnscope
