#include "host/decoded_tokens.h"

#include <algorithm>
#include <cmath>

#include "host/logits_table.h"

namespace attnscope {
namespace decoded_tokens {

/// Index of the largest value; ties go to the lowest index.
std::uint32_t most_likely(std::span<const float> logits) {
  return static_cast<std::uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

float log_probability(std::span<const float> logits, std::uint32_t id) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - top);
  return static_cast<float>(logits[id] - top - std::log(sum));
}

}  // namespace decoded_tokens

std::uint32_t DecodedTokens::add(std::span<const float> logits) {
  const std::uint32_t top1 = decoded_tokens::most_likely(logits), id = plan_.forced.empty() ? top1 : plan_.forced[ids_.size()];
  ids_.push_back(id);
  top1_.push_back(top1);
  log_probability_.push_back(decoded_tokens::log_probability(logits, id));
  return id;
}

Status DecodedTokens::keep_logits(EmitContext& context, std::span<const float> logits) {
  if (!plan_.store.logits) return success();
  waiting_logits_.insert(waiting_logits_.end(), logits.begin(), logits.end());
  ++kept_;
  return waiting_logits_.size() < kLogitsBatchRows * logits.size() ? success() : flush_logits(context);
}

Status DecodedTokens::flush_logits(EmitContext& context) {
  const std::vector<float> logits = std::exchange(waiting_logits_, {});
  const std::size_t vocabulary = plan_.model.vocab_size, rows = logits.size() / vocabulary;
  TableEmitter emitter(context, Segment::decode, -1);
  return emit_logits(emitter, {logits.data(), rows, vocabulary, vocabulary}, plan_.prompt_tokens() + kept_ - static_cast<std::uint32_t>(rows));
}

Status DecodedTokens::emit(EmitContext& context, std::size_t steps) {
  TableEmitter emitter(context, Segment::decode, -1);
  std::vector<Column> columns;
  columns.push_back(counting("step", steps, 0));
  columns.push_back(counting("token", steps, plan_.prompt_tokens()));
  columns.push_back(slice<std::uint32_t>("id", ids_, 0, steps));
  columns.push_back(slice<std::uint32_t>("top1_id", top1_, 0, steps));
  columns.push_back(slice<float>("log_probability", log_probability_, 0, steps));
  columns.push_back(constant<std::uint16_t>("forced", steps, plan_.forced.empty() ? 0 : 1));
  ATTNSCOPE_TRY(emitter.emit("steps", steps, std::move(columns)));
  return flush_logits(context);
}

}  // namespace attnscope
