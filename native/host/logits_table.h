// Scores over the vocabulary and their table.
#pragma once
#include "host/run_context.h"
#include "host/table_emitter.h"

namespace attnscope {

/// Logits of the rows of the last layer's output, checked to be finite.
Status compute_logits(RunContext& run, Rows hidden, MutableRows out);

/// Emits rows of logits; the first is position `first`.
Status emit_logits(TableEmitter& emitter, Rows logits, std::uint32_t first);

/// Computes and emits the logits of every prompt position, a block of rows at a time.
Status emit_prompt_logits(RunContext& run, Rows hidden);

}  // namespace attnscope
