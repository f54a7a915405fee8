#include "host/decode.h"

#include "host/decoded_tokens.h"
#include "host/head_tables.h"
#include "host/kv_tables.h"
#include "host/layer_forward.h"
#include "host/layer_reduction.h"
#include "host/logits_table.h"
#include "host/vector_tables.h"

namespace attnscope {
namespace {

class Decoder {
 public:
  Decoder(RunContext& run, PrefillResult& prefill)
      : run_(run), prefill_(prefill), first_(run.plan.prompt_tokens()), planned_(run.plan.decode_steps),
        tokens_(run.plan), logits_(std::move(prefill.last_logits)) {}

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

  /// The tokens come first: rows of a run that is killed later are worth nothing without them.
  Status emit() {
    if (steps_ == 0) return success();
    ATTNSCOPE_TRY(tokens_.emit(run_, steps_));
    if (!run_.plan.reduce.enabled) return success();
    for (std::uint32_t layer = 0; layer < run_.plan.model.layers; ++layer) ATTNSCOPE_TRY(emit_layer(layer));
    return success();
  }

 private:
  MutableRows queries(std::uint32_t layer, std::size_t begin, std::size_t count) {
    const std::size_t width = run_.query_width();
    return {queries_.data() + (std::size_t(layer) * planned_ + begin) * width, count, width, width};
  }
  float* lse(std::uint32_t layer) { return lse_.data() + std::size_t(layer) * run_.plan.model.heads * planned_; }

  Status step() {
    const std::uint32_t id = tokens_.add(logits_), position = first_ + steps_;
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
    return tokens_.keep_logits(run_, logits_);
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
                               [&](const ReducedHead& head) { return tables.add({&head, 1}); }));
    ATTNSCOPE_TRY(tables.finish());
    ATTNSCOPE_TRY(emit_kv(emitter, keys.views(), rows));
    if (run_.plan.store.vectors) {
      for (std::uint32_t h = 0; h < run_.plan.model.heads; ++h)
        ATTNSCOPE_TRY(emit_all_queries(emitter, h, head_rows(decoded, h, run_.plan.model.head_dim), first_, steps_));
      ATTNSCOPE_TRY(emit_keys_values(emitter, keys.views(), rows));
    }
    return emitter.layer_done();
  }

  RunContext& run_;
  PrefillResult& prefill_;
  std::uint32_t first_, planned_, steps_ = 0;
  DecodedTokens tokens_;
  Buffer<float> queries_;  // [layers][planned][heads * head dim]
  Buffer<float> lse_;      // [layers][heads][planned]
  std::vector<float> logits_, hidden_, attention_;
  ProjectionBlock projection_;
};

}  // namespace

Result<DecodeResult> decode(RunContext& run, Cancellation& cancellation, PrefillResult& prefill) {
  Decoder decoder(run, prefill);
  ATTNSCOPE_TRY(decoder.allocate());
  const Status ran = decoder.run();
  if (!ran && !is_cancelled(ran.error())) return ran.error();
  if (!ran) cancellation.clear();
  const Status emitted = decoder.emit();
  if (!emitted && !is_cancelled(emitted.error())) return emitted.error();
  return DecodeResult{decoder.steps(), !ran.ok() || !emitted.ok()};
}

}  // namespace attnscope
