// LagKV as NVIDIA's kvpress runs it: one compression of the whole prompt to a global number of tokens, and optionally its
// DecodingPress, which shrinks the already thinned cache again every so many steps.
#include <algorithm>
#include <numeric>

#include "core/policy/keep_top.h"
#include "core/policy/lag_score.h"
#include "core/policy/lagkv_size.h"
#include "core/policy/resident_ends.h"

namespace attnscope {

namespace lagkv_kvpress {

enum : std::size_t { kSink, kLag, kCompressionRatio, kCrossScoring, kInterval, kTargetSize };

PolicyDescriptor describe() {
  PolicyDescriptor d{};
  d.id = "lagkv-kvpress";
  d.title = "LagKV (kvpress)";
  d.family = Family::retention;
  d.unit = DecisionUnit::kv_head;
  d.granularity = "token";
  d.phase = "prefill";
  d.frees = Frees::memory;
  d.query_aware = QueryAware::no;
  d.doc = "Compresses once, after the prompt: every head keeps its floor(N (1 - compression_ratio)) best slots by rank inside the partition. Of a prompt "
          "fed in chunks only the first is compressed: kvpress takes the others for decoding. Between equal ranks the lowest position wins (kvpress: "
          "arbitrary), also where the budget is smaller than sinks and recent window, which then lose tokens. Survivors stay in position order.";
  d.source = "NVIDIA/kvpress v0.5.4 presses/lagkv_press.py, scorer_press.py, decoding_press.py";
  d.kernels = {{PolicyKernel::When::prefill, "dense", "attention"}, {PolicyKernel::When::build, "lagkv", "score"},
               {PolicyKernel::When::step, "decode-list", "attention"}};
  d.untimed = "choosing and moving the tokens that stay";
  d.parameters = {
      {.name = "sink", .type = ParameterType::integer, .unit = "tokens", .minimum = 0, .maximum = 1024, .fallback = 4, .doc = "first tokens, ranked highest"},
      {.name = "lag", .type = ParameterType::integer, .unit = "tokens", .minimum = 8, .maximum = 8192, .fallback = 128, .doc = "tokens a partition", .logarithmic = true},
      {.name = "compression_ratio", .type = ParameterType::real, .unit = "share of 1", .minimum = 0, .maximum = 0.9999, .fallback = 0.5,
       .doc = "share of the prompt REMOVED; floor in doubles: 1000 tokens at 0.9 keep 99"},
      {.name = "cross_scoring", .type = ParameterType::flag, .minimum = 0, .maximum = 1, .fallback = 0,
       .doc = "compare raw scores across partitions instead of ranks inside each"},
      {.name = "interval", .type = ParameterType::integer, .unit = "steps", .minimum = 0, .maximum = 65536, .fallback = 0,
       .doc = "decode steps between compressions (DecodingPress); 0: none while decoding"},
      {.name = "target_size", .type = ParameterType::integer, .unit = "tokens", .minimum = 8, .maximum = 1048576, .fallback = 2048,
       .doc = "tokens each compression while decoding leaves", .logarithmic = true},
  };
  constexpr const char* ladder = "kvpress evaluation/leaderboard.sh";
  d.presets = {
      {"half", "kvpress presses/lagkv_press.py, class defaults", {4, 128, 0.5, 0, 0, 2048}},
      {"leaderboard-0.25", ladder, {4, 128, 0.25, 0, 0, 2048}},
      {"leaderboard-0.75", ladder, {4, 128, 0.75, 0, 0, 2048}},
      {"leaderboard-0.875", ladder, {4, 128, 0.875, 0, 0, 2048}},
      {"decoding", "kvpress presses/decoding_press.py, class defaults", {4, 128, 0, 0, 512, 2048}},
  };
  return d;
}

/// kvpress's final score of n slots, higher is kept.
void slot_scores(const LayerInput& input, std::uint32_t kv_head, const ResidentTokens& resident, const LagScoring& scoring, bool cross_scoring,
                 std::vector<float>& score) {
  const std::size_t n = resident.size(), sink = scoring.sink, lag = scoring.lag;
  score.assign(n, 1.0f);
  if (n < sink + 2 * lag) {
    // Too short for a reference: sinks, then the most recent.
    for (std::size_t i = sink; i < n; ++i) score[i] = static_cast<float>(static_cast<double>(i - sink) / static_cast<double>(n - sink));
    return;
  }
  const std::size_t partitions = (n - sink) / lag - 1;
  const std::span<float> middle = std::span(score).subspan(sink, partitions * lag);
  lag_scores(input, kv_head, resident, sink, partitions, scoring, middle);
  if (cross_scoring) {
    for (float& value : middle) value /= 2;
    return;
  }
  std::vector<std::uint32_t> order(lag);
  for (std::size_t p = 0; p < partitions; ++p) {
    const std::span<float> part = middle.subspan(p * lag, lag);
    std::iota(order.begin(), order.end(), 0u);
    // Best first; a NaN compares false with everything, so it is sorted out to the end explicitly.
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      const bool missing_a = part[a] != part[a], missing_b = part[b] != part[b];
      if (missing_a != missing_b) return missing_b;
      if (!missing_a && part[a] != part[b]) return part[a] > part[b];
      return a < b;
    });
    for (std::size_t i = 0; i < lag; ++i) part[order[i]] = static_cast<float>(static_cast<double>(lag - 1 - i) / static_cast<double>(lag));
  }
}

class Policy final : public RetentionPolicy {
 public:
  explicit Policy(const PolicyConfig& config)
      : scoring_{config.count(kSink), config.count(kLag)}, compression_ratio_(config[kCompressionRatio]), cross_scoring_(config.flag(kCrossScoring)),
        interval_(config.count(kInterval)), target_size_(config.count(kTargetSize)) {}

  Status append(const LayerInput& input, std::span<const ResidentTokens> resident, const AppendEvent& event,
                std::span<std::vector<std::uint32_t>> evict) override {
    for (auto& slots : evict) slots.clear();
    const auto n = static_cast<std::uint32_t>(resident_slots(resident));
    if (event.prefill && !started_) {
      shrink(input, resident, kvpress_kept(n, compression_ratio_), evict);
    } else if (interval_ > 0 && (++steps_ >= interval_ || event.added >= target_size_)) {
      steps_ = 0;
      shrink(input, resident, target_size_, evict);
    }
    started_ = true;
    return success();
  }

  void forced(const ResidentTokens& resident, std::vector<KeySpan>& spans) const override { resident_ends(resident.size(), sinks_, tail_, spans); }

 private:
  void shrink(const LayerInput& input, std::span<const ResidentTokens> resident, std::uint32_t keep, std::span<std::vector<std::uint32_t>> evict) {
    const std::size_t n = resident_slots(resident);
    if (n <= keep) return;
    // Sinks and tail tie at the top, so a small budget takes them from the front; too short a cache has no score at all.
    sinks_ = std::min(scoring_.sink, keep);
    std::size_t recent = keep - sinks_;
    if (n >= scoring_.sink + 2ull * scoring_.lag) recent = std::min<std::size_t>(recent, scoring_.lag + (n - scoring_.sink) % scoring_.lag);
    tail_ = keep - recent;
    std::vector<float> score;
    std::vector<std::uint8_t> kept;
    for (std::size_t h = 0; h < resident.size(); ++h) {
      if (resident[h].size() <= keep) continue;
      slot_scores(input, static_cast<std::uint32_t>(h), resident[h], scoring_, cross_scoring_, score);
      kept.resize(score.size());
      keep_top<float>(score, keep, kept);
      dropped_slots(kept, 0, evict[h]);
    }
  }

  LagScoring scoring_;
  double compression_ratio_;
  bool cross_scoring_, started_ = false;
  std::uint32_t interval_, target_size_, steps_ = 0;
  std::size_t sinks_ = 0, tail_ = 0;  // slots before the one and from the other on were kept whatever their score
};

Result<std::unique_ptr<RetentionPolicy>> make(const PolicyConfig& config) { return std::unique_ptr<RetentionPolicy>(new Policy(config)); }

std::uint32_t resident_after(const PolicyConfig& config, std::uint32_t prompt, std::uint32_t decoded) {
  const std::uint32_t start = kvpress_kept(prompt, config[kCompressionRatio]), interval = config.count(kInterval), target = config.count(kTargetSize);
  if (interval == 0 || decoded < interval) return start + decoded;
  const std::uint32_t since = decoded % interval, at_last = start + decoded - since;
  // Below the target a compression leaves everything; once above it, each one ends at the target.
  return std::min(at_last, target) + since;
}

}  // namespace lagkv_kvpress

PolicyEntry lagkv_kvpress_entry() {
  PolicyEntry entry{};
  entry.descriptor = lagkv_kvpress::describe();
  entry.retention = lagkv_kvpress::make;
  entry.resident_after = lagkv_kvpress::resident_after;
  return entry;
}

}  // namespace attnscope
