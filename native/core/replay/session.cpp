#include "core/replay/session.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>

#include "core/block_product.h"
#include "core/replay/cosines.h"
#include "core/replay/drivers.h"
#include "core/replay/head_data.h"
#include "core/replay/output_error.h"

namespace attnscope {

struct HeadSession::State {
  explicit State(const SessionShape& shape) : data(shape) {}

  HeadData data;
  std::vector<std::uint32_t> rows;
  std::optional<Strip> strip;
  std::optional<KeyPanels> panels;     // while the strip is computed
  std::vector<float> row_queries, row_lse;
  Memo memo;
  Scratch scratch;

  std::optional<Outcome> outcome;
  Schedule schedule;                   // of the outcome
  MetricParts done;                    // parts of its metrics that are there

  /// New data or rows: what was made from the old is gone.
  void forget() {
    strip.reset();
    panels.reset();
    outcome.reset();
    memo.clear();
  }
  bool ready() const { return strip && strip->done() == strip->size(); }

  Status start_strip() {
    if (rows.empty()) return Error{"E_REPLAY_ROWS", "No rows to evaluate are set; choose at least one query position."};
    if (Status status = data.check(rows); !status) return status;
    data.connect();
    const std::uint32_t dim = data.shape.head_dim;
    row_queries.resize(rows.size() * dim);
    row_lse.resize(rows.size());
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const auto at = static_cast<std::size_t>(std::lower_bound(data.positions.begin(), data.positions.end(), rows[r]) - data.positions.begin());
      std::copy_n(data.queries.begin() + static_cast<std::ptrdiff_t>(at * dim), dim, row_queries.begin() + static_cast<std::ptrdiff_t>(r * dim));
      row_lse[r] = data.lse[at];
    }
    panels.emplace(data.keys.view());
    strip.emplace(rows, data.shape.tokens, dim);
    return success();
  }

  SequenceInfo info() const { return {data.token_class, data.needles, data.shape.sink_tokens}; }

  /// Computes the parts of the outcome's metrics that are asked for and not there yet.
  void evaluate_parts(MetricParts parts) {
    const MetricParts missing{parts.recall && !done.recall, parts.error && !done.error, parts.detail && !done.detail};
    const Metrics found = evaluate(*strip, outcome->trace, data.input, data.shape.head, info(), data.shape.bytes_per_element, missing, scratch);
    for (std::size_t i = 0; i < kMetrics; ++i)
      if (!std::isnan(found.values[i])) outcome->metrics.values[i] = found.values[i];
    done = {done.recall || parts.recall, done.error || parts.error, done.detail || parts.detail};
  }

  const Outcome* finish(Outcome made, const RunOptions& options) {
    made.metrics.values.fill(Cost::none);
    outcome.emplace(std::move(made));
    schedule = options.schedule;
    done = {false, false, false};
    evaluate_parts(options.parts);
    return &*outcome;
  }

  /// First row whose future counts for yardsticks.
  static std::uint32_t first_future_row(const Schedule& s) { return s.chunk == 0 ? s.context : 0; }
};

namespace sessions {

Error order(const char* what) { return {"E_REPLAY_ORDER", what}; }
Error strip_missing() { return order("The strip of the evaluated rows is not complete; compute it before running a policy."); }
Error outcome_missing() { return order("No policy has been run on this head yet; run one first."); }

}  // namespace sessions

HeadSession::HeadSession(const SessionShape& shape) : state_(std::make_shared<State>(shape)) {}

Status HeadSession::set_keys(DType dtype, const void* data, std::uint32_t first, std::uint32_t count) {
  state_->forget();
  return state_->data.keys.set("Keys", dtype, data, first, count);
}

Status HeadSession::set_values(DType dtype, const void* data, std::uint32_t first, std::uint32_t count) {
  state_->forget();
  return state_->data.values.set("Values", dtype, data, first, count);
}

Status HeadSession::set_queries(DType dtype, const void* data, std::span<const std::uint32_t> positions, std::span<const float> lse) {
  state_->forget();
  return state_->data.set_queries(dtype, data, positions, lse);
}

Status HeadSession::set_pooled_queries(std::span<const float> rows) {
  state_->forget();
  return state_->data.set_pooled(rows);
}

void HeadSession::set_classes(std::span<const std::uint8_t> token_class) {
  // Fewer classes than tokens would be read past their end: the rest is "other".
  auto& classes = state_->data.token_class;
  classes.assign(token_class.begin(), token_class.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(token_class.size(), state_->data.shape.tokens)));
  if (!classes.empty()) classes.resize(state_->data.shape.tokens, static_cast<std::uint8_t>(kTokenClasses - 1));
}

void HeadSession::set_needles(std::span<const KeySpan> needles) { state_->data.needles.assign(needles.begin(), needles.end()); }

Status HeadSession::set_rows(std::span<const std::uint32_t> rows) {
  if (rows.empty()) return Error{"E_REPLAY_ROWS", "No rows to evaluate; choose at least one query position."};
  if (std::adjacent_find(rows.begin(), rows.end(), std::greater_equal<>()) != rows.end())
    return Error{"E_REPLAY_ROWS", "Rows to evaluate must be ascending and distinct; sort them."};
  if (rows.back() >= state_->data.shape.tokens)
    return Error{"E_REPLAY_ROWS", "Row " + std::to_string(rows.back()) + " is past the last of " + std::to_string(state_->data.shape.tokens) +
                                      " tokens; choose rows below that."};
  state_->forget();
  state_->rows.assign(rows.begin(), rows.end());
  return success();
}

Result<std::size_t> HeadSession::strip(std::size_t count) {
  State& s = *state_;
  if (!s.strip)
    if (Status status = s.start_strip(); !status) return status.error();
  if (s.ready()) return std::size_t{0};
  const std::uint32_t dim = s.data.shape.head_dim;
  const std::size_t left = s.strip->compute(count, {s.row_queries.data(), s.rows.size(), dim, dim}, s.row_lse, *s.panels, s.data.values.view(),
                                            s.data.shape.scale, s.data.input.visibility, s.scratch);
  if (left == 0) s.panels.reset();
  return left;
}

Result<const HeadSession::Outcome*> HeadSession::run(const PolicyChoice& policy, const RunOptions& options) {
  State& s = *state_;
  if (!s.ready()) return sessions::strip_missing();
  LayerInput input = s.data.input;
  input.memo = &s.memo;
  Outcome made;
  made.policy = policy;
  std::vector<double> ahead;
  if (policy.entry->descriptor.needs_future) ahead = future(State::first_future_row(options.schedule));
  auto trace = replay(policy, input, s.data.shape.head, s.rows, options.schedule, s.data.shape.bytes_per_element, ahead, &made.plan);
  if (!trace) return trace.error();
  made.trace = trace.take();
  made.has_plan = policy.entry->prefill != nullptr;
  return s.finish(std::move(made), options);
}

Result<const HeadSession::Outcome*> HeadSession::run_plan(const PrefillPlan& plan, const RunOptions& options) {
  State& s = *state_;
  if (!s.ready()) return sessions::strip_missing();
  if (Status status = check_plan(plan, s.data.shape.prompt_tokens); !status) return status.error();
  Outcome made;
  made.plan = plan;
  made.has_plan = true;
  made.trace = trace_plan(plan, s.data.input, s.rows);
  return s.finish(std::move(made), options);
}

Result<const HeadSession::Outcome*> HeadSession::complete(MetricParts parts) {
  if (!state_->outcome) return sessions::outcome_missing();
  state_->evaluate_parts(parts);
  return static_cast<const Outcome*>(&*state_->outcome);
}

Result<MaskTile> HeadSession::mask(const TileGrid& grid) const {
  const State& s = *state_;
  if (!s.outcome) return sessions::outcome_missing();
  MaskTile tile;
  if (s.outcome->has_plan)
    mask_tile(s.outcome->plan, grid, s.data.input.visibility, tile);
  else
    mask_tile(s.outcome->trace, grid, s.data.input.visibility, State::first_future_row(s.schedule), tile);
  return tile;
}

Result<KeyFate> HeadSession::fate() const {
  if (!state_->outcome) return sessions::outcome_missing();
  return key_fate(*state_->strip, state_->outcome->trace, state_->data.input.visibility);
}

Result<HeadSession::RowValues> HeadSession::by_row() const {
  State& s = *state_;
  if (!s.outcome) return sessions::outcome_missing();
  const HeadTrace& trace = s.outcome->trace;
  std::vector<RowMass> masses;
  std::vector<std::uint32_t> acted;
  for (std::uint32_t r = 0; r < trace.rows.size(); ++r) {
    masses.push_back(row_mass(*s.strip, trace, r, s.data.input.visibility, s.data.shape.sink_tokens));
    if (!masses[r].dense) acted.push_back(r);
  }
  std::vector<OutputError> errors(acted.size());
  if (!s.data.values.empty()) output_errors(*s.strip, trace, masses, acted, s.data.values.view(), s.data.input.visibility, errors, s.scratch);

  RowValues out;
  for (auto* column : {&out.recall, &out.recall_no_sinks, &out.error, &out.kept_keys})
    column->assign(trace.rows.size(), std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = 0; i < acted.size(); ++i) {
    const std::uint32_t r = acted[i];
    out.recall[r] = static_cast<float>(masses[r].recall());
    out.recall_no_sinks[r] = static_cast<float>(masses[r].recall_no_sinks());
    out.error[r] = static_cast<float>(errors[i].relative);
    out.kept_keys[r] = static_cast<float>(masses[r].kept_keys);
  }
  return out;
}

Result<HeadSession::CosineHistogram> HeadSession::cosines(std::uint32_t bins, std::uint32_t K, std::uint32_t L, std::uint32_t sink,
                                                         std::uint32_t local, std::uint32_t context) {
  State& s = *state_;
  if (!s.strip)
    if (Status status = s.start_strip(); !status) return status.error();
  if (context > s.data.shape.tokens || std::uint64_t{sink} + local >= context)
    return Error{"E_REPLAY_CONTEXT", "A context of " + std::to_string(context) + " tokens leaves no keys between " + std::to_string(sink) + " sinks and " +
                                         std::to_string(local) + " local tokens; choose a longer context within the sequence."};
  const auto first = static_cast<std::size_t>(std::lower_bound(s.rows.begin(), s.rows.end(), context) - s.rows.begin());
  if (first == s.rows.size())
    return Error{"E_REPLAY_ROWS", "No evaluated row follows the context of " + std::to_string(context) + " tokens; shorten the context or add later rows."};
  const std::uint32_t dim = s.data.shape.head_dim;
  const Rows queries{s.row_queries.data(), s.rows.size(), dim, dim};
  return cosine_histogram(queries.slice(first, s.rows.size() - first), s.data.keys.view().slice(sink, context - local - sink), std::max(bins, 1u), K, L);
}

const SessionShape& HeadSession::shape() const { return state_->data.shape; }

std::size_t HeadSession::bytes() const {
  const State& s = *state_;
  std::size_t bytes = s.data.bytes() + (s.row_queries.size() + s.row_lse.size()) * sizeof(float);
  if (s.strip) bytes += s.strip->bytes();
  if (s.panels) bytes += round_up(s.panels->count(), KeyPanels::width) * s.panels->dim() * sizeof(float);
  if (s.outcome)
    bytes += (s.outcome->trace.spans.size() + s.outcome->trace.forced.size()) * sizeof(KeySpan) +
             (s.outcome->trace.log_weight.size() + s.outcome->plan.tile.size() + s.outcome->plan.column.size()) * sizeof(float);
  return bytes;
}

const LayerInput& HeadSession::input() const { return state_->data.input; }
const Strip& HeadSession::rows() const { return *state_->strip; }
SequenceInfo HeadSession::info() const { return state_->info(); }

std::vector<double> HeadSession::future(std::uint32_t first_row) const {
  const State& s = *state_;
  std::vector<double> mass(s.data.shape.tokens);
  for (std::size_t r = 0; r < s.rows.size(); ++r) {
    if (s.rows[r] < first_row) continue;
    const float* p = s.strip->row(r);
    for (std::uint32_t k = 0; k <= s.rows[r]; ++k) mass[k] += p[k];
  }
  return mass;
}

}  // namespace attnscope
