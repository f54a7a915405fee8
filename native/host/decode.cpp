#include "host/decode.h"

#include <algorithm>
#include <cmath>

#include "host/head_tables.h"
#include "host/kv_tables.h"
#include "host/layer_forward.h"
#include "host/logits_table.h"
#include "host/vector_tables.h"

namespace attnscope {
namespace {

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

/// Columns of table `steps`.
struct StepsTable {
  std::vector<std::uint32_t> token, id, top1;
  std::vector<float> log_probability;
  std::vector<std::uint16_t> forced;

  Status emit(TableEmitter& emitter, std::size_t steps) const {
    std::vector<Column> columns;
    columns.push_back(counting("step", steps, 0));
    columns.push_back(slice<std::uint32_t>("token", token, 0, steps));
    columns.push_back(slice<std::uint32_t>("id", id, 0, steps));
    columns.push_back(slice<std::uint32_t>("top1_id", top1, 0, steps));
    columns.push_back(slice<float>("log_probability", log_probability, 0, steps));
    columns.push_back(slice<std::uint16_t>("forced", forced, 0, steps));
    return emitter.emit("steps", steps, std::move(columns));
  }
};

class Decoder {
 public:
  Decoder(RunContext& run, PrefillResult& prefill)
      : run_(run), prefill_(prefill), first_(run.plan.prompt_tokens()), planned_(run.plan.decode_steps),
        logits_(std::move(prefill.last_logits)) {}

  Status allocate() {
    const std::size_t layers = run_.plan.model.layers;
    auto queries = Buffer<float>::allocate(layers * planned_ * run_.query_width(), "queries of the decoded tokens");
    if (!queries) return queries.error();
    queries_ = queries.take();
    auto lse = Buffer<float>::allocate(layers * planned_ * run_.plan.model.heads, "row statistics of the decoded tokens");
    if (!lse) return lse.error();
    lse_ = lse.take();
    hidden_.resize(run_.plan.model.hidden_size);
    attention_.resize(run_.query_width());
    return success();
  }

  std::uint32_t steps() const { return steps_; }

  /// Takes the planned steps, or as many as there is time for.
  Status run() {
    PhaseClock::Section section(run_.clock, Work::decode);
    while (steps_ < planned_) {
      run_.progress.begin(Phase::decode, steps_, planned_, run_.plan.model.layers);
      ATTNSCOPE_TRY(step());
      ++steps_;
    }
    return success();
  }

  Status emit() {
    if (steps_ == 0) return success();
    if (run_.plan.reduce.enabled)
      for (std::uint32_t layer = 0; layer < run_.plan.model.layers; ++layer) ATTNSCOPE_TRY(emit_layer(layer));
    TableEmitter emitter(run_, Segment::decode, -1);
    ATTNSCOPE_TRY(table_.emit(emitter, steps_));
    return flush_logits(steps_);
  }

 private:
  MutableRows queries(std::uint32_t layer, std::size_t begin, std::size_t count) {
    const std::size_t width = run_.query_width();
    return {queries_.data() + (std::size_t(layer) * planned_ + begin) * width, count, width, width};
  }
  float* lse(std::uint32_t layer) { return lse_.data() + std::size_t(layer) * run_.plan.model.heads * planned_; }

  Status step() {
    const bool forced = !run_.plan.forced.empty();
    const std::uint32_t top1 = most_likely(logits_), id = forced ? run_.plan.forced[steps_] : top1, position = first_ + steps_;
    table_.token.push_back(position);
    table_.id.push_back(id);
    table_.top1.push_back(top1);
    table_.log_probability.push_back(log_probability(logits_, id));
    table_.forced.push_back(forced);

    const MutableRows hidden{hidden_.data(), 1, hidden_.size(), hidden_.size()};
    const MutableRows attention{attention_.data(), 1, attention_.size(), attention_.size()};
    run_.model.embed({&id, 1}, hidden);
    ATTNSCOPE_TRY(check_finite(run_, hidden, run_.plan.model.layers));
    for (std::uint32_t layer = 0; layer < run_.plan.model.layers; ++layer) {
      LayerKeys& keys = prefill_.keys[layer];
      const MutableRows query = queries(layer, steps_, 1);
      ATTNSCOPE_TRY(project_block(run_, layer, hidden, position, query, projection_));
      ATTNSCOPE_TRY(finish_queries(run_, layer, query, position));
      keys.refresh(run_, layer, prefill_.expansions);
      if (!run_.pool.keep_going(0)) return cancelled();
      ATTNSCOPE_TRY(attend(run_, query, position, keys, attention, lse(layer) + steps_, planned_));
      run_.model.finish_layer(layer, attention, hidden);
      if (!run_.pool.keep_going(0)) return cancelled();
      ATTNSCOPE_TRY(check_finite(run_, hidden, layer));
    }
    ATTNSCOPE_TRY(compute_logits(run_, hidden, {logits_.data(), 1, logits_.size(), logits_.size()}));
    return run_.plan.store.logits ? keep_logits() : success();
  }

  Status keep_logits() {
    pending_logits_.insert(pending_logits_.end(), logits_.begin(), logits_.end());
    return pending_logits_.size() < kLogitsBatchRows * logits_.size() ? success() : flush_logits(steps_ + 1);
  }

  /// Emits the pending logits, which end before step `end`.
  Status flush_logits(std::uint32_t end) {
    const std::size_t vocabulary = logits_.size(), rows = pending_logits_.size() / vocabulary;
    TableEmitter emitter(run_, Segment::decode, -1);
    ATTNSCOPE_TRY(emit_logits(emitter, {pending_logits_.data(), rows, vocabulary, vocabulary}, first_ + end - static_cast<std::uint32_t>(rows)));
    pending_logits_.clear();
    return success();
  }

  Status emit_layer(std::uint32_t layer) {
    const TokenRange rows{first_, first_ + steps_};
    const Rows decoded = queries(layer, 0, steps_);
    LayerKeys& keys = prefill_.keys[layer];
    keys.refresh(run_, layer, prefill_.expansions);
    if (!run_.pool.keep_going(0)) return cancelled();
    run_.progress.begin(Phase::reduce, layer, run_.plan.model.layers, causal_pairs(first_, steps_) * run_.plan.model.heads);
    TableEmitter emitter(run_, Segment::decode, static_cast<std::int32_t>(layer));
    HeadTables tables(emitter, rows, lse(layer), planned_);
    ATTNSCOPE_TRY(reduce_layer(run_, {layer, decoded, first_, &keys, lse(layer), planned_},
                               [&](const ReducedHead& head) { return tables.add(head); }));
    ATTNSCOPE_TRY(tables.finish());
    ATTNSCOPE_TRY(emit_kv(emitter, keys, rows));
    if (run_.plan.store.vectors) {
      ATTNSCOPE_TRY(emit_decode_queries(emitter, decoded, first_));
      ATTNSCOPE_TRY(emit_keys_values(emitter, keys, rows));
    }
    return emitter.layer_done();
  }

  RunContext& run_;
  PrefillResult& prefill_;
  std::uint32_t first_, planned_, steps_ = 0;
  StepsTable table_;
  Buffer<float> queries_;  // [layers][planned][heads * head dim]
  Buffer<float> lse_;      // [layers][heads][planned]
  std::vector<float> logits_, pending_logits_, hidden_, attention_;
  ProjectionBlock projection_;
};

}  // namespace

Result<DecodeResult> decode(RunContext& run, Cancellation& cancellation, PrefillResult& prefill) {
  Decoder decoder(run, prefill);
  ATTNSCOPE_TRY(decoder.allocate());
  const Status ran = decoder.run();
  if (!ran && !is_cancelled(ran.error())) return ran.error();
  if (!ran) cancellation.clear();
  ATTNSCOPE_TRY(decoder.emit());
  return DecodeResult{decoder.steps(), !ran.ok()};
}

}  // namespace attnscope
