// StreamingLLM: attention sinks and a window that rolls on, whatever the tokens are.
#include <numeric>

#include "core/policy/resident_ends.h"

namespace attnscope {

namespace streaming_llm {

enum : std::size_t { kSink, kRecent };

PolicyDescriptor describe() {
  PolicyDescriptor d{};
  d.id = "streaming-llm";
  d.title = "StreamingLLM (original positions)";
  d.family = Family::retention;
  d.unit = DecisionUnit::layer;
  d.granularity = "token";
  d.phase = "prefill and decode";
  d.frees = Frees::memory;
  d.query_aware = QueryAware::no;
  d.doc = "Keeps the first and the last tokens, the same in all heads and layers. A decode step makes room before it attends; a prompt, or a chunk of "
          "one, is attended to whole and then shrunk. Keys keep their original positions: the paper's code renumbers them inside the cache.";
  d.source = "arXiv 2309.17453; mit-han-lab/streaming-llm kv_cache.py";
  d.kernels = {{PolicyKernel::When::prefill, "dense", "attention"}, {PolicyKernel::When::step, "decode-list", "attention"}};
  d.untimed = "moving the tokens that stay";
  d.parameters = {
      {.name = "sink", .type = ParameterType::integer, .unit = "tokens", .minimum = 0, .maximum = 1024, .fallback = 4, .doc = "first tokens, always kept"},
      {.name = "recent", .type = ParameterType::integer, .unit = "tokens", .minimum = 1, .maximum = 1048576, .fallback = 512,
       .doc = "last tokens kept, the current one included; the cache holds sink + recent", .logarithmic = true, .scales = true},
  };
  constexpr const char* share = "budget ladder of kept shares, not a published setting";
  d.presets = {
      {"code", "mit-han-lab/streaming-llm kv_cache.py, class defaults", {4, 512}},
      {"keep-50%", share, {4, 1020}, 2048},
      {"keep-25%", share, {4, 508}, 2048},
      {"keep-12.5%", share, {4, 252}, 2048},
      {"keep-6.25%", share, {4, 124}, 2048},
  };
  return d;
}

class Policy final : public RetentionPolicy {
 public:
  explicit Policy(const PolicyConfig& config) : sink_(config.count(kSink)), recent_(config.count(kRecent)) {}

  Status append(const LayerInput&, std::span<const ResidentTokens> resident, const AppendEvent& event,
                std::span<std::vector<std::uint32_t>> evict) override {
    decoding_ = !event.prefill;
    for (std::size_t h = 0; h < resident.size(); ++h) {
      evict[h].clear();
      const std::size_t n = resident[h].size();
      if (n <= sink_ + recent_) continue;
      evict[h].resize(n - sink_ - recent_);
      std::iota(evict[h].begin(), evict[h].end(), static_cast<std::uint32_t>(sink_));
    }
    return success();
  }

  bool evicts_before_attention() const override { return decoding_; }
  void forced(const ResidentTokens& resident, std::vector<KeySpan>& spans) const override { resident_ends(resident.size(), sink_, before_last(resident.size(), recent_), spans); }

 private:
  std::size_t sink_, recent_;
  bool decoding_ = false;
};

Result<std::unique_ptr<RetentionPolicy>> make(const PolicyConfig& config) { return std::unique_ptr<RetentionPolicy>(new Policy(config)); }

std::uint32_t resident_after(const PolicyConfig& config, std::uint32_t prompt, std::uint32_t decoded) {
  return std::min(prompt + decoded, config.count(kSink) + config.count(kRecent));
}

}  // namespace streaming_llm

PolicyEntry streaming_llm_entry() {
  PolicyEntry entry{};
  entry.descriptor = streaming_llm::describe();
  entry.retention = streaming_llm::make;
  entry.resident_after = streaming_llm::resident_after;
  entry.evicts_by_chunk = true;
  return entry;
}

}  // namespace attnscope
