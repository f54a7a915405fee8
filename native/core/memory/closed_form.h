// The most bytes asked for at once, and when: what a closed form answers.
#pragma once
#include "core/memory/events.h"

namespace attnscope::memory {

/// Where in a forward pass memory peaks.
enum class Stage : std::uint8_t { load, mask, rotary, norm, rope, append, attention, retain, mlp, mlp_concat, add, final_norm, lm_head, reload };
const char* name_of(Stage stage);
/// What is held then, beside W (weights, workspace, tables, token ids) and in calls after the first the last call's logits, for a
/// reader. n tokens of the call, T in the cache with them, KV the cache on the device; u, q, k, i, v bytes a token of a hidden row,
/// queries, keys, the MLP's inner row and logits; e bytes of a value.
const char* formula_of(Stage stage);

struct ClosedForm {
  std::uint64_t bytes = 0;
  Stage stage = Stage::load;
  Phase phase = Phase::load;
  std::uint32_t step = 0;          // prefill call or decode step
  std::int16_t layer = -1;
  Breakdown by_category{};         // sums to `bytes`
};

}  // namespace attnscope::memory
