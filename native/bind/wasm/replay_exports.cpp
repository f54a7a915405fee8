// One head's replay behind a C ABI for replay.ts. Functions that can fail return false or -1 and leave the reason in the
// answer; those that give arrays leave them there as well.
#include "bind/wasm/answer.h"
#include "bind/wasm/out_of_memory.h"
#include "core/policy/plan_indices.h"
#include "core/replay/session_shape.h"

namespace attnscope::wasm {
namespace {

struct Replay {
  explicit Replay(const SessionShape& shape) : session(shape) {}
  HeadSession session;
  const HeadSession::Outcome* last = nullptr;  // null before the first run, and once data or rows changed
  std::string policy;                          // of the last outcome, as text
};

bool fail(const char* code, const char* message) { return answer().fail({code, message}); }

bool has_outcome(const Replay* replay) {
  return replay->last != nullptr || fail("E_REPLAY_ORDER", "nothing was run on this head yet; call run first");
}

MetricParts parts_of(std::uint32_t bits) { return {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0}; }

/// Columns: policy text, metrics. Where the run failed, the last outcome stays as it was.
bool answer_outcome(Replay* replay, const Result<const HeadSession::Outcome*>& outcome, std::string policy) {
  if (!answer().check(outcome)) return false;
  replay->last = outcome.value();
  replay->policy = std::move(policy);
  answer().columns = {};
  answer().set(0, replay->policy);
  answer().set(1, replay->last->metrics.values);
  return true;
}

std::span<const std::uint32_t> numbers(const std::uint32_t* data, std::uint32_t count) { return {data, count}; }

}  // namespace

/// 0 where the shape is refused.
EXPORT(replay_new)
Replay* replay_new(std::uint32_t layer, std::uint32_t layers, std::uint32_t heads, std::uint32_t kv_heads, std::uint32_t head_dim, std::uint32_t head,
                   std::uint32_t tokens, std::uint32_t prompt_tokens, float scale, std::uint32_t window, std::uint32_t sink_tokens, double bytes_per_element) {
  const SessionShape shape{layer, layers, heads, kv_heads, head_dim, head, tokens, prompt_tokens, scale, window, sink_tokens, bytes_per_element};
  return answer().check(check_shape(shape)) ? new Replay(shape) : nullptr;
}
EXPORT(replay_free) void replay_free(Replay* replay) { delete replay; }
EXPORT(replay_bytes) double replay_bytes(const Replay* replay) { return static_cast<double>(replay->session.bytes()); }

EXPORT(replay_keys)
bool replay_keys(Replay* replay, std::uint32_t dtype, const void* data, std::uint32_t first, std::uint32_t count) {
  replay->last = nullptr;
  return answer().check(replay->session.set_keys(static_cast<DType>(dtype), data, first, count));
}
EXPORT(replay_values)
bool replay_values(Replay* replay, std::uint32_t dtype, const void* data, std::uint32_t first, std::uint32_t count) {
  replay->last = nullptr;
  return answer().check(replay->session.set_values(static_cast<DType>(dtype), data, first, count));
}
EXPORT(replay_queries)
bool replay_queries(Replay* replay, std::uint32_t dtype, const void* data, const std::uint32_t* positions, const float* lse, std::uint32_t count) {
  replay->last = nullptr;
  return answer().check(replay->session.set_queries(static_cast<DType>(dtype), data, numbers(positions, count), {lse, count}));
}
EXPORT(replay_pooled_queries)
bool replay_pooled_queries(Replay* replay, const float* rows, std::uint32_t count) {
  replay->last = nullptr;
  return answer().check(replay->session.set_pooled_queries({rows, count}));
}
EXPORT(replay_classes) void replay_classes(Replay* replay, const std::uint8_t* classes, std::uint32_t count) { replay->session.set_classes({classes, count}); }
EXPORT(replay_needles) void replay_needles(Replay* replay, const KeySpan* spans, std::uint32_t count) { replay->session.set_needles({spans, count}); }
EXPORT(replay_rows)
bool replay_rows(Replay* replay, const std::uint32_t* rows, std::uint32_t count) {
  replay->last = nullptr;
  return answer().check(replay->session.set_rows(numbers(rows, count)));
}

/// Rows left, -1 where it failed.
EXPORT(replay_strip)
double replay_strip(Replay* replay, std::uint32_t count) {
  const auto left = replay->session.strip(count);
  return answer().check(left) ? static_cast<double>(left.value()) : -1;
}

EXPORT(replay_run)
bool replay_run(Replay* replay, const char* text, std::uint32_t length, std::uint32_t context, std::uint32_t chunk, std::uint32_t first_chunk, std::uint32_t parts) {
  const auto choice = parse_policy({text, length});
  if (!answer().check(choice)) return false;
  return answer_outcome(replay, replay->session.run(choice.value(), {{context, chunk, first_chunk}, parts_of(parts)}), write_policy(choice.value()));
}

EXPORT(replay_run_indices)
bool replay_run_indices(Replay* replay, const char* text, std::uint32_t length, const std::uint32_t* columns, std::uint32_t column_count,
                        const std::uint32_t* distances, std::uint32_t distance_count, const std::uint32_t* blocks, std::uint32_t block_count,
                        const std::uint32_t* offset, std::uint32_t offset_count, std::uint32_t context, std::uint32_t chunk, std::uint32_t first_chunk, std::uint32_t parts) {
  const auto choice = prefill_policy({text, length});
  if (!answer().check(choice)) return false;
  const auto copy = [](const std::uint32_t* data, std::uint32_t count) { return std::vector<std::uint32_t>(data, data + count); };
  const PlanIndices indices{copy(columns, column_count), copy(distances, distance_count), copy(blocks, block_count), copy(offset, offset_count)};
  const SessionShape& shape = replay->session.shape();
  const auto plan = plan_from_indices(indices, shape.prompt_tokens, {shape.window});
  if (!answer().check(plan)) return false;
  return answer_outcome(replay, replay->session.run_plan(plan.value(), {{context, chunk, first_chunk}, parts_of(parts)}), write_policy(choice.value()));
}

EXPORT(replay_complete)
bool replay_complete(Replay* replay, std::uint32_t parts) {
  return has_outcome(replay) && answer_outcome(replay, replay->session.complete(parts_of(parts)), replay->policy);
}

/// Columns: kept, forced, complete.
EXPORT(replay_mask)
bool replay_mask(Replay* replay, std::uint32_t edge, std::uint32_t cell, std::uint32_t row0, std::uint32_t column0) {
  auto mask = replay->session.mask({edge, cell, row0, column0});
  if (!answer().check(mask)) return false;
  const MaskTile& tile = answer().hold(mask.take());
  answer().set(0, tile.kept);
  answer().set(1, tile.forced);
  answer().set(2, tile.complete);
  return true;
}

/// Columns: kept, forced, missed.
EXPORT(replay_key_fate)
bool replay_key_fate(Replay* replay) {
  auto result = replay->session.fate();
  if (!answer().check(result)) return false;
  const KeyFate& fate = answer().hold(result.take());
  answer().set(0, fate.kept);
  answer().set(1, fate.forced);
  answer().set(2, fate.missed);
  return true;
}

/// Columns: rows, recall, recall without sinks, error, kept keys.
EXPORT(replay_row_fate)
bool replay_row_fate(Replay* replay) {
  auto result = replay->session.by_row();
  if (!answer().check(result)) return false;
  const HeadSession::RowValues& values = answer().hold(result.take());
  answer().set(0, replay->last->trace.rows);
  answer().set(1, values.recall);
  answer().set(2, values.recall_no_sinks);
  answer().set(3, values.error);
  answer().set(4, values.kept_keys);
  return true;
}

/// Columns: kept and forced as KeySpan, weights. 1 where the row is dense, -1 where it failed.
EXPORT(replay_row_spans)
int replay_row_spans(Replay* replay, std::uint32_t row) {
  if (!has_outcome(replay)) return -1;
  const HeadTrace& trace = replay->last->trace;
  if (row >= trace.rows.size()) {
    fail("E_REPLAY_ROW", "that row was not evaluated; count rows from 0 in the order of rows()");
    return -1;
  }
  answer().columns = {};
  answer().set(0, trace.kept(row));
  answer().set(1, trace.forced_of(row));
  answer().set(2, trace.weights(row));
  return trace.dense[row] != 0 ? 1 : 0;
}

/// Columns: counts; mean, deviation and expected share.
EXPORT(replay_cosines)
bool replay_cosines(Replay* replay, std::uint32_t bins, std::uint32_t K, std::uint32_t L, std::uint32_t sink, std::uint32_t local, std::uint32_t context) {
  auto result = replay->session.cosines(bins, K, L, sink, local, context);
  if (!answer().check(result)) return false;
  struct Held {
    HeadSession::CosineHistogram histogram;
    std::array<double, 3> facts;
  };
  HeadSession::CosineHistogram histogram = result.take();
  const std::array<double, 3> facts{histogram.mean, histogram.deviation, histogram.expected_share};
  const Held& held = answer().hold(Held{std::move(histogram), facts});
  answer().set(0, held.histogram.counts);
  answer().set(1, held.facts);
  return true;
}

/// Columns: columns, distances, blocks, block offsets.
EXPORT(replay_plan_indices)
bool replay_plan_indices(Replay* replay) {
  if (!has_outcome(replay)) return false;
  if (!replay->last->has_plan) return fail("E_REPLAY_INDICES", "the last run was of no prefill policy; only their plans have indices");
  const PlanIndices& indices = replay->last->plan.indices;
  answer().columns = {};
  answer().set(0, indices.columns);
  answer().set(1, indices.distances);
  answer().set(2, indices.blocks);
  answer().set(3, indices.block_offset);
  return true;
}

}  // namespace attnscope::wasm
