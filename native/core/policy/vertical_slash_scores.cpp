#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/policy/vertical_slash.h"
#include "core/score_block.h"
#include "core/simd.h"

namespace attnscope::vertical_slash {
namespace {

/// Scores of `count` consecutive queries from position `first` on, written to rows (last query first).
void score_rows(const LayerInput& input, const QueryRows& queries, std::size_t first_row, std::uint32_t first, std::uint32_t count, Rows keys,
                std::span<std::vector<float>> rows) {
  std::vector<float> scaled(std::size_t{count} * keys.dim), scores(score_floats);
  scale_queries(queries.rows.slice(first_row, count), input.scale, scaled.data());
  for_visible_keys(first, first + count, input.visibility, [&](std::uint32_t key, std::size_t width) {
    const KeyPanels panels(keys.slice(key, std::min<std::size_t>(width, keys.count - key)));
    const ScoreBlock block{first, key, count, width, scores.data() + score_margin};
    compute_scores(scaled.data(), panels.data(), keys.dim, input.visibility, block);
    for (std::uint32_t r = 0; r < count; ++r) std::copy_n(block.row(r), width, rows[count - 1 - r].data() + key);
  });
}

/// Softmax in place; keys [0, begin) and from `end` on become 0. False where the scores are not numbers.
bool softmax_row(std::vector<float>& row, std::size_t begin, std::size_t end) {
  begin = begin / simd::lanes * simd::lanes;
  end = round_up(end, simd::lanes);
  simd::f32x8 top = simd::splat(-std::numeric_limits<float>::infinity());
  for (std::size_t k = begin; k < end; k += simd::lanes) top = simd::max(top, simd::load(row.data() + k));
  const simd::f32x8 shift = simd::splat(simd::horizontal_max(top));
  double sum = 0;
  for (std::size_t k = begin; k < end; k += simd::lanes) {
    const simd::f32x8 p = simd::exp(simd::load(row.data() + k) - shift);
    simd::store(row.data() + k, p);
    sum += static_cast<double>(simd::horizontal_sum(p));
  }
  if (!(sum > 0) || !std::isfinite(sum)) return false;
  const simd::f32x8 inverse = simd::splat(static_cast<float>(1 / sum));
  for (std::size_t k = begin; k < end; k += simd::lanes) simd::store(row.data() + k, simd::load(row.data() + k) * inverse);
  std::fill(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(begin), 0.0f);
  std::fill(row.begin() + static_cast<std::ptrdiff_t>(end), row.end(), 0.0f);
  return true;
}

std::string of_head(const LayerInput& input, std::uint32_t head) {
  return "layer " + std::to_string(input.layer) + ", head " + std::to_string(head);
}

}  // namespace

Status StripRows::extend(const LayerInput& input, std::uint32_t head, std::uint32_t count) {
  const std::uint32_t tokens = input.prompt_tokens;
  if (input.keys.size() <= input.kv_head(head) || input.keys[input.kv_head(head)].count < tokens)
    return Error{"E_POLICY_KEYS", "vertical-slash needs all " + std::to_string(tokens) + " prompt keys of " + of_head(input, head) +
                                      "; load them, or capture with --level replay or full."};
  const Rows keys = input.keys[input.kv_head(head)].slice(0, tokens);
  for (std::uint32_t from_end = 0; from_end < count; ++from_end) {
    const std::uint32_t position = tokens - 1 - from_end;
    if (input.queries.size() <= head || input.queries[head].find(position) == QueryRows::npos)
      return Error{"E_POLICY_QUERIES", "vertical-slash looks at the last " + std::to_string(count) + " prompt queries of " + of_head(input, head) +
                                           "; the query at position " + std::to_string(position) +
                                           " is not stored: lower last_q, or capture with --level replay or full."};
  }
  while (rows_.size() < count) {
    const auto done = static_cast<std::uint32_t>(rows_.size());
    const auto batch = std::min<std::uint32_t>(count - done, query_block);
    const std::uint32_t first = tokens - done - batch;
    rows_.resize(done + batch, std::vector<float>(round_up(tokens, panel_width), -std::numeric_limits<float>::infinity()));
    const std::span<std::vector<float>> added = std::span(rows_).subspan(done);
    score_rows(input, input.queries[head], input.queries[head].find(first), first, batch, keys, added);
    for (std::uint32_t r = 0; r < batch; ++r) {
      const std::uint32_t position = first + batch - 1 - r;
      if (softmax_row(added[r], input.visibility.first_key(position), position + std::size_t{1})) continue;
      rows_.resize(done);
      return Error{"E_POLICY_NAN", "vertical-slash: the scores of query " + std::to_string(position) + " of " + of_head(input, head) +
                                       " are not finite numbers; check the vectors of this head."};
    }
  }
  return success();
}

Scores sum_strip(const StripRows& strip, std::uint32_t rows, std::uint32_t tokens) {
  std::vector<double> column(tokens), distance(tokens);
  for (std::uint32_t r = 0; r < rows; ++r) {
    const float* p = strip.row(r);
    const std::uint32_t position = tokens - 1 - r;
    for (std::uint32_t j = 0; j < tokens; ++j) column[j] += static_cast<double>(p[j]);
    for (std::uint32_t t = 0; t <= position; ++t) distance[t] += static_cast<double>(p[position - t]);
  }
  return {{column.begin(), column.end()}, {distance.begin(), distance.end()}};
}

std::vector<std::uint32_t> rank(std::span<const float> scores) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  return order;
}

std::vector<std::uint8_t> keep(std::span<const std::uint32_t> ranking, std::uint32_t count, std::uint32_t forced) {
  std::vector<std::uint8_t> kept(ranking.size());
  count = std::min<std::uint32_t>(count, static_cast<std::uint32_t>(ranking.size()));
  forced = std::min(forced, count);
  std::fill_n(kept.begin(), forced, std::uint8_t{1});
  std::uint32_t left = count - forced;
  for (std::size_t i = 0; left > 0; ++i) {
    if (ranking[i] < forced) continue;
    kept[ranking[i]] = 1;
    --left;
  }
  return kept;
}

}  // namespace attnscope::vertical_slash
