// transformers as implementation: its liveness script and the closed form of that script. Both follow one description, the order
// of allocations in hf_script.cpp; a test holds them equal to the byte.
#pragma once
#include "core/memory/closed_form.h"
#include "core/memory/config.h"
#include "core/memory/recorder.h"

namespace attnscope::memory {

enum class HfAttention : std::uint8_t { fa2, sdpa };

void hf_script(const Config& config, HfAttention attention, Recorder& recorder);
ClosedForm hf_closed_form(const Config& config, HfAttention attention);

/// Bytes a token of what a forward pass makes. `part` is what attention handles at once: all kv heads, or one.
struct HfWidths {
  HfWidths(const Config& config, std::uint32_t parts);
  std::uint64_t element, hidden, ff, vocab;        // vocab: of a row of logits
  std::uint64_t part_q, part_kv, q;                // part_kv: of one of K and V
  std::uint64_t lse;                               // fp32 log-sum-exp of a part's query heads
  std::uint64_t trig;                              // cos or sin
  bool half;                                       // activations of 2 bytes: norms, rotary and upcast logits make fp32 copies
  static constexpr std::uint64_t position = 8, variance = 4, id = 8;
};

/// Tokens of one piece of a call's MLP; all of them where it is not cut.
std::uint64_t hf_mlp_piece(const Config& config, std::uint64_t tokens);

}  // namespace attnscope::memory
