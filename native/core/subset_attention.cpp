#include "subset_attention.h"

#include "online_softmax.h"
#include "score_block.h"

namespace attnscope {
namespace subset {

enum Slot { slot_queries = 16, slot_scores, slot_output, slot_keys, slot_values };

/// Keys rows[0, count) as panels of [dim][16], zero where there is no key.
void gather_keys(Rows keys, std::span<const std::uint32_t> rows, float* panels) {
  constexpr std::size_t width = panel_width;
  const std::size_t padded = round_up(rows.size(), width);
  for (std::size_t first = 0; first < padded; first += width, panels += width * keys.dim) {
    const std::size_t count = std::min(width, rows.size() - first);
    if (count < width) std::fill_n(panels, width * keys.dim, 0.0f);
    for (std::size_t lane = 0; lane < count; ++lane) {
      const float* key = keys.row(rows[first + lane]);
      for (std::size_t c = 0; c < keys.dim; ++c) panels[c * width + lane] = key[c];
    }
  }
}

/// Hides keys [first, first + block.keys) of the subset from the queries that do not see them, and adds weights.
void adjust_scores(const SubsetInput& input, std::size_t first, std::size_t count, const ScoreBlock& block) {
  const KeySubset& subset = input.subset;
  const auto last_query = static_cast<std::uint32_t>(block.first_query + block.rows - 1);
  for (std::size_t k = 0; k < count; ++k) {
    const std::uint32_t key = subset.positions[first + k];
    const bool ruled = first + k >= subset.rule_begin && key >= subset.sink;
    if (key <= block.first_query && !(ruled && last_query - key >= subset.local)) continue;
    for (std::size_t r = 0; r < block.rows; ++r) {
      const auto query = static_cast<std::uint32_t>(block.first_query + r);
      if (key > query || (ruled && query - key >= subset.local)) block.row(r)[k] = minus_infinity;
    }
  }
  if (!subset.log_weight.empty())
    for (std::size_t r = 0; r < block.rows; ++r)
      for (std::size_t k = 0; k < count; ++k) block.row(r)[k] += subset.log_weight[first + k];
  for (std::size_t r = 0; r < block.rows; ++r) std::fill(block.row(r) + count, block.row(r) + block.keys, minus_infinity);
}

/// At most query_block rows.
void attend_block(const SubsetInput& input, MutableRows out, std::span<float> lse, Scratch& scratch) {
  const std::size_t rows = input.queries.count, dim = input.keys.dim, value_dim = input.values.dim;
  const std::size_t width = round_up(value_dim, panel_width), all = input.subset.rows.size();
  const bool packed = rows >= packing_rows;
  float* queries = scratch.floats(slot_queries, query_block * dim);
  float* output = scratch.floats(slot_output, query_block * width);
  float* panels = scratch.floats(slot_keys, key_block * dim);
  float* packed_values = scratch.floats(slot_values, packed ? key_block * width : 0);
  ScoreBlock block;
  block.data = scratch.floats(slot_scores, score_floats) + score_margin;
  block.rows = rows;
  block.first_query = input.first_query;
  RowState state[query_block];

  scale_queries(input.queries, input.scale, queries);
  std::fill_n(output, rows * width, 0.0f);
  for (std::size_t first = 0; first < all; first += key_block) {
    const std::size_t count = std::min(key_block, all - first);
    const auto slots = input.subset.rows.subspan(first, count);
    const auto value = [&values = input.values, slot = slots.data()](std::size_t k) { return values.row(slot[k]); };
    block.keys = round_up(count, panel_width);
    gather_keys(input.keys, slots, panels);
    block_product(queries, dim, rows, panels, block.keys / panel_width, dim, block.data, score_stride, false);
    adjust_scores(input, first, count, block);
    if (packed) pack_values(value, count, block.keys, value_dim, packed_values);
    for (std::size_t r = 0; r < rows; ++r) {
      float* row_output = output + r * width;
      const float shrink = online_softmax(block.row(r), block.keys, state[r]);
      if (shrink != 1.0f)
        for (std::size_t c = 0; c < width; ++c) row_output[c] *= shrink;
      if (!packed) add_weighted_rows(block.row(r), value, count, value_dim, row_output);
    }
    if (packed)
      for (std::size_t p = 0; p < width / panel_width; ++p)
        block_product(block.data, score_stride, rows, packed_values + p * block.keys * panel_width, 1, block.keys,
                      output + p * panel_width, width, true);
  }

  for (std::size_t r = 0; r < rows; ++r) {
    const bool empty = state[r].sum == 0;
    const float inverse = empty ? 0.0f : static_cast<float>(1.0 / state[r].sum);
    for (std::size_t c = 0; c < value_dim; ++c) out.row(r)[c] = output[r * width + c] * inverse;
    lse[r] = empty ? minus_infinity : static_cast<float>(state[r].maximum + std::log(state[r].sum));
  }
}

}  // namespace subset

void subset_attention(const SubsetInput& input, MutableRows out, std::span<float> lse, Scratch& scratch) {
  for (std::size_t r = 0; r < input.queries.count; r += query_block) {
    const std::size_t n = std::min(query_block, input.queries.count - r);
    SubsetInput block = input;
    block.queries = input.queries.slice(r, n);
    block.first_query = static_cast<std::uint32_t>(input.first_query + r);
    subset::attend_block(block, out.slice(r, n), lse.subspan(r, n), scratch);
  }
}

}  // namespace attnscope
