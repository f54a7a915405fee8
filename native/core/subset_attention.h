// Attention over some of the keys: the tiles and columns of a prefill plan, what a query retrieves, a cache that lost rows.
#pragma once
#include "attention.h"

namespace attnscope {

/// Which rows of the keys and values are read, and how each is seen. Every query of a block reads the same rows; a key
/// whose position lies after a query's is hidden from it.
struct KeySubset {
  std::span<const std::uint32_t> rows;        // rows of keys and values, distinct, in any order
  std::span<const std::uint32_t> positions;   // their positions, [rows]; the same span where row = position
  std::span<const float> log_weight;          // added to the scores, [rows]; empty: all 0
  /// From entry `rule_begin` on a key is seen only if key < sink or query - key < local; ~0: no such rule.
  std::size_t rule_begin = ~std::size_t{0};
  std::uint32_t sink = 0, local = 0;
};

/// One head's queries at consecutive positions first_query, first_query + 1, ...
struct SubsetInput {
  Rows queries;
  std::uint32_t first_query = 0;
  Rows keys, values;
  KeySubset subset;
  float scale = 1;
};

/// out[i] = sum_j softmax_j(q_i.k_j * scale + log_weight_j) v_j over the subset's visible keys, lse[i] the natural
/// logarithm of the sum of exp of those scores. A row that sees none of them yields zeros and -infinity.
void subset_attention(const SubsetInput& input, MutableRows out, std::span<float> lse, Scratch& scratch);

}  // namespace attnscope
