#include "host/prefill.h"

#include <algorithm>

#include "host/head_tables.h"
#include "host/kv_tables.h"
#include "host/layer_forward.h"
#include "host/layer_reduction.h"
#include "host/logits_table.h"
#include "host/vector_tables.h"

namespace attnscope {
namespace {

/// Rows that go through projections and feed-forward at a time: enough to reuse each converted weight 504 times, few
/// enough that the temporaries (two feed-forward widths a row) stay small. Two row tasks of the matrix product.
constexpr std::size_t kBlockRows = 504;
/// Rows whose attention output is held at a time: four such blocks, 16 tasks of attention a head, which fill many threads.
constexpr std::size_t kAttentionRows = 4 * kBlockRows;

class Prefill {
 public:
  Prefill(RunContext& run, PrefillResult& result) : run_(run), result_(result), tokens_(run.plan.tokens.size()) {}

  Status run() {
    ATTNSCOPE_TRY(allocate());
    {
      PhaseClock::Section section(run_.clock, Work::prefill);
      ATTNSCOPE_TRY(over_rows(0, tokens_, [&](std::size_t begin, std::size_t count) -> Status {
        run_.model.embed(std::span(run_.plan.tokens).subspan(begin, count), hidden().slice(begin, count));
        if (!run_.pool.keep_going(0)) return cancelled();
        return check_finite(run_, hidden().slice(begin, count), run_.plan.model.layers);
      }));
    }
    for (std::uint32_t layer = 0; layer < run_.plan.model.layers; ++layer) ATTNSCOPE_TRY(run_layer(layer));
    return finish();
  }

 private:
  Status allocate() {
    const std::size_t width = run_.query_width();
    const std::tuple<Buffer<float>*, std::size_t, const char*> wanted[] = {
        {&hidden_, tokens_ * run_.plan.model.hidden_size, "hidden states"},
        {&queries_, tokens_ * width, "queries"},
        {&attention_, std::min(tokens_, kAttentionRows) * width, "attention output"},
        {&lse_, tokens_ * run_.plan.model.heads, "row statistics"}};
    for (auto [buffer, count, purpose] : wanted) {
      auto memory = Buffer<float>::allocate(count, purpose);
      if (!memory) return memory.error();
      *buffer = memory.take();
    }
    return success();
  }

  MutableRows hidden() { return {hidden_.data(), tokens_, run_.plan.model.hidden_size, run_.plan.model.hidden_size}; }
  Rows head_queries(std::size_t head) { return head_rows(Rows(queries()), head, run_.plan.model.head_dim); }
  MutableRows queries() { return {queries_.data(), tokens_, run_.query_width(), run_.query_width()}; }

  Status run_layer(std::uint32_t layer) {
    const bool recorded = run_.plan.reduce.enabled && !run_.plan.skips(layer);
    TableEmitter emitter(run_, Segment::prefill, static_cast<std::int32_t>(layer));
    begin_progress(Phase::prefill, layer, run_.row_work() * tokens_);
    ATTNSCOPE_TRY(project(layer));
    if (recorded) ATTNSCOPE_TRY(record_query_stats(emitter));
    LayerKeys keys;
    {
      PhaseClock::Section section(run_.clock, Work::prefill);
      ATTNSCOPE_TRY(finish_queries(run_, layer, queries(), 0));
      keys.refresh(run_, layer, result_.expansions);
      if (!run_.pool.keep_going(0)) return cancelled();
      for (std::size_t begin = 0; begin < tokens_; begin += kAttentionRows)
        ATTNSCOPE_TRY(attend_and_finish(layer, keys, begin, std::min(kAttentionRows, tokens_ - begin)));
    }
    if (recorded) ATTNSCOPE_TRY(record(emitter, keys));
    if (run_.plan.decode_steps > 0) result_.keys.push_back(std::move(keys));
    else run_.cache.release(layer);
    return success();
  }

  Status project(std::uint32_t layer) {
    PhaseClock::Section section(run_.clock, Work::prefill);
    return over_rows(0, tokens_, [&](std::size_t begin, std::size_t count) -> Status {
      ATTNSCOPE_TRY(project_block(run_, layer, hidden().slice(begin, count), static_cast<std::uint32_t>(begin),
                                  queries().slice(begin, count), projection_));
      run_.progress.advance(count * run_.projection_work());
      return success();
    });
  }

  /// Attention and the rest of the layer for rows [first, first + rows): the layer's keys and values are all there.
  Status attend_and_finish(std::uint32_t layer, const LayerKeys& keys, std::size_t first, std::size_t rows) {
    const MutableRows attention{attention_.data(), rows, run_.query_width(), run_.query_width()};
    ATTNSCOPE_TRY(attend(run_, queries().slice(first, rows), static_cast<std::uint32_t>(first), keys, attention, lse_.data() + first, tokens_));
    return over_rows(first, first + rows, [&](std::size_t begin, std::size_t count) -> Status {
      run_.model.finish_layer(layer, attention.slice(begin - first, count), hidden().slice(begin, count));
      if (!run_.pool.keep_going(0)) return cancelled();
      run_.progress.advance(count * (run_.row_work() - run_.projection_work()));
      return check_finite(run_, hidden().slice(begin, count), layer);
    });
  }

  Status record(TableEmitter& emitter, const LayerKeys& keys) {
    const TokenRange rows{0, static_cast<std::uint32_t>(tokens_)};
    begin_progress(Phase::reduce, emitter.layer(), 0);
    HeadTables tables(emitter, rows, lse_.data(), tokens_);
    ATTNSCOPE_TRY(reduce_layer(run_, {emitter.layer(), queries(), 0, &keys, lse_.data(), tokens_},
                               [&](const ReducedHead& head) { return tables.add({&head, 1}); }));
    ATTNSCOPE_TRY(tables.finish());
    ATTNSCOPE_TRY(emit_kv(emitter, keys.views(), rows));
    ATTNSCOPE_TRY(emit_pages(emitter, keys.views()));
    ATTNSCOPE_TRY(emit_channels(emitter, keys.views()));
    if (run_.plan.store.vectors) {
      ATTNSCOPE_TRY(record_queries(emitter));
      ATTNSCOPE_TRY(emit_keys_values(emitter, keys.views(), rows));
    }
    return emitter.layer_done();
  }

  Status record_query_stats(TableEmitter& emitter) {
    const std::size_t skipped = std::min<std::size_t>(run_.plan.reduce.sink_tokens, tokens_);
    std::vector<MeanCovariance> stats(run_.plan.model.heads);
    {
      PhaseClock::Section section(run_.clock, Work::reduce);
      const bool complete = run_.pool.parallel_for(stats.size(), [&](std::size_t h, unsigned) {
        stats[h] = mean_covariance(head_queries(h).slice(skipped, tokens_ - skipped));
      });
      if (!complete) return cancelled();
    }
    return emit_query_stats(emitter, stats);
  }

  Status record_queries(TableEmitter& emitter) {
    const std::uint32_t block = run_.plan.reduce.query_pool_tokens, dim = run_.plan.model.head_dim;
    const std::size_t blocks = (tokens_ + block - 1) / block;
    std::vector<float> means(blocks * dim), picked;
    for (std::uint32_t h = 0; h < run_.plan.model.heads; ++h) {
      {
        PhaseClock::Section section(run_.clock, Work::reduce);
        pool_rows(head_queries(h), block, {means.data(), blocks, dim, dim});
      }
      ATTNSCOPE_TRY(emit_pooled_queries(emitter, h, means));
    }
    for (std::uint32_t h = 0; h < run_.plan.model.heads; ++h) {
      if (stores_every_query(run_.plan, emitter.layer(), h)) {
        ATTNSCOPE_TRY(emit_all_queries(emitter, h, head_queries(h), 0, run_.plan.prompt_tokens()));
        continue;
      }
      picked.clear();
      for (std::uint32_t row : run_.plan.store.query_rows) picked.insert(picked.end(), head_queries(h).row(row), head_queries(h).row(row) + dim);
      ATTNSCOPE_TRY(emit_picked_queries(emitter, h, Rows{picked.data(), run_.plan.store.query_rows.size(), dim, dim}, run_.plan.store.query_rows));
    }
    return success();
  }

  Status finish() {
    PhaseClock::Section section(run_.clock, Work::prefill);
    if (run_.plan.store.logits) ATTNSCOPE_TRY(emit_prompt_logits(run_, hidden()));
    result_.last_logits.resize(run_.plan.model.vocab_size);
    return compute_logits(run_, hidden().slice(tokens_ - 1, 1),
                          {result_.last_logits.data(), 1, result_.last_logits.size(), result_.last_logits.size()});
  }

  /// work(begin, count) for rows [first, end), a block at a time.
  Status over_rows(std::size_t first, std::size_t end, const std::function<Status(std::size_t, std::size_t)>& work) {
    for (std::size_t begin = first; begin < end; begin += kBlockRows) ATTNSCOPE_TRY(work(begin, std::min(kBlockRows, end - begin)));
    return success();
  }

  void begin_progress(Phase phase, std::uint32_t layer, std::uint64_t row_work) {
    run_.progress.begin(phase, layer, run_.plan.model.layers, row_work + causal_pairs(0, tokens_) * run_.plan.model.heads);
  }

  RunContext& run_;
  PrefillResult& result_;
  std::size_t tokens_;
  Buffer<float> hidden_, queries_, attention_, lse_;
  ProjectionBlock projection_;
};

}  // namespace

Status prefill(RunContext& run, PrefillResult& result) { return Prefill(run, result).run(); }

}  // namespace attnscope
