// topk-exact: the yardstick that reads the k keys with the highest scores at every step.
#include <algorithm>
#include <array>
#include <bit>

#include "core/policy/keep_top.h"
#include "core/policy/policy.h"
#include "core/policy/score_row.h"

namespace attnscope {
namespace topk_exact {

enum Index : std::size_t { budget, k, rho, sink, local };

class Policy final : public RetrievalPolicy {
 public:
  explicit Policy(const PolicyConfig& config) : config_(config) {}

  Status build(const LayerInput&, std::uint32_t, std::uint32_t) override { return success(); }

  void query(const LayerInput& input, std::uint32_t head, std::uint32_t position, const float* q, Selection& out) override {
    const ScoreRow row = visible_scores(input, head, position, q, scores_);
    const std::uint32_t visible = static_cast<std::uint32_t>(row.scores.size());
    const std::uint32_t wanted = config_.count(budget) == 0 ? config_.count(k) : static_cast<std::uint32_t>(config_[rho] * visible);
    const std::uint32_t keep = std::clamp(wanted, 1u, visible);

    // Sinks and window are part of the k: what is read stays k wherever they lie.
    const std::uint32_t sinks = std::clamp(config_.count(sink), row.first, position + 1);
    const std::uint32_t recent = std::max(sinks, position + 1 - std::min(config_.count(local), visible));
    if (sinks > row.first) out.fixed.push_back({row.first, sinks});
    if (recent <= position) out.fixed.push_back({recent, position + 1});
    const std::uint32_t fixed = sinks - row.first + (position + 1 - recent);

    if (keep > fixed) {
      const auto open = row.scores.subspan(sinks - row.first, recent - sinks);
      choose(open, std::min<std::size_t>(keep - fixed, open.size()), sinks, out.keys);
    }
    out.scanned = visible;
    // Offloaded K and V: K is scored where it lies, once for all heads of the group; the chosen ones come over the link.
    const double key_bytes = input.head_dim * static_cast<double>(input.bytes_per_element);
    out.bytes.host = visible * key_bytes / input.group();
    out.bytes.link = static_cast<double>(out.keys.size()) * 2 * key_bytes;
    out.bytes.device = static_cast<double>(out.keys.size() + fixed) * 2 * key_bytes;
  }

 private:
  /// The highest 12 bits of a score as an unsigned number that orders as scores do; NaN, below everything, is 0.
  static std::uint32_t coarse(float score) {
    if (!(score == score)) return 0;
    std::uint32_t bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // -0 becomes +0
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return bits >> 20;
  }

  /// keep_top over all scores; only those that share the coarse value of the k-th are really ranked (10x faster at 32K).
  void choose(std::span<const float> scores, std::size_t k, std::uint32_t first, std::vector<std::uint32_t>& keys) {
    if (k == 0) return;
    std::array<std::uint32_t, 4096> histogram{};
    for (const float s : scores) ++histogram[coarse(s)];
    std::uint32_t edge = 4095;
    std::size_t above = 0;
    while (above + histogram[edge] < k) above += histogram[edge--];

    tied_.clear();
    for (const float s : scores)
      if (coarse(s) == edge) tied_.push_back(s);
    kept_.resize(tied_.size());
    keep_top(std::span<const float>(tied_), k - above, std::span<std::uint8_t>(kept_));
    std::size_t next = 0;
    for (std::uint32_t i = 0; i < scores.size(); ++i) {
      const std::uint32_t c = coarse(scores[i]);
      if (c > edge || (c == edge && kept_[next++])) keys.push_back(first + i);
    }
  }

  PolicyConfig config_;
  std::vector<float> scores_, tied_;
  std::vector<std::uint8_t> kept_;
};

Result<std::unique_ptr<RetrievalPolicy>> make(const PolicyConfig& config) {
  return std::unique_ptr<RetrievalPolicy>(std::make_unique<Policy>(config));
}

}  // namespace topk_exact

PolicyEntry topk_exact_entry() {
  PolicyEntry entry;
  entry.descriptor = {
      .id = "topk-exact",
      .title = "Exact top-k",
      .family = Family::retrieval,
      .unit = DecisionUnit::query_head,
      .granularity = "token",
      .phase = "decode",
      .frees = Frees::nothing,
      .query_aware = QueryAware::every_step,
      .yardstick = true,
      .doc = "At every step the k keys of highest score for this query head, found by scoring all of them, renormalised. The best "
             "any ranking of single keys can do; finding them costs a pass over K.",
      .source = "Baseline of MagicPIG (arXiv 2410.16179, section 3; Infini-AI-Lab/MagicPIG, topk_cache.py) and RetrievalAttention (arXiv 2409.10516)",
      .untimed = "everything: a yardstick",
      .parameters =
          {
              {.name = "budget", .type = ParameterType::choice, .maximum = 1, .fallback = 0, .doc = "Whether k or rho says how many keys are read", .choices = {"tokens", "share"}},
              {.name = "k", .unit = "tokens", .minimum = 1, .maximum = 1048576, .fallback = 1000, .doc = "Keys read, with budget = tokens", .logarithmic = true, .scales = true},
              {.name = "rho", .type = ParameterType::real, .unit = "share of 1", .minimum = 0, .maximum = 1, .fallback = 0.06, .doc = "Share of the visible keys that is read, with budget = share", .logarithmic = false},
              {.name = "sink", .unit = "tokens", .maximum = 4096, .fallback = 0, .doc = "First tokens that are always among the k"},
              {.name = "local", .unit = "tokens", .maximum = 65536, .fallback = 0, .doc = "Last tokens that are always among the k"},
          },
      .presets =
          {
              {"k1000", "RetrievalAttention, arXiv 2409.10516, section 2: the exact top-1000 of 100K holds 89 % of the mass of Llama-3-8B", {0, 1000, 0.06, 0, 0}, 100000},
              {"rho0.06", "MagicPIG, arXiv 2410.16179: TopK at 6 % on infini-igsm", {1, 1000, 0.06, 0, 0}},
          },
  };
  entry.retrieval = topk_exact::make;
  return entry;
}

}  // namespace attnscope
