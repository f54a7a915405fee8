// KeyDiff: keys that point where most keys point are redundant; the ones that stand out are kept.
#include <array>
#include <cmath>
#include <limits>

#include "core/policy/budget_retention.h"
#include "core/policy/keep_top.h"
#include "core/policy/resident_ends.h"

namespace attnscope {

namespace keydiff {

PolicyDescriptor describe() {
  PolicyDescriptor d{};
  d.id = "keydiff-budget";
  d.title = "KeyDiff (token budget)";
  d.family = Family::retention;
  d.unit = DecisionUnit::kv_head;
  d.granularity = "token";
  d.phase = "prefill and decode";
  d.frees = Frees::memory;
  d.query_aware = QueryAware::no;
  d.doc = "Keeps the keys least similar to the anchor, the mean of all resident keys at length 1 (sinks and recent ones too). The prompt is attended to "
          "whole and shrunk once at its end; then every step brings one token, the anchor is made anew and the most similar token goes. kvpress keeps a "
          "share of the prompt, knows no sinks and no recent window and lets the cache grow while decoding; the paper's steps are blocks of 128 tokens.";
  d.source = "arXiv 2504.15364; NVIDIA/kvpress v0.5.4 presses/keydiff_press.py (the score), block_press.py (scoring survivors again with what came)";
  d.kernels = {{PolicyKernel::When::prefill, "dense", "attention"}, {PolicyKernel::When::step, "decode-list", "attention"}};
  d.untimed = "scoring the keys, choosing and moving the tokens that stay";
  d.parameters = budget_parameters(0, 0);
  d.presets = budget_presets(0, 0, {});
  return d;
}

/// Sum over channels of a * b in eight fixed lanes, so that compilers vectorise it without reordering and builds agree.
template <class T>
double dot(const float* a, const T* b, std::size_t dim) {
  constexpr std::size_t lanes = 8;
  std::array<double, lanes> sum{};
  std::size_t c = 0;
  for (; c + lanes <= dim; c += lanes)
    for (std::size_t l = 0; l < lanes; ++l) sum[l] += static_cast<double>(a[c + l]) * static_cast<double>(b[c + l]);
  for (std::size_t l = 0; c < dim; ++c, ++l) sum[l] += static_cast<double>(a[c]) * static_cast<double>(b[c]);
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

/// -cos(key, anchor) of every slot. A key of length 0 has cosine 0. One that is not finite says nothing about a
/// direction: it stays out of the anchor, which it would turn into NaN for all, and has no score.
void scores(const ResidentTokens& resident, std::size_t dim, std::vector<double>& anchor, std::vector<double>& inverse, std::vector<float>& score) {
  const std::size_t n = resident.size();
  anchor.assign(dim, 0.0);
  inverse.resize(n);
  score.resize(n);
  for (std::size_t slot = 0; slot < n; ++slot) {
    const float* key = resident.key(slot);
    const double squares = dot(key, key, dim);
    inverse[slot] = !std::isfinite(squares) ? std::numeric_limits<double>::quiet_NaN() : squares > 0 ? 1 / std::sqrt(squares) : 0;
    if (std::isnan(inverse[slot])) continue;
    for (std::size_t c = 0; c < dim; ++c) anchor[c] += key[c] * inverse[slot];
  }
  // The mean's divisor cancels in the cosine.
  double length = 0;
  for (const double x : anchor) length += x * x;
  const double over_length = length > 0 ? 1 / std::sqrt(length) : 0;
  for (std::size_t slot = 0; slot < n; ++slot)
    score[slot] = std::isnan(inverse[slot]) ? std::numeric_limits<float>::quiet_NaN()
                                            : static_cast<float>(-dot(resident.key(slot), anchor.data(), dim) * inverse[slot] * over_length);
}

class Policy final : public RetentionPolicy {
 public:
  explicit Policy(const PolicyConfig& config) : budget_(retention_budget(config)) {}

  Status append(const LayerInput& input, std::span<const ResidentTokens> resident, const AppendEvent& event,
                std::span<std::vector<std::uint32_t>> evict) override {
    for (auto& slots : evict) slots.clear();
    if (event.prefill && !event.prefill_ends) return success();
    for (std::size_t h = 0; h < resident.size(); ++h) {
      const std::size_t n = resident[h].size();
      if (n <= budget_.tokens) continue;
      scores(resident[h], input.head_dim, anchor_, inverse_, score_);
      const std::span<const float> open = std::span(score_).subspan(budget_.sink, n - budget_.sink - budget_.recent);
      kept_.resize(open.size());
      keep_top<float>(open, budget_.tokens - budget_.sink - budget_.recent, kept_);
      dropped_slots(kept_, budget_.sink, evict[h]);
    }
    return success();
  }

  void forced(const ResidentTokens& resident, std::vector<KeySpan>& spans) const override {
    resident_ends(resident.size(), budget_.sink, before_last(resident.size(), budget_.recent), spans);
  }

 private:
  RetentionBudget budget_;
  std::vector<double> anchor_, inverse_;  // scratch of one head
  std::vector<float> score_;
  std::vector<std::uint8_t> kept_;
};

Result<std::unique_ptr<RetentionPolicy>> make(const PolicyConfig& config) { return std::unique_ptr<RetentionPolicy>(new Policy(config)); }

}  // namespace keydiff

PolicyEntry keydiff_entry() {
  PolicyEntry entry{};
  entry.descriptor = keydiff::describe();
  entry.retention = keydiff::make;
  entry.resident_after = budget_resident_after;
  return entry;
}

}  // namespace attnscope
