#include "bind/memory_config.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/memory/retained.h"

namespace attnscope::memory_numbers {
namespace readers {
namespace {

using namespace memory;

Error refuse(std::string what) { return {"E_MEMORY_CONFIG", "memory model: " + std::move(what)}; }

/// Takes numbers in order and remembers the first that cannot be.
class Reader {
 public:
  explicit Reader(std::span<const double> numbers) : numbers_(numbers) {}

  double real(const char* name) {
    const double value = next_ < numbers_.size() ? numbers_[next_] : std::nan("");
    ++next_;
    if (!std::isfinite(value)) fail(std::string(name) + " is no finite number");
    return value;
  }
  std::uint64_t whole(const char* name, double most) {
    const double value = real(name);
    if (value >= 0 && value <= most && value == std::floor(value)) return static_cast<std::uint64_t>(value);
    fail(std::string(name) + " is " + text(value) + "; pass a whole number from 0 to " + text(most));
    return 0;
  }
  std::uint32_t u32(const char* name) { return static_cast<std::uint32_t>(whole(name, 0xffffffffu)); }
  std::uint64_t bytes(const char* name) { return whole(name, 9007199254740991.0); }
  bool flag(const char* name) { return whole(name, 1) != 0; }
  /// Index into `choices`, as the loader finds it; -1: it does not.
  template <class T>
  T choice(const char* name, const char* choices, int count) {
    const double value = real(name);
    if (value >= 0 && value < count && value == std::floor(value)) return static_cast<T>(value);
    fail(std::string(name) + " is none of " + choices);
    return T{};
  }

  const Status& status() const { return status_; }
  bool read_all() const { return next_ == numbers_.size(); }

 private:
  static std::string text(double value) {
    std::string out = std::to_string(value);
    if (const std::size_t dot = out.find('.'); dot != std::string::npos) {
      out.erase(out.find_last_not_of('0') + 1);
      if (out.back() == '.') out.pop_back();
    }
    return out;
  }
  void fail(std::string what) {
    if (status_) status_ = refuse(std::move(what));
  }

  std::span<const double> numbers_;
  std::size_t next_ = 0;
  Status status_ = success();
};

void read_scales(Reader& in, KvScales& scales, const char* per, const char* group, const char* bytes, const char* zero_point) {
  scales.per = in.choice<KvScales::Per>(per, "token, channel", 2);
  scales.group = in.u32(group);
  scales.bytes = static_cast<std::uint32_t>(in.whole(bytes, 64));
  scales.zero_point = in.flag(zero_point);
}

void read_model(Reader& in, ModelShape& m) {
  m.layers = in.u32("model.layers"), m.heads = in.u32("model.heads"), m.kv_heads = in.u32("model.kvHeads"), m.head_dim = in.u32("model.headDim");
  m.hidden = in.u32("model.hiddenSize"), m.feed_forward = in.u32("model.feedForwardSize"), m.vocab = in.u32("model.vocabSize");
  m.tied_embeddings = in.flag("model.tiedEmbeddings"), m.qkv_bias = in.flag("model.qkvBias");
  m.family = in.choice<ModelShape::Family>("model.family", "llama, qwen2, mistral, other", 4);
}

void read_scheme(Reader& in, Scheme& s) {
  s.chunk_tokens = in.u32("scheme.chunkTokens");
  s.logits.rows = in.choice<LogitsMode::Rows>("scheme.logits.rows", "all, last", 2);
  s.logits.upcast = in.flag("scheme.logits.upcast");
  s.mini.mode = in.choice<MiniSequence::Mode>("scheme.mini.mode", "off, by size, by count", 3);
  s.mini.piece_tokens = in.u32("scheme.mini.pieceTokens");
  s.mini.pieces = in.u32("scheme.mini.pieces");
  s.mini.last_mlp = in.choice<MiniSequence::LastMlp>("scheme.mini.lastMlp", "by family, last token, pieces", 3);
  s.offload.unit = in.choice<Offload::Unit>("scheme.offload.unit", "none, layer, head", 3);
  s.offload.reload = in.flag("scheme.offload.reload");
  s.cache = in.choice<Scheme::Cache>("scheme.cache", "growing, in place", 2);
}

enum class Form : std::uint8_t { none, kept, share, policy };
struct RetentionWish {
  Form form = Form::none;
  double share = 0;
  Retention::Decode decode{};
};

/// Bytes by prompt token, added to fixed ones.
struct Growing {
  std::uint64_t fixed = 0, per_token = 0;
  std::uint64_t at(std::uint64_t tokens) const { return fixed + per_token * tokens; }
};

constexpr double most_per_token = 1u << 24;          // with 2^28 tokens well below 2^53
constexpr std::uint64_t most_entries = 1u << 24;     // of a list a prefill call and layer
constexpr std::uint64_t most_events = 100'000'000;

Result<Retention> retention_at(const Config& c, const RetentionWish& wish, const std::vector<std::uint32_t>& kept, const PolicyChoice& policy) {
  if (wish.form == Form::none) return Retention{};
  if (std::uint64_t{prefill_calls(c)} * c.model.layers > most_entries)
    return Error{"E_MEMORY_LENGTH", "memory model: " + std::to_string(prefill_calls(c)) + " prefill calls over " + std::to_string(c.model.layers) + " layers are more than a retention policy is followed through; take a larger chunk"};
  if (wish.form == Form::policy) return retained_by(c, policy);
  if (wish.form == Form::share) {
    Result<Retention> out = retained_share(c, wish.share);
    if (out) out.value().decode = wish.decode;
    return out;
  }
  Retention out;
  out.kept = kept;
  if (kept.size() == 1) out.kept.assign(c.model.layers, kept[0]);
  out.decode = wish.decode;
  return out;
}

}  // namespace
}  // namespace readers

Result<Request> read_request(std::string_view implementation, std::span<const double> numbers, std::span<const std::uint32_t> kept, std::string_view policy) {
  using namespace readers;
  Request out;
  const auto found = find_implementation(implementation);
  if (!found) return found.error();
  out.implementation = found.value();

  Config c;
  Reader in(numbers);
  read_model(in, c.model);
  c.dtype = in.choice<DType>("dtype", "f32, f16, bf16", 3);
  c.kv.type = in.choice<KvType>("kv.type", "model, int8, int4", 3);
  read_scales(in, c.kv.keys, "kv.keys.per", "kv.keys.group", "kv.keys.bytes", "kv.keys.zeroPoint");
  read_scales(in, c.kv.values, "kv.values.per", "kv.values.group", "kv.values.bytes", "kv.values.zeroPoint");
  c.prompt_tokens = in.u32("promptTokens");
  c.decode_steps = in.u32("decodeSteps");
  read_scheme(in, c.scheme);
  RetentionWish wish;
  wish.form = in.choice<Form>("retention", "a list of kept tokens, a share, a policy", 4);
  wish.share = in.real("retention.share");
  wish.decode = in.choice<Retention::Decode>("retention.decode", "grows, holds", 2);
  const std::uint64_t eviction_bytes = in.bytes("evictionBytes");
  Growing call, resident;
  call.fixed = in.bytes("policy.call"), call.per_token = in.whole("policy.callPerToken", most_per_token);
  resident.fixed = in.bytes("policy.resident"), resident.per_token = in.whole("policy.residentPerToken", most_per_token);
  c.workspace_bytes = in.bytes("workspaceBytes");
  if (!in.status()) return in.status().error();
  if (!in.read_all()) return refuse("a configuration of " + std::to_string(numbers.size()) + " numbers; pass what the loader packs");
  if (const Status valid = validate(c); !valid) return valid.error();

  PolicyChoice choice;
  if (wish.form == Form::policy) {
    const auto parsed = parse_policy(policy);
    if (!parsed) return parsed.error();
    choice = parsed.value();
  }
  const auto at = [base = c, wish, listed = std::vector<std::uint32_t>(kept.begin(), kept.end()), choice, eviction_bytes, call, resident](std::uint32_t tokens) -> Result<Config> {
    Config made = base;
    made.prompt_tokens = tokens;
    Result<Retention> retention = retention_at(made, wish, listed, choice);
    if (!retention) return retention.error();
    made.retention = retention.take();
    made.retention.scratch_bytes = eviction_bytes;
    made.policy = {call.at(tokens), resident.at(tokens)};
    if (const Status valid = validate(made); !valid) return valid.error();
    return made;
  };
  const Result<Config> given = at(c.prompt_tokens);
  if (!given) return given.error();
  out.config = given.value();
  out.at = at;
  return out;
}

Status check_length(const memory::Config& c) {
  using namespace memory;
  const std::uint64_t calls = prefill_calls(c), parts = c.scheme.offload.unit == Offload::Unit::head ? c.model.kv_heads : 1;
  const MiniSequence& mini = c.scheme.mini;
  const std::uint64_t tokens = call_tokens(c, 0);
  const std::uint64_t pieces = mini.mode == MiniSequence::Mode::by_size ? (tokens + mini.piece_tokens - 1) / mini.piece_tokens : mini.mode == MiniSequence::Mode::by_count ? std::min<std::uint64_t>(mini.pieces, tokens) : 1;
  // Of a layer: norms and additions 32, a part's attention at most 40, a piece of the MLP 11.
  const double events = static_cast<double>(c.model.layers) * (static_cast<double>(calls) * static_cast<double>(32 + 40 * parts + 11 * pieces) + static_cast<double>(c.decode_steps) * static_cast<double>(43 + 40 * parts));
  if (events <= static_cast<double>(readers::most_events)) return success();
  return Error{"E_MEMORY_LENGTH", "memory model: the request has about " + std::to_string(static_cast<std::uint64_t>(events / 1e6)) + " million events, more than the 100 million that a replay goes through; take fewer decode steps, or larger chunks or mini-sequences"};
}

std::array<double, scheme_numbers> of(const memory::Scheme& s) {
  const auto code = [](auto value) { return static_cast<double>(value); };
  return {code(s.chunk_tokens), code(s.logits.rows), code(s.logits.upcast), code(s.mini.mode), code(s.mini.piece_tokens), code(s.mini.pieces), code(s.mini.last_mlp),
          code(s.offload.unit), code(s.offload.reload), code(s.cache)};
}

}  // namespace attnscope::memory_numbers
