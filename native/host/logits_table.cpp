#include "host/logits_table.h"

#include <algorithm>

#include "host/layer_forward.h"

namespace attnscope {
namespace {

/// Rows computed at a time: converting the head's weights is spread over 64 rows (32 MB at 128K words). Whole batches.
constexpr std::size_t kComputeRows = 8 * kLogitsBatchRows;

}  // namespace

Status compute_logits(RunContext& run, Rows hidden, MutableRows out) {
  run.model.logits(hidden, out);
  if (!run.pool.keep_going(0)) return cancelled();
  return check_finite(run, out, run.plan.model.layers);
}

Status emit_logits(TableEmitter& emitter, Rows logits, std::uint32_t first) {
  for (std::size_t begin = 0; begin < logits.count; begin += kLogitsBatchRows) {
    const std::size_t n = std::min<std::size_t>(kLogitsBatchRows, logits.count - begin);
    std::vector<Column> columns;
    columns.push_back(counting("token", n, first + static_cast<std::uint32_t>(begin)));
    columns.push_back(column("logits", std::vector<float>(logits.row(begin), logits.row(begin) + n * logits.dim),
                             static_cast<std::uint32_t>(logits.dim)));
    ATTNSCOPE_TRY(emitter.emit("logits", n, std::move(columns)));
  }
  return success();
}

Status emit_prompt_logits(RunContext& run, Rows hidden) {
  const std::size_t vocabulary = run.plan.model.vocab_size;
  std::vector<float> block(std::min(kComputeRows, hidden.count) * vocabulary);
  TableEmitter emitter(run, Segment::prefill, -1);
  for (std::size_t begin = 0; begin < hidden.count; begin += kComputeRows) {
    const std::size_t n = std::min(kComputeRows, hidden.count - begin);
    const MutableRows logits{block.data(), n, vocabulary, vocabulary};
    ATTNSCOPE_TRY(compute_logits(run, hidden.slice(begin, n), logits));
    ATTNSCOPE_TRY(emit_logits(emitter, logits, static_cast<std::uint32_t>(begin)));
  }
  return success();
}

}  // namespace attnscope
