// The keys of one kv head as the hash tables see them: centred, with their norms and the signs of their projections.
// Kept in the memo, so that K, L, min_tables, eps and most others change without hashing again.
#pragma once
#include <memory>
#include <string>

#include "core/policy/hash_tables.h"
#include "core/policy/input.h"
#include "core/policy/simhash.h"
#include "core/result.h"

namespace attnscope::simhash {

/// What the signs depend on, apart from the keys.
struct HashPlan {
  std::uint32_t context = 0;        // keys [0, context) are hashed
  KeySpan centre = {};              // mean over these keys is subtracted; empty: none
  bool transform = false;           // append sqrt(r^2 - |k|^2), r = max |k|: inner products become cosines
  std::uint64_t seed = 0;
  bool per_kv_head = false;         // else one W for all layers and heads
};

class HashedKeys {
 public:
  HashedKeys(const LayerInput& input, std::uint32_t kv_head, const HashPlan& plan);

  /// Signs on at least `columns` columns; hashing n keys costs 2 n d columns operations, done once.
  void extend(Rows keys, std::size_t columns);

  /// Codes of a query (not centred; its length does not matter for signs), one a table.
  void query_codes(const float* q, std::uint32_t K, std::uint32_t L, std::vector<std::uint16_t>& codes) const;

  HashTables tables(std::uint32_t K, std::uint32_t L) const { return {signs_.data(), count_, count_, K, L}; }

  std::span<const float> centre() const { return centre_; }
  /// By key 1 / |k - centre|, or 1 / r where the transform is on; 0 for a key of length 0.
  const float* inverse_norms() const { return inverse_norms_.data(); }
  std::size_t count() const { return count_; }

 private:
  std::size_t count_, dim_;
  bool transform_;
  float radius_ = 0;
  std::vector<float> centre_, norms_, inverse_norms_;
  Projection projection_;
  std::vector<std::uint16_t> signs_;   // [panels][count]
};

/// The hashed keys and tables of (layer, kv head) for these settings: the last two of each are remembered in the memo.
struct Index {
  std::shared_ptr<HashedKeys> keys;
  std::shared_ptr<const HashTables> tables;
};
Index index_of(const LayerInput& input, std::uint32_t kv_head, const HashPlan& plan, std::uint32_t K, std::uint32_t L);

}  // namespace attnscope::simhash
