// Configurations that memory tests share.
#pragma once
#include <random>

#include "core/memory/implementation.h"

namespace memory_cases {

using namespace attnscope::memory;

inline ModelShape llama3_8b() { return {32, 32, 8, 128, 4096, 14336, 128256, false, false, ModelShape::Family::llama}; }
inline ModelShape llama32_3b() { return {28, 24, 8, 128, 3072, 8192, 128256, true, false, ModelShape::Family::llama}; }

inline Config config(const ModelShape& model, const char* scheme, std::uint32_t tokens, std::uint32_t steps) {
  Config c;
  c.model = model;
  c.scheme = named_scheme(scheme).value();
  c.prompt_tokens = tokens;
  c.decode_steps = steps;
  return c;
}

/// Anything that is valid, small enough to run its script.
inline Config random_config(std::mt19937& random) {
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  const auto one_in = [&](std::uint32_t n) { return below(n) == 0; };
  Config c;
  ModelShape& m = c.model;
  m.layers = 1 + below(9);
  m.kv_heads = 1 + below(4);
  m.heads = m.kv_heads * (1 + below(4));
  m.head_dim = 2 * (1 + below(40));
  m.hidden = one_in(2) ? m.heads * m.head_dim : 16 * (1 + below(40));
  m.feed_forward = 16 * (1 + below(120));
  m.vocab = 10 + below(20000);
  m.tied_embeddings = one_in(2), m.qkv_bias = one_in(3);
  m.family = static_cast<ModelShape::Family>(below(4));
  c.dtype = static_cast<attnscope::DType>(below(3));
  c.kv.type = one_in(2) ? KvType::model : one_in(2) ? KvType::int8 : KvType::int4;
  for (KvScales* scales : {&c.kv.keys, &c.kv.values})
    *scales = {one_in(2) ? KvScales::Per::token : KvScales::Per::channel, one_in(2) ? 0 : 1 + below(64), one_in(2) ? 2u : 4u, one_in(2)};
  c.prompt_tokens = 1 + below(one_in(2) ? 40 : 3000);
  c.decode_steps = one_in(3) ? 0 : below(20);
  Scheme& s = c.scheme;
  if (one_in(2)) s.chunk_tokens = std::max(1u, c.prompt_tokens / (1 + below(8)) + below(3));
  s.logits = {one_in(2) ? LogitsMode::Rows::all : LogitsMode::Rows::last, one_in(4)};
  s.mini = {static_cast<MiniSequence::Mode>(below(3)), 1 + below(500), 1 + below(12), static_cast<MiniSequence::LastMlp>(below(3))};
  if (one_in(4)) s.cache = Scheme::Cache::in_place;
  else {
    s.offload = {static_cast<Offload::Unit>(below(3)), one_in(2)};
    if (one_in(2)) {
      const std::size_t rows = one_in(2) ? 1 : prefill_calls(c);
      for (std::size_t i = 0; i < rows * m.layers; ++i) c.retention.kept.push_back(one_in(4) ? c.prompt_tokens : 1 + below(c.prompt_tokens));
      c.retention.decode = one_in(2) ? Retention::Decode::grows : Retention::Decode::holds;
      c.retention.scratch_bytes = below(3) * 1000;
    }
  }
  c.policy = {below(3) * 5000, below(3) * 100000};
  c.workspace_bytes = below(2) * 8519680;
  return c;
}

}  // namespace memory_cases
