// The runs that MOM (arXiv 2504.12526) published: models, schemes, lengths, and the device they ran on.
#pragma once
#include <cstdint>

#include "core/memory/max_context.h"
#include "core/memory/published_rates.h"
#include "core/memory/request.h"

namespace attnscope::published_memory {

using namespace attnscope::memory;

inline ModelShape llama32_3b() { return {28, 24, 8, 128, 3072, 8192, 128256, true, false, ModelShape::Family::llama}; }

/// A scheme as the benchmarks ran it: its name, prefill chunks, rows of logits.
struct Case {
  const char* name;
  const char* scheme;
  std::uint32_t chunk_tokens = 0;
  bool last_token = false;
  bool upcast = false;
};

inline Config config(const ModelShape& model, const Case& scheme, std::uint32_t tokens, std::uint32_t steps) {
  Config c;
  c.model = model;
  if (const Result<Scheme> named = named_scheme(scheme.scheme)) c.scheme = named.value();
  c.scheme.chunk_tokens = scheme.chunk_tokens;
  if (scheme.last_token) c.scheme.logits.rows = LogitsMode::Rows::last;
  c.scheme.logits.upcast = scheme.upcast;
  c.prompt_tokens = tokens;
  c.decode_steps = steps;
  return c;
}

inline constexpr Case standard{"standard, all logits", "standard"}, last_token{"standard, last-token logits", "last-token"}, offload{"offload as coded", "offload"},
    offload_last{"offload, last-token logits", "offload", 0, true}, mini{"mini-sequence C=4096", "mini-sequence"}, mom{"MOM", "mom"},
    chunk8192{"chunks of 8192, all logits", "standard", 8192}, chunk8192_last{"chunks of 8192, last-token logits", "standard", 8192, true},
    chunk512{"chunks of 512, all logits", "standard", 512}, mini_chunk8192{"mini-sequence, chunks of 8192", "mini-sequence", 8192},
    upcast{"standard, all logits also in fp32", "standard", 0, false, true};

inline const Implementation& transformers() { return implementations()[0]; }

inline constexpr DevicePeaks a100 = mom_device;
/// Of 80 GB: what torch sees less its context. Fixed before anything was replayed.
inline constexpr std::uint64_t usable_80gb = static_cast<std::uint64_t>(78.7 * GiB);
/// The runner calls the model so often after prefill in every benchmark; what it did in the limit test is not known.
inline constexpr std::uint32_t benchmark_steps = 200;

}  // namespace attnscope::published_memory
