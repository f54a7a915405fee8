// LagKV as its authors run it: partition by partition, in prefill and decode alike, each compressed once.
#include <algorithm>

#include "core/policy/keep_top.h"
#include "core/policy/lag_score.h"
#include "core/policy/lagkv_size.h"
#include "core/policy/resident_ends.h"

namespace attnscope {

namespace lagkv_official {

enum : std::size_t { kSink, kLag, kRatio, kValueWeight, kSkipLayers, kAttendFirst, kScoreBf16 };

PolicyDescriptor describe() {
  PolicyDescriptor d{};
  d.id = "lagkv-official";
  d.title = "LagKV (authors' cache)";
  d.family = Family::retention;
  d.unit = DecisionUnit::kv_head;
  d.granularity = "token";
  d.phase = "prefill and decode";
  d.frees = Frees::memory;
  d.query_aware = QueryAware::no;
  d.doc = "Keeps sinks, the last one to two partitions, and of every older partition the tokens whose keys and values deviate most from the "
          "range of the partition after them. Needs no attention; the size depends on N alone. A channel that is constant in the reference is "
          "left out of the score (the published code loses the whole partition to NaN there).";
  d.source = "arXiv 2504.04704; AI-Lab-China-Merchants-Bank/LagKV lag_kv.py";
  d.kernels = {{PolicyKernel::When::prefill, "dense", "attention"}, {PolicyKernel::When::build, "lagkv", "score"},
               {PolicyKernel::When::step, "decode-list", "attention"}};
  d.untimed = "choosing and moving the tokens that stay";
  d.parameters = {
      {.name = "sink", .type = ParameterType::integer, .unit = "tokens", .minimum = 0, .maximum = 1024, .fallback = 16, .doc = "first tokens, always kept"},
      {.name = "lag", .type = ParameterType::integer, .unit = "tokens", .minimum = 8, .maximum = 8192, .fallback = 1024,
       .doc = "tokens a partition; the recent window is one to two of them", .logarithmic = true, .scales = true},
      {.name = "ratio", .type = ParameterType::real, .unit = "share of 1", .minimum = 0, .maximum = 1, .fallback = 0.5,
       .doc = "share KEPT of a compressed partition, floor(ratio lag) tokens"},
      {.name = "v_weight", .type = ParameterType::real, .unit = "", .minimum = 0, .maximum = 16, .fallback = 1, .doc = "weight of the value's score beside the key's"},
      {.name = "skip_layers", .type = ParameterType::integer, .unit = "layers", .minimum = 0, .maximum = 256, .fallback = 0, .doc = "first layers that keep everything"},
      {.name = "use_then_compress", .type = ParameterType::flag, .minimum = 0, .maximum = 1, .fallback = 1,
       .doc = "a step attends to everything before its layer is compressed, at the price of a full copy of it"},
      {.name = "score_bf16", .type = ParameterType::flag, .minimum = 0, .maximum = 1, .fallback = 0,
       .doc = "what if: score in bf16 as the published code does on a bf16 model; many scores tie, ties go to the lowest index"},
  };
  constexpr const char* code = "LagKV lag_kv.py, class defaults";
  constexpr const char* readme = "LagKV README.md";
  constexpr const char* hub = "Hugging Face CMB-AI-LAB/lagkv_cache";
  constexpr const char* nominal = "nominal ratio of the 2x to 8x range of arXiv 2504.04704";
  d.presets = {
      {"official", code, {16, 1024, 0.5, 1, 0, 1, 0}, 131072},
      {"readme", readme, {16, 64, 0.5, 1, 0, 1, 0}},
      {"chunked-demo", "LagKV README.md, chunked prefill", {16, 128, 0.2, 1, 0, 1, 0}},
      {"hub", hub, {16, 128, 0.5, 1, 0, 1, 0}},
      {"keep-1/4", nominal, {16, 128, 1.0 / 4, 1, 0, 1, 0}},
      {"keep-1/6", nominal, {16, 128, 1.0 / 6, 1, 0, 1, 0}},
      {"keep-1/8", nominal, {16, 128, 1.0 / 8, 1, 0, 1, 0}},
  };
  return d;
}

class Policy final : public RetentionPolicy {
 public:
  explicit Policy(const PolicyConfig& config)
      : scoring_{config.count(kSink), config.count(kLag), static_cast<float>(config[kValueWeight]),
                 config.flag(kScoreBf16) ? LagArithmetic::bf16 : LagArithmetic::fp32},
        keep_(static_cast<std::uint32_t>(config[kRatio] * config.count(kLag))), skip_layers_(config.count(kSkipLayers)),
        attend_first_(config.flag(kAttendFirst)), final_(config.count(kSink)) {}

  Status append(const LayerInput& input, std::span<const ResidentTokens> resident, const AppendEvent&,
                std::span<std::vector<std::uint32_t>> evict) override {
    for (auto& slots : evict) slots.clear();
    skipped_ = input.layer < skip_layers_;
    const std::size_t n = resident_slots(resident), lag = scoring_.lag;
    if (skipped_ || n < final_ + 2 * lag) return success();
    // The last full partition has no reference yet, so it stays with the remainder.
    const std::size_t partitions = (n - final_) / lag - 1;
    std::vector<float> score(partitions * lag);
    std::vector<std::uint8_t> kept(lag);
    for (std::size_t h = 0; h < resident.size(); ++h) {
      if (resident[h].size() == 0) continue;
      lag_scores(input, static_cast<std::uint32_t>(h), resident[h], final_, partitions, scoring_, score);
      for (std::size_t p = 0; p < partitions; ++p) {
        keep_top<float>(std::span(score).subspan(p * lag, lag), keep_, kept);
        dropped_slots(kept, final_ + p * lag, evict[h]);
      }
    }
    final_ += partitions * keep_;
    // The published cache hands out a full clone of the layer for this step and keeps the shrunken one beside it.
    if (attend_first_) transient_ = std::max(transient_, static_cast<double>(n));
    return success();
  }

  bool evicts_before_attention() const override { return !attend_first_; }
  double transient_tokens() const override { return transient_; }

  void forced(const ResidentTokens& resident, std::vector<KeySpan>& spans) const override {
    resident_ends(resident.size(), scoring_.sink, skipped_ ? 0 : final_, spans);
  }

 private:
  LagScoring scoring_;
  std::size_t keep_;            // tokens kept of a compressed partition
  std::uint32_t skip_layers_;
  bool attend_first_, skipped_ = false;
  std::size_t final_;           // leading slots that are never looked at again
  double transient_ = 0;
};

Result<std::unique_ptr<RetentionPolicy>> make(const PolicyConfig& config) { return std::unique_ptr<RetentionPolicy>(new Policy(config)); }

std::uint32_t resident_after(const PolicyConfig& config, std::uint32_t prompt, std::uint32_t decoded) {
  return lagkv_kept(prompt + decoded, config.count(kSink), config.count(kLag), config[kRatio]);
}

}  // namespace lagkv_official

PolicyEntry lagkv_official_entry() {
  PolicyEntry entry{};
  entry.descriptor = lagkv_official::describe();
  entry.retention = lagkv_official::make;
  entry.resident_after = lagkv_official::resident_after;
  entry.evicts_by_chunk = true;
  return entry;
}

}  // namespace attnscope
