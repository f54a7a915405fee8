#include "core/memory/config.h"

#include <algorithm>
#include <string>

namespace attnscope::memory {
namespace configs {
namespace {

Error refuse(std::string what) { return {"E_MEMORY_CONFIG", "memory model: " + std::move(what)}; }

std::uint64_t layer_parameters(const ModelShape& m) {
  const std::uint64_t d = m.hidden, q = std::uint64_t{m.heads} * m.head_dim, kv = std::uint64_t{m.kv_heads} * m.head_dim;
  return 2 * d * q + 2 * d * kv + 3 * d * m.feed_forward + 2 * d + (m.qkv_bias ? q + 2 * kv : 0);
}

constexpr LogitsMode last_token{LogitsMode::Rows::last, false};
constexpr MiniSequence pieces_of_4096{MiniSequence::Mode::by_size};

constexpr NamedScheme named[] = {
    {"standard", "the whole prompt in one call, logits of every token", {}},
    {"last-token", "the whole prompt in one call, logits of its last token", {.logits = last_token}},
    {"chunked", "calls of 8,192 tokens, each with logits of every token, as MOM's runner does; the last call's live through the next", {.chunk_tokens = 8192}},
    {"mini-sequence", "MLP in pieces of 4,096 tokens, logits of the last token", {.logits = last_token, .mini = pieces_of_4096}},
    {"offload", "keys and values of a layer go to the host when the next one appends, and come back before decoding; logits of every token", {.offload = {Offload::Unit::layer}}},
    {"mom", "mini-sequence and offload together (arXiv 2504.12526)", {.logits = last_token, .mini = pieces_of_4096, .offload = {Offload::Unit::layer}}},
    {"headinfer", "calls of 10,000 tokens, keys and values offloaded by kv head and never brought back as a whole, logits of the last token (arXiv 2502.12574)",
     {.chunk_tokens = 10000, .logits = last_token, .offload = {Offload::Unit::head, false}}},
};

}  // namespace
}  // namespace configs

Status validate(const Config& c) {
  using configs::refuse;
  const ModelShape& m = c.model;
  const std::pair<const char*, std::uint32_t> sizes[] = {{"layers", m.layers}, {"heads", m.heads}, {"kv_heads", m.kv_heads}, {"head_dim", m.head_dim},
                                                         {"hidden", m.hidden}, {"feed_forward", m.feed_forward}, {"vocab", m.vocab}};
  for (const auto& [name, value] : sizes)
    if (value == 0 || value > 1u << 24) return refuse(std::string(name) + " is " + std::to_string(value) + "; pass the model's own");
  if (m.layers > 1u << 12) return refuse("layers is " + std::to_string(m.layers) + "; at most 4096");
  if (m.heads % m.kv_heads != 0) return refuse("heads is no multiple of kv_heads");
  if (m.head_dim % 2 != 0) return refuse("head_dim is odd");
  if (c.prompt_tokens == 0 || c.prompt_tokens > 1u << 28) return refuse("prompt_tokens must be 1 to 2^28");
  if (c.decode_steps > 1u << 24) return refuse("decode_steps must be at most 2^24");
  const Scheme& s = c.scheme;
  if (s.mini.mode == MiniSequence::Mode::by_size && s.mini.piece_tokens == 0) return refuse("a mini-sequence of 0 tokens");
  if (s.mini.mode == MiniSequence::Mode::by_count && s.mini.pieces == 0) return refuse("0 mini-sequences");
  if (s.cache == Scheme::Cache::in_place) {
    if (s.offload.unit != Offload::Unit::none) return refuse("a cache that is written in place is not offloaded; take a growing one");
    if (!c.retention.kept.empty()) return refuse("a cache that is written in place frees nothing; take a growing one for a retention policy");
  }
  const std::size_t kept = c.retention.kept.size();
  if (kept != 0 && kept != m.layers && kept != std::size_t{m.layers} * prefill_calls(c))
    return refuse("retention.kept has " + std::to_string(kept) + " values; pass one a layer, or one a prefill call and layer");
  return success();
}

std::span<const NamedScheme> schemes() { return configs::named; }

Result<Scheme> named_scheme(std::string_view name) {
  std::string names;
  for (const NamedScheme& one : configs::named) {
    if (name == one.id) return one.scheme;
    names += (names.empty() ? "" : ", ") + std::string(one.id);
  }
  return Error{"E_MEMORY_SCHEME", "no scheme is called \"" + std::string(name) + "\"; there are " + names};
}

std::vector<WeightTensor> weight_tensors(const ModelShape& m, DType dtype) {
  const std::uint64_t e = size_of(dtype), d = m.hidden, q = std::uint64_t{m.heads} * m.head_dim, kv = std::uint64_t{m.kv_heads} * m.head_dim;
  std::vector<WeightTensor> out;
  out.reserve(3 + std::size_t{m.layers} * (m.qkv_bias ? 12 : 9));
  out.push_back({e * m.vocab * d, -1});
  for (std::uint32_t layer = 0; layer < m.layers; ++layer) {
    const auto add = [&](std::uint64_t elements) { out.push_back({e * elements, static_cast<std::int16_t>(layer)}); };
    for (const std::uint64_t width : {q, kv, kv}) {
      add(d * width);
      if (m.qkv_bias) add(width);
    }
    add(q * d);
    for (int i = 0; i < 3; ++i) add(d * m.feed_forward);
    for (int i = 0; i < 2; ++i) add(d);
  }
  out.push_back({e * d, -1});
  if (!m.tied_embeddings) out.push_back({e * m.vocab * d, -1});
  return out;
}

std::uint64_t parameters(const ModelShape& m) {
  return (m.tied_embeddings ? 1 : 2) * std::uint64_t{m.vocab} * m.hidden + m.layers * configs::layer_parameters(m) + m.hidden;
}

std::uint64_t weight_bytes(const ModelShape& model, DType dtype) { return parameters(model) * size_of(dtype); }

bool last_token_mlp(const Config& c) {
  const MiniSequence& mini = c.scheme.mini;
  if (mini.mode == MiniSequence::Mode::off) return false;
  if (mini.last_mlp != MiniSequence::LastMlp::by_family) return mini.last_mlp == MiniSequence::LastMlp::last_token;
  return c.model.family == ModelShape::Family::llama;
}

std::uint64_t logit_rows(const Config& c, std::uint64_t tokens) { return c.scheme.logits.rows == LogitsMode::Rows::last ? 1 : tokens; }

std::uint32_t prefill_calls(const Config& c) {
  const std::uint32_t chunk = c.scheme.chunk_tokens;
  return chunk == 0 ? 1 : (c.prompt_tokens + chunk - 1) / chunk;
}

std::uint32_t call_tokens(const Config& c, std::uint32_t call) {
  const std::uint32_t chunk = c.scheme.chunk_tokens;
  return chunk == 0 ? c.prompt_tokens : std::min(chunk, c.prompt_tokens - call * chunk);
}

std::uint64_t kept_after_call(const Config& c, std::uint32_t call, std::uint32_t layer, std::uint64_t held) {
  const std::vector<std::uint32_t>& kept = c.retention.kept;
  if (kept.empty()) return held;
  const std::size_t row = kept.size() == c.model.layers ? 0 : std::size_t{call} * c.model.layers;
  return std::min<std::uint64_t>(held, kept[row + layer]);
}

std::uint64_t cache_bytes(const Config& c, std::uint64_t tokens) {
  const auto one = [&](const KvScales& scales) { return stored_bytes(c.kv.type, scales, size_of(c.dtype), tokens, c.model.kv_heads, c.model.head_dim); };
  return c.model.layers * (one(c.kv.keys) + one(c.kv.values));
}

}  // namespace attnscope::memory
