#include "attention.h"

#include <cmath>

#include "online_softmax.h"
#include "score_block.h"

namespace attnscope {
namespace {

/// Rows whose running softmax is kept at a time: each block of values is packed once per that many queries.
constexpr std::size_t row_chunk = 512;

enum Slot { slot_queries, slot_scores, slot_output, slot_values };

/// One chunk of at most row_chunk queries: key blocks outside, so that each block of values is packed once for all of them.
void forward_chunk(const HeadInput& input, Rows values, MutableRows out, std::span<float> lse, Scratch& scratch) {
  const std::size_t rows = input.queries.count, dim = input.keys->dim();
  const std::size_t width = round_up(values.dim, panel_width);
  const bool packed = rows >= packing_rows;
  float* queries = scratch.floats(slot_queries, rows * dim);
  float* output = scratch.floats(slot_output, rows * width);
  float* packed_values = scratch.floats(slot_values, packed ? key_block * width : 0);
  ScoreBlock block;
  block.data = scratch.floats(slot_scores, score_floats) + score_margin;
  RowState state[row_chunk];

  scale_queries(input.queries, input.scale, queries);
  std::fill_n(output, rows * width, 0.0f);
  const auto end_query = static_cast<std::uint32_t>(input.first_query + rows);

  for_visible_keys(input.first_query, end_query, input.visibility, [&](std::uint32_t first_key, std::size_t keys) {
    const auto value = [first = values.row(first_key), stride = values.stride](std::size_t k) { return first + k * stride; };
    if (packed) pack_values(value, std::min(keys, values.count - first_key), keys, values.dim, packed_values);
    for (std::size_t r = 0; r < rows; r += query_block) {
      block.first_query = static_cast<std::uint32_t>(input.first_query + r);
      block.rows = std::min(query_block, rows - r);
      const auto last_query = static_cast<std::uint32_t>(block.first_query + block.rows - 1);
      if (last_query < first_key || input.visibility.first_key(block.first_query) >= first_key + keys) continue;
      block.first_key = first_key;
      block.keys = std::min(keys, round_up(last_query + 1 - first_key, panel_width));

      compute_scores(queries + r * dim, input.keys->panel(first_key / panel_width), dim, input.visibility, block);
      for (std::size_t i = 0; i < block.rows; ++i) {
        float* row_output = output + (r + i) * width;
        const float shrink = online_softmax(block.row(i), block.keys, state[r + i]);
        if (shrink != 1.0f)
          for (std::size_t c = 0; c < width; ++c) row_output[c] *= shrink;
        if (!packed)
          add_weighted_rows(block.row(i), value, std::min(block.keys, values.count - first_key), values.dim, row_output);
      }
      if (packed)
        for (std::size_t p = 0; p < width / panel_width; ++p)
          block_product(block.data, score_stride, block.rows, packed_values + p * keys * panel_width, 1, block.keys,
                        output + r * width + p * panel_width, width, true);
    }
  });

  for (std::size_t r = 0; r < rows; ++r) {
    const auto inverse = static_cast<float>(1.0 / state[r].sum);
    for (std::size_t c = 0; c < values.dim; ++c) out.row(r)[c] = output[r * width + c] * inverse;
    lse[r] = static_cast<float>(state[r].maximum + std::log(state[r].sum));
  }
}

}  // namespace

void attention_forward(const HeadInput& input, Rows values, MutableRows out, std::span<float> lse, Scratch& scratch) {
  for (std::size_t r = 0; r < input.queries.count; r += row_chunk) {
    const std::size_t n = std::min(row_chunk, input.queries.count - r);
    HeadInput chunk = input;
    chunk.queries = input.queries.slice(r, n);
    chunk.first_query = static_cast<std::uint32_t>(input.first_query + r);
    forward_chunk(chunk, values, out.slice(r, n), lse.subspan(r, n), scratch);
  }
}

}  // namespace attnscope
