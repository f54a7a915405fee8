// The most bytes asked for at once, and when: what a closed form answers.
#pragma once
#include "core/memory/events.h"

namespace attnscope::memory {

/// Where in a forward pass memory peaks.
enum class Stage : std::uint8_t { load, mask, rotary, norm, rope, append, attention, retain, mlp, mlp_concat, add, final_norm, lm_head, reload };
const char* name_of(Stage stage);

struct ClosedForm {
  std::uint64_t bytes = 0;
  Stage stage = Stage::load;
  Phase phase = Phase::load;
  std::uint32_t step = 0;          // prefill call or decode step
  std::int16_t layer = -1;
  Breakdown by_category{};         // sums to `bytes`
};

}  // namespace attnscope::memory
