// Attention of a layer's heads under policies: everything before a query, a plan's tiles and columns, what a query
// retrieved, or what a cache still holds.
#pragma once
#include <vector>

#include "core/policy/policy.h"
#include "host/layer_keys.h"

namespace attnscope {

/// What one query of one head reads, merged from a Selection: ascending keys, a log-weight each (or none: all 0).
struct SelectedKeys {
  bool dense = true;  // everything visible
  std::vector<std::uint32_t> keys;
  std::vector<float> log_weight;
};

/// Fixed and single keys below `end` in order; a key that is both counts as fixed.
void merge_selection(const Selection& selection, std::uint32_t end, SelectedKeys& out);

/// What the heads read; empty lists: everything that the cache holds and the query may see.
struct LayerReads {
  std::span<const PrefillPlan> plans;      // [heads]; tokens == 0: dense. Rows begin at a multiple of 64.
  std::span<const SelectedKeys> selected;  // [heads], for a single query
};

/// Queries [rows][heads * head dim] at positions first, first + 1, ..., whose keys were all appended (some may be evicted).
Status attend_layer(RunContext& run, Rows queries, std::uint32_t first, const LayerKeys& keys, const LayerReads& reads, MutableRows out);

}  // namespace attnscope
