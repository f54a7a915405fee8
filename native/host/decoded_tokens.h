// What decoding chooses and writes down, wherever the model runs: the next token of logits, table `steps`, logits of the steps.
#pragma once
#include "host/table_emitter.h"

namespace attnscope {

class DecodedTokens {
 public:
  explicit DecodedTokens(const Plan& plan) : plan_(plan) {}

  /// The token that follows `logits` (one row): the most likely one, ties to the lowest id, or the plan's.
  std::uint32_t add(std::span<const float> logits);

  /// Keeps the logits after a step, where the plan stores them, emitting whole batches.
  Status keep_logits(EmitContext& context, std::span<const float> logits);
  /// Table `steps` of the first `steps` tokens, and the logits that wait.
  Status emit(EmitContext& context, std::size_t steps);

 private:
  Status flush_logits(EmitContext& context);

  const Plan& plan_;
  std::vector<std::uint32_t> ids_, top1_;
  std::vector<float> log_probability_;
  std::vector<float> waiting_logits_;
  std::uint32_t kept_ = 0;  // steps whose logits were kept
};

}  // namespace attnscope
