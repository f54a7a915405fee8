// oracle-sampling: the yardstick that draws keys from the exact attention distribution.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/policy/policy.h"
#include "core/policy/score_row.h"
#include "core/policy/seeded.h"
#include "core/simd.h"

namespace attnscope {
namespace oracle_sampling {

enum Index : std::size_t { rho, seed };

class Policy final : public RetrievalPolicy {
 public:
  explicit Policy(const PolicyConfig& config) : config_(config) {}

  Status build(const LayerInput&, std::uint32_t, std::uint32_t) override { return success(); }

  void query(const LayerInput& input, std::uint32_t head, std::uint32_t position, const float* q, Selection& out) override {
    const ScoreRow row = visible_scores(input, head, position, q, scores_);
    const std::size_t n = row.scores.size();
    const float top = weigh(row.scores);
    cumulative_.resize(n);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) cumulative_[i] = sum += weight_[i];

    const std::uint64_t draws = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(config_[rho] * static_cast<double>(n)));
    const seeded::Stream random("oracle-sampling", {static_cast<std::uint64_t>(config_[seed]), input.layer, head, position});
    drawn_.clear();
    for (std::uint64_t b = 0; b < draws; ++b) {
      const double u = random.uniform(b) * sum;
      const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), u);  // a key of no weight is never first above u
      drawn_.push_back(static_cast<std::uint32_t>(std::min<std::size_t>(found - cumulative_.begin(), n - 1)));
    }
    std::sort(drawn_.begin(), drawn_.end());

    // The output is the plain mean of the drawn values: softmax weights proportional to the counts c_i. In terms of the
    // scores that is log c_i - score_i; adding the top score keeps the numbers small.
    for (std::size_t i = 0; i < drawn_.size();) {
      std::size_t end = i;
      while (end < drawn_.size() && drawn_[end] == drawn_[i]) ++end;
      out.keys.push_back(row.first + drawn_[i]);
      out.log_weight.push_back(static_cast<float>(std::log(static_cast<double>(end - i)) + (static_cast<double>(top) - row.scores[drawn_[i]])));
      i = end;
    }
    out.expected = expected_distinct(sum, static_cast<double>(draws));
    out.scanned = static_cast<double>(n);
    out.draws = static_cast<double>(draws);
    // As for exact top-k: K scored where it lies, distinct keys over the link.
    const double key_bytes = input.head_dim * static_cast<double>(input.bytes_per_element);
    out.bytes.host = static_cast<double>(n) * key_bytes / input.group();
    out.bytes.link = out.bytes.device = static_cast<double>(out.keys.size()) * 2 * key_bytes;
  }

 private:
  /// weight_ = exp(score - top), in vectors of 8 and 0 after the last key; NaN weighs nothing. Returns the top score.
  float weigh(std::span<const float> scores) {
    using namespace simd;
    float top = -std::numeric_limits<float>::infinity();
    for (const float s : scores) top = s > top ? s : top;
    weight_.assign((scores.size() + lanes - 1) / lanes * lanes, -std::numeric_limits<float>::infinity());
    std::copy(scores.begin(), scores.end(), weight_.begin());
    for (std::size_t i = 0; i < weight_.size(); i += lanes) {
      const f32x8 w = exp(load(weight_.data() + i) - splat(top));
      store(weight_.data() + i, as_float(as_int(w) & (w == w)));
    }
    return top;
  }

  /// E[distinct keys] = sum of 1 - (1 - w)^B over the keys, w = weight / sum. To 1e-6 relative: exp and a series in fp32
  /// where w <= 0.01 (at most 100 keys are above), summed in fp64.
  double expected_distinct(double sum, double draws) const {
    using namespace simd;
    const f32x8 scale = splat(static_cast<float>(1 / sum)), count = splat(static_cast<float>(draws)), one = splat(1.0f);
    double distinct = 0;
    for (std::size_t i = 0; i < weight_.size(); i += lanes) {
      const f32x8 w = load(weight_.data() + i) * scale;
      if (any(w > splat(0.01f))) {
        for (std::size_t j = i; j < i + lanes; ++j) {
          const double exact = weight_[j] / sum;
          distinct += exact >= 1 ? 1.0 : -std::expm1(draws * std::log1p(-exact));
        }
        continue;
      }
      // x = -B log(1 - w)
      const f32x8 x = count * (w * (one + w * (splat(1.0f / 2) + w * (splat(1.0f / 3) + w * splat(1.0f / 4)))));
      const f32x8 series = x * (one - x * (splat(1.0f / 2) - x * (splat(1.0f / 6) - x * (splat(1.0f / 24) - x * splat(1.0f / 120)))));
      const i32x8 small = x < splat(0.1f);
      distinct += horizontal_sum(as_float((as_int(series) & small) | (as_int(one - exp(splat(0.0f) - x)) & ~small)));
    }
    return distinct;
  }

  PolicyConfig config_;
  std::vector<float> scores_, weight_;
  std::vector<double> cumulative_;
  std::vector<std::uint32_t> drawn_;
};

Result<std::unique_ptr<RetrievalPolicy>> make(const PolicyConfig& config) {
  return std::unique_ptr<RetrievalPolicy>(std::make_unique<Policy>(config));
}

}  // namespace oracle_sampling

PolicyEntry oracle_sampling_entry() {
  PolicyEntry entry;
  entry.descriptor = {
      .id = "oracle-sampling",
      .title = "Oracle sampling",
      .family = Family::retrieval,
      .unit = DecisionUnit::query_head,
      .granularity = "token",
      .phase = "decode",
      .frees = Frees::nothing,
      .query_aware = QueryAware::every_step,
      .sampled = true,
      .yardstick = true,
      .doc = "Draws rho * n keys with replacement from the exact softmax and outputs the plain mean of their values. What sampling "
             "by the true weights can reach; keys drawn twice are read once, so the cost is the number of distinct keys.",
      .source = "MagicPIG, arXiv 2410.16179, section 3; Infini-AI-Lab/MagicPIG, oraclesampling_cache.py",
      .untimed = "everything: a yardstick",
      .parameters =
          {
              {.name = "rho", .type = ParameterType::real, .unit = "share of 1", .minimum = 0.0001, .maximum = 4, .fallback = 0.02, .doc = "Draws a step, as a share of the visible keys (at least one draw)", .logarithmic = true},
              {.name = "seed", .maximum = 4294967295.0, .fallback = 0, .doc = "Results are spread over seeds"},
          },
      .presets =
          {
              {"rho0.02", "MagicPIG, arXiv 2410.16179: infini-igsm, ratio .02, distinct keys .005 of all", {0.02, 0}},
              {"rho0.3", "MagicPIG, arXiv 2410.16179: infini-igsm, ratio .3, distinct keys .02 of all", {0.3, 0}},
          },
  };
  entry.retrieval = oracle_sampling::make;
  return entry;
}

}  // namespace attnscope
