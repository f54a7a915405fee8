// Exact scores of one query against every key it sees: what yardsticks rank and what sampling weights are made from.
#pragma once
#include "core/policy/input.h"

namespace attnscope {

/// Scores q . k * scale of keys [first, first + scores.size()), fp32, each summed in one order that depends on nothing else.
struct ScoreRow {
  std::uint32_t first = 0;
  std::span<const float> scores;
};

/// The visible keys of the query of `head` at `position`. Where the query is one of the input's stored rows the scores
/// are kept in input.memo (up to 160 MB a head: 256 rows at 128K), so that sliders rank and weigh without reading a key;
/// otherwise they are written to `scratch`. The span lives until either changes.
ScoreRow visible_scores(const LayerInput& input, std::uint32_t head, std::uint32_t position, const float* q, std::vector<float>& scratch);

/// a . b over n floats, in the order visible_scores uses.
float dot(const float* a, const float* b, std::size_t n);

}  // namespace attnscope
