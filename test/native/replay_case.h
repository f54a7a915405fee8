// Random heads, traces and plans for the replay's tests, with the whole map in fp64 beside them.
#pragma once
#include <algorithm>
#include <numeric>

#include "core/replay/strip.h"
#include "core/replay/trace.h"
#include "reference.h"

namespace replay_case {

using namespace attnscope;

inline std::vector<std::uint32_t> pick_rows(std::mt19937& random, std::uint32_t tokens, std::uint32_t count) {
  std::vector<std::uint32_t> rows(tokens);
  std::iota(rows.begin(), rows.end(), 0u);
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(count);
  std::sort(rows.begin(), rows.end());
  return rows;
}

/// One query head over one kv head, every query there.
struct Head {
  std::uint32_t n, dim;
  Visibility visibility;
  reference::Matrix q, k, v;
  reference::Map map;
  std::vector<std::uint32_t> rows, positions;
  std::vector<float> lse;
  Memo memo;
  Rows key_rows, value_rows;
  QueryRows query_rows;
  LayerInput input;
  Strip strip;
  Scratch scratch;

  Head(std::uint32_t n, std::uint32_t dim, std::uint32_t window, std::vector<std::uint32_t> chosen, unsigned seed, float spread = 1.5f)
      : n(n), dim(dim), visibility{window}, q(reference::random_matrix(n, dim, seed, spread)), k(reference::random_matrix(n, dim, seed + 1, spread)),
        v(reference::random_matrix(n, dim, seed + 2)), map(reference::attention_map(q, k, 0.25, window)), rows(std::move(chosen)), strip(rows, n, dim) {
    positions.resize(n);
    std::iota(positions.begin(), positions.end(), 0u);
    key_rows = k.view();
    value_rows = v.view();
    query_rows = {positions, q.view()};
    input.head_dim = dim;
    input.tokens = input.prompt_tokens = n;
    input.scale = 0.25f;
    input.visibility = visibility;
    input.keys = {&key_rows, 1};
    input.values = {&value_rows, 1};
    input.queries = {&query_rows, 1};
    input.memo = &memo;
  }
  Head(const Head&) = delete;

  /// `step` rows at a time.
  void compute_strip(std::size_t step) {
    const reference::Matrix chosen = rows_of(q);
    lse.clear();
    for (const std::uint32_t r : rows) lse.push_back(static_cast<float>(map.lse[r]));
    const KeyPanels panels(k.view());
    while (strip.compute(step, chosen.view(), lse, panels, v.view(), 0.25f, visibility, scratch) != 0) {}
  }
  reference::Matrix rows_of(const reference::Matrix& m) const {
    reference::Matrix out{rows.size(), m.columns, {}};
    for (const std::uint32_t r : rows) out.data.insert(out.data.end(), m.row(r), m.row(r) + m.columns);
    return out;
  }
};

/// Whether a row keeps a key, one byte each.
inline std::vector<std::uint8_t> flags(std::span<const KeySpan> spans, std::uint32_t tokens) {
  std::vector<std::uint8_t> out(tokens);
  for (const KeySpan& s : spans)
    for (std::uint32_t k = s.begin; k < s.end; ++k) ++out[k];
  return out;
}

/// Rows with kept keys of many densities and run lengths; some dense, some covered, some empty.
inline HeadTrace random_trace(std::mt19937& random, const Head& head, bool weighted) {
  HeadTrace trace;
  trace.tokens = head.n;
  trace.rows = head.rows;
  trace.offset = trace.forced_offset = {0};
  if (weighted) trace.weight_offset = {0};
  std::normal_distribution<float> normal(0, 2);
  for (const std::uint32_t row : head.rows) {
    const std::uint32_t first = head.visibility.first_key(row);
    const std::uint32_t kind = random() % 12;
    trace.dense.push_back(kind == 0);
    if (kind <= 1) {
      trace.spans.push_back({first, row + 1});
    } else if (kind > 2) {
      const std::uint32_t run = 1 + random() % (kind < 7 ? 3 : 40), gap = 1 + random() % (kind % 2 ? 4 : 60);
      for (std::uint32_t k = first + random() % gap; k <= row; k += gap) {
        const std::uint32_t end = std::min(row + 1, k + 1 + static_cast<std::uint32_t>(random() % run));
        trace.spans.push_back({k, end});
        if (random() % 4 == 0) trace.forced.push_back({k, end});
        k = end;
      }
    }
    trace.offset.push_back(trace.spans.size());
    trace.forced_offset.push_back(trace.forced.size());
    if (weighted) {
      if (kind != 0)
        for (std::size_t s = trace.offset[trace.offset.size() - 2]; s < trace.spans.size(); ++s)
          for (std::uint32_t k = trace.spans[s].begin; k < trace.spans[s].end; ++k) trace.log_weight.push_back(normal(random));
      trace.weight_offset.push_back(trace.log_weight.size());
    }
  }
  return trace;
}

/// Tiles from any start, columns anywhere outside them.
inline PrefillPlan random_plan(std::mt19937& random, std::uint32_t tokens) {
  PrefillPlan plan;
  plan.tokens = tokens;
  plan.tile_offset = plan.column_offset = {0};
  plan.windowed = random() % 2 == 0;
  plan.sink = random() % 20;
  plan.local = random() % 90;
  plan.forced_columns = random() % 30;
  plan.forced_distances = random() % 50;
  plan.forced_diagonal_tiles = random() % 3 == 0;
  plan.token_cells = 17;
  for (std::uint32_t b = 0; b < plan.row_blocks(); ++b) {
    const std::uint32_t end = 64 * b + 64;
    const std::size_t first = plan.tile.size();
    for (std::uint32_t k = random() % 100; k < end; k += 64 + random() % 120) plan.tile.push_back(k);
    for (std::uint32_t k = random() % 9; k < end; k += 1 + random() % 9) {
      const bool inside = std::any_of(plan.tile.begin() + static_cast<std::ptrdiff_t>(first), plan.tile.end(), [&](std::uint32_t t) { return k >= t && k < t + 64; });
      if (!inside) plan.column.push_back(k);
    }
    plan.tile_offset.push_back(plan.tile.size());
    plan.column_offset.push_back(plan.column.size());
  }
  return plan;
}

/// Pair by pair: kept and forced by the plan, as its header defines them.
struct PlanPair {
  bool kept = false, forced = false;
};
inline PlanPair plan_pair(const PrefillPlan& plan, Visibility visibility, std::uint32_t i, std::uint32_t j) {
  PlanPair pair;
  if (!visibility.sees(i, j)) return pair;
  const std::uint32_t b = i / 64;
  for (std::size_t t = plan.tile_offset[b]; t < plan.tile_offset[b + 1]; ++t)
    if (j >= plan.tile[t] && j < plan.tile[t] + 64 && (!plan.windowed || j < plan.sink || i - j < plan.local)) pair.kept = true;
  for (std::size_t c = plan.column_offset[b]; c < plan.column_offset[b + 1]; ++c)
    if (plan.column[c] == j) pair.kept = true;
  const bool diagonal = plan.forced_diagonal_tiles && j / 64 + 1 >= b;
  pair.forced = pair.kept && (j < plan.forced_columns || i - j < plan.forced_distances || diagonal);
  return pair;
}

}  // namespace replay_case
