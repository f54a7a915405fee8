// Checks what a replay needs, makes the policy's engine and hands it to the driver of its family.
#include <algorithm>
#include <functional>

#include "core/replay/drivers.h"

namespace attnscope {
namespace replay_checks {

Status check_rows(const LayerInput& input, std::span<const std::uint32_t> rows) {
  const auto wrong = [](std::string what) { return Error{"E_REPLAY_ROWS", std::move(what)}; };
  if (rows.empty()) return wrong("No rows to evaluate; choose at least one query position.");
  if (std::adjacent_find(rows.begin(), rows.end(), std::greater_equal<>()) != rows.end())
    return wrong("Rows to evaluate must be ascending and distinct; sort them.");
  if (rows.back() >= input.tokens)
    return wrong("Row " + std::to_string(rows.back()) + " is past the last of " + std::to_string(input.tokens) + " tokens; choose rows below that.");
  return success();
}

/// Prefill policies act on prompt rows, the others on rows from `context` on (retention in chunks: on all).
Status check_schedule(Family family, const LayerInput& input, std::span<const std::uint32_t> rows, const Schedule& schedule) {
  if (family == Family::prefill) {
    if (rows.front() >= input.prompt_tokens)
      return Error{"E_REPLAY_ROWS", "No evaluated row lies in the prompt of " + std::to_string(input.prompt_tokens) +
                                        " tokens, where a prefill policy acts; add rows before it ends."};
    return success();
  }
  if (schedule.context == 0 || schedule.context > input.tokens)
    return Error{"E_REPLAY_CONTEXT", "The context is " + std::to_string(schedule.context) + " tokens, the sequence has " +
                                         std::to_string(input.tokens) + "; choose a context of at least 1 and fewer than that."};
  const bool in_chunks = family == Family::retention && schedule.chunk != 0;
  if (!in_chunks && rows.back() < schedule.context)
    return Error{"E_REPLAY_ROWS", "No evaluated row follows the context of " + std::to_string(schedule.context) +
                                      " tokens, where the policy acts; shorten the context or add later rows."};
  return success();
}

}  // namespace replay_checks

Result<HeadTrace> replay(const PolicyChoice& policy, const LayerInput& given, std::uint32_t head, std::span<const std::uint32_t> rows,
                         const Schedule& schedule, double bytes_per_element, std::span<const double> future, PrefillPlan* plan) {
  const PolicyEntry& entry = *policy.entry;
  if (const Status status = replay_checks::check_rows(given, rows); !status) return status.error();
  if (const Status status = replay_checks::check_schedule(entry.descriptor.family, given, rows, schedule); !status) return status.error();
  const std::uint32_t kv_head = given.kv_head(head);
  if (head >= given.heads || kv_head >= given.keys.size() || given.keys[kv_head].count < given.tokens)
    return Error{"E_REPLAY_KEYS", "Keys of head " + std::to_string(head) + " are not there for all " + std::to_string(given.tokens) +
                                      " tokens; load the key vectors of kv head " + std::to_string(kv_head) + " first."};
  Memo own;
  LayerInput input = given;
  input.bytes_per_element = bytes_per_element;
  if (input.memo == nullptr) input.memo = &own;

  if (entry.prefill != nullptr) {
    auto engine = entry.prefill(policy.config);
    if (!engine) return engine.error();
    PrefillPlan unused;
    return replay_prefill(*engine.value(), input, head, rows, plan != nullptr ? *plan : unused);
  }
  if (entry.retention != nullptr) {
    auto engine = entry.retention(policy.config);
    if (!engine) return engine.error();
    return replay_retention(*engine.value(), input, head, rows, schedule, future);
  }
  auto engine = entry.retrieval(policy.config);
  if (!engine) return engine.error();
  return replay_retrieval(*engine.value(), input, head, rows, schedule.context);
}

}  // namespace attnscope
