// What a memory model is asked about: one request of a llama-family model, how it is run and what its cache holds. Batch 1.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/memory/kv_format.h"
#include "core/result.h"

namespace attnscope::memory {

inline constexpr double MiB = 1 << 20, GiB = 1 << 30;

/// Hyperparameters of a config.json. `family` decides which MLP a mini-sequence run computes of the last token alone.
struct ModelShape {
  enum class Family : std::uint8_t { llama, qwen2, mistral, other };
  std::uint32_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  std::uint32_t hidden = 0, feed_forward = 0, vocab = 0;
  bool tied_embeddings = false, qkv_bias = false;
  Family family = Family::llama;
};

/// Which rows of a prefill get logits, and whether they are also upcast to fp32 as transformers did before 4.45.
struct LogitsMode {
  enum class Rows : std::uint8_t { all, last };
  Rows rows = Rows::all;
  bool upcast = false;
};

/// MLP in pieces along the sequence, as MOM runs it in prefill: their outputs are kept and concatenated.
struct MiniSequence {
  enum class Mode : std::uint8_t { off, by_size, by_count };
  /// The last layer's MLP: of the last token alone (MOM's code for Llama), or in pieces like the others (its code for Qwen2 and
  /// Mistral); by_family decides so.
  enum class LastMlp : std::uint8_t { by_family, last_token, pieces };
  Mode mode = Mode::off;
  std::uint32_t piece_tokens = 4096, pieces = 8;   // by_size, by_count
  LastMlp last_mlp = LastMlp::by_family;
};

/// Keys and values that wait on the host. Layer: transformers' OffloadedCache, as MOM uses it; head: HeadInfer, which is the
/// same machinery with a cache a kv head, attention running one of them after the other.
struct Offload {
  enum class Unit : std::uint8_t { none, layer, head };
  Unit unit = Unit::none;
  bool reload = true;                              // back to an ordinary cache when prefill ends (MOM), or stay offloaded
};

struct Scheme {
  std::uint32_t chunk_tokens = 0;                  // prefill by calls of so many tokens; 0: in one
  LogitsMode logits{};
  MiniSequence mini{};
  Offload offload{};
  /// growing: transformers' DynamicCache, which copies a layer's keys to append to them. in_place: allocated once, written into.
  enum class Cache : std::uint8_t { growing, in_place };
  Cache cache = Cache::growing;
};

/// What a retention policy leaves in a layer. Evicting copies what is kept and frees the rest, once a layer's attention is done.
struct Retention {
  /// Tokens each layer keeps when a prefill call ends: one value a layer, or calls x layers, the first call's first. Values above
  /// what a layer holds keep all of it. Empty: no policy.
  std::vector<std::uint32_t> kept;
  enum class Decode : std::uint8_t { grows, holds };  // steps add a token a layer, or evict one for it
  Decode decode = Decode::grows;
  std::uint64_t scratch_bytes = 0;                 // scores and indices of a layer while it evicts
};

/// What policies hold on the device beside keys and values.
struct PolicyBytes {
  std::uint64_t per_layer_call = 0;                // an index or mask that lives through one layer's prefill attention
  std::uint64_t resident = 0;                      // tables of all layers, held to the end
};

struct Config {
  ModelShape model;
  DType dtype = DType::bf16;                       // of weights and activations
  KvFormat kv;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t decode_steps = 0;                  // forward passes after prefill: generated tokens - 1
  Scheme scheme;
  Retention retention;
  PolicyBytes policy;
  /// cuBLAS's, taken with the first product: 8.125 MiB up to Ampere, 32 MiB on Hopper.
  std::uint64_t workspace_bytes = 8519680;
};

/// E_MEMORY_CONFIG names the field that cannot be.
Status validate(const Config& config);

/// Schemes as published.
struct NamedScheme {
  const char* id = "";
  const char* doc = "";
  Scheme scheme;
};
std::span<const NamedScheme> schemes();
/// E_MEMORY_SCHEME lists them.
Result<Scheme> named_scheme(std::string_view name);

struct WeightTensor {
  std::uint64_t bytes = 0;
  std::int16_t layer = -1;
};
/// Every tensor in the order of a checkpoint: embeddings, then by layer q, k, v, o, gate, up, down, norms and biases, final norm,
/// head unless tied.
std::vector<WeightTensor> weight_tensors(const ModelShape& model, DType dtype);
std::uint64_t parameters(const ModelShape& model);
std::uint64_t weight_bytes(const ModelShape& model, DType dtype);

/// Whether the last layer's MLP sees the last token alone in this scheme's prefill.
bool last_token_mlp(const Config& config);
/// Rows of logits that a prefill call over `tokens` ends with.
std::uint64_t logit_rows(const Config& config, std::uint64_t tokens);
/// Prefill calls, and the tokens of one.
std::uint32_t prefill_calls(const Config& config);
std::uint32_t call_tokens(const Config& config, std::uint32_t call);
/// Tokens in `layer` once `call` is done, of those it held and got.
std::uint64_t kept_after_call(const Config& config, std::uint32_t call, std::uint32_t layer, std::uint64_t held);

/// Keys and values of `tokens` in all layers, as stored.
std::uint64_t cache_bytes(const Config& config, std::uint64_t tokens);

}  // namespace attnscope::memory
