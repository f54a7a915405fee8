#include <algorithm>
#include <cmath>
#include <string>

#include "core/policy/block_scores.h"
#include "core/policy/plan_builder.h"

namespace attnscope {
namespace block_sparse {
namespace {

constexpr std::uint32_t block = PrefillPlan::block;
static_assert(block == block_tokens);

enum Index { index_top_k, index_forced };
enum Forced { forced_none, forced_frontier };

PolicyDescriptor descriptor() {
  return {
      .id = "block-sparse",
      .title = "Block-sparse (MInference)",
      .family = Family::prefill,
      .unit = DecisionUnit::query_head,
      .granularity = "64 x 64 block",
      .phase = "prefill",
      .frees = Frees::nothing,
      .query_aware = QueryAware::prompt,
      .doc = "Keeps, for every 64 queries, the top_k blocks of 64 keys whose mean key has the largest product with the mean query.",
      .source = "MInference 1.0 (Jiang et al. 2024); microsoft/MInference minference/ops/block_sparse_flash_attention.py",
      .kernels = {{PolicyKernel::When::prefill, "block-sparse", "estimate"}, {PolicyKernel::When::prefill, "block-sparse", "select"},
                  {PolicyKernel::When::prefill, "block-sparse", "attention"}, {PolicyKernel::When::step, "decode", "attention"}},
      .parameters = {{.name = "top_k", .unit = "blocks of 64 keys", .minimum = 1, .maximum = 16384, .fallback = 100,
                      .doc = "Blocks kept for every 64 queries; rows with fewer before them are dense.", .logarithmic = true, .scales = true},
                     {.name = "forced", .type = ParameterType::choice, .maximum = 1,
                      .doc = "frontier: first block, diagonal and the one before are always kept, inside top_k (at least 3), as in Sparse Frontier.",
                      .choices = {"none", "frontier"}}},
      .presets = {{"default", "microsoft/MInference minference/modules/minference_forward.py: top_k is 100 for every block-sparse head", {100, forced_none}, 131072}},
  };
}

/// Mean-pooled query times mean-pooled key, without scale or softmax; row m holds blocks [0, m].
struct BlockScores {
  std::size_t stride = 0;
  std::vector<float> value;
  bool finite = true;
  std::span<const float> row(std::uint32_t m) const { return {value.data() + m * stride, m + std::size_t{1}}; }
};

std::string of_head(const LayerInput& input, std::uint32_t head) {
  return "layer " + std::to_string(input.layer) + ", head " + std::to_string(head);
}

std::vector<float> pool(Rows rows, std::uint32_t tokens) {
  const std::uint32_t blocks = (tokens + block - 1) / block;
  std::vector<float> means(blocks * rows.dim);
  std::vector<double> sum(rows.dim);
  for (std::uint32_t b = 0; b < blocks; ++b) pool_block(rows, b, tokens, sum, means.data() + b * rows.dim);
  return means;
}

bool has_pooled(const LayerInput& input, std::uint32_t head, std::uint32_t blocks) {
  return input.pooled_queries.size() > head && input.pooled_queries[head].count >= blocks;
}

bool has_all_queries(const LayerInput& input, std::uint32_t head) {
  // Positions ascend, so the first N are 0 .. N - 1 exactly where the N-th is N - 1.
  const std::uint32_t tokens = input.prompt_tokens;
  return input.queries.size() > head && input.queries[head].positions.size() >= tokens && input.queries[head].positions[tokens - 1] == tokens - 1;
}

std::vector<float> pooled_queries(const LayerInput& input, std::uint32_t head, std::uint32_t blocks) {
  if (!has_pooled(input, head, blocks)) return pool(input.queries[head].rows, input.prompt_tokens);
  // Stored means are over the rows that exist: the last block, where it is ragged, shrinks by its share of 64.
  const Rows stored = input.pooled_queries[head];
  std::vector<float> means;
  means.reserve(std::size_t{blocks} * stored.dim);
  for (std::uint32_t m = 0; m < blocks; ++m) {
    const float share = static_cast<float>(std::min(input.prompt_tokens - m * block, block)) / block;
    for (std::size_t c = 0; c < stored.dim; ++c) means.push_back(stored.row(m)[c] * share);
  }
  return means;
}

BlockScores score_blocks(const std::vector<float>& queries, const std::vector<float>& keys, std::uint32_t blocks) {
  const std::size_t dim = keys.size() / blocks;
  const KeyPanels panels({keys.data(), blocks, dim, dim});
  BlockScores scores{round_up(blocks, panel_width), {}};
  scores.value.resize(scores.stride * blocks);
  for (std::uint32_t m = 0; m < blocks; m += block)
    score_block_rows(queries.data(), panels, m, std::min(block, blocks - m), scores.value.data() + m * scores.stride, scores.stride);
  for (std::uint32_t m = 0; m < blocks; ++m)
    for (float x : scores.row(m)) scores.finite = scores.finite && std::isfinite(x);
  return scores;
}

class Policy : public PrefillPolicy {
 public:
  explicit Policy(const PolicyConfig& config) : top_k_(config.count(index_top_k)), frontier_(config.count(index_forced) == forced_frontier) {
    if (frontier_) top_k_ = std::max(top_k_, 3u);
  }

  Status plan(const LayerInput& input, std::uint32_t head, PrefillPlan& plan) const override {
    const std::uint32_t tokens = input.prompt_tokens, blocks = (tokens + block - 1) / block;
    if (tokens == 0) {
      start_plan(plan, 0);
      return success();
    }
    if (input.keys.size() <= input.kv_head(head) || input.keys[input.kv_head(head)].count < tokens)
      return Error{"E_POLICY_KEYS", "block-sparse needs all " + std::to_string(tokens) + " prompt keys of " + of_head(input, head) +
                                        "; load them, or capture with --level replay or full."};
    if (!has_pooled(input, head, blocks) && !has_all_queries(input, head))
      return Error{"E_POLICY_QUERIES", "block-sparse looks at the mean of every 64 prompt queries of " + of_head(input, head) +
                                           ", and neither those means nor all queries are stored: capture with --level replay or full."};
    const BlockScores& scores = input.memo->get<BlockScores>(
        "block-sparse/l" + std::to_string(input.layer) + "/h" + std::to_string(head) + "/n" + std::to_string(tokens),
        [&] { return score_blocks(pooled_queries(input, head, blocks), pool(input.keys[input.kv_head(head)], tokens), blocks); });
    if (!scores.finite)
      return Error{"E_POLICY_NAN", "block-sparse: block scores of " + of_head(input, head) + " are not finite numbers; check the vectors of this head."};

    // The published code pads N to the next multiple of 64, an aligned N by a whole block: top_k may be one more than there
    // are blocks of keys, which selects nothing further but counts in the index.
    const std::uint32_t padded_blocks = tokens / block + 1;
    const std::uint32_t top_k = std::min(top_k_, padded_blocks);
    std::vector<std::uint32_t> offset{0}, kept, candidates;
    for (std::uint32_t m = 0; m < blocks; ++m) {
      select(scores.row(m), first_visible_key(m, input.visibility) / block, top_k, candidates);
      kept.insert(kept.end(), candidates.begin(), candidates.end());
      offset.push_back(static_cast<std::uint32_t>(kept.size()));
    }
    plan = plan_from_blocks(tokens, offset, kept, input.visibility);
    plan.index_bytes = 4.0 * padded_blocks * top_k;
    plan.forced_columns = frontier_ ? block : 0;
    plan.forced_diagonal_tiles = frontier_;
    return success();
  }

 private:
  /// The top_k of blocks [first, row.size()), forced ones in front, ties to the lowest block.
  void select(std::span<const float> row, std::uint32_t first, std::uint32_t top_k, std::vector<std::uint32_t>& out) const {
    const auto diagonal = static_cast<std::uint32_t>(row.size() - 1);
    out.clear();
    for (std::uint32_t b = first; b <= diagonal; ++b) out.push_back(b);
    if (out.size() <= top_k) return;
    // Forced blocks go to the front; the others compete for what is left of top_k.
    const auto rest = std::partition(out.begin(), out.end(), [&](std::uint32_t b) { return frontier_ && (b == 0 || b + 1 >= diagonal); });
    std::nth_element(rest, out.begin() + top_k, out.end(), [&](std::uint32_t a, std::uint32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
    out.resize(top_k);
    std::sort(out.begin(), out.end());
  }

  std::uint32_t top_k_;
  bool frontier_;
};

}  // namespace
}  // namespace block_sparse

PolicyEntry block_sparse_entry() {
  return {.descriptor = block_sparse::descriptor(),
          .prefill = [](const PolicyConfig& config) -> Result<std::unique_ptr<PrefillPolicy>> {
            return std::unique_ptr<PrefillPolicy>(std::make_unique<block_sparse::Policy>(config));
          }};
}

}  // namespace attnscope
