#include "host/policy_cpu.h"

#include <algorithm>
#include <tuple>

#include "host/evicting_cache.h"
#include "host/layer_forward.h"
#include "host/logits_table.h"

namespace attnscope {
namespace {

/// Rows that go through matrix products at a time, as in prefill.cpp, and rows whose attention output is held: 63 row
/// blocks of 64 queries, so that the row blocks of plans are never cut.
constexpr std::size_t kProductRows = 504;
constexpr std::uint32_t kHeldRows = 8 * kProductRows;
static_assert(kHeldRows % PrefillPlan::block == 0);

class CpuBackend final : public PolicyBackend {
 public:
  CpuBackend(const Plan& plan, const PolicyMachine& machine)
      : cache_(plan.model, plan.vectors),
        run_{plan, machine.pool, machine.model, cache_, machine.sink, machine.progress, machine.clock, {}} {
    run_.scratch.resize(machine.pool.threads());
    keys_.resize(plan.model.layers);
    views_.resize(plan.model.kv_heads);
    logits_.resize(plan.model.vocab_size);
    residuals_.resize(std::size_t(plan.model.layers) * plan.model.hidden_size);
  }

  Status begin(std::span<const std::uint32_t> ids, std::uint32_t first) override {
    first_ = first;
    ATTNSCOPE_TRY(allocate(ids.size()));
    for (std::size_t begin = 0; begin < ids.size(); begin += kProductRows) {
      const MutableRows hidden = hidden_.slice(begin, std::min(kProductRows, ids.size() - begin));
      run_.model.embed(ids.subspan(begin, hidden.count), hidden);
      ATTNSCOPE_TRY(check_finite(run_, hidden, run_.plan.model.layers));
      if (!run_.pool.keep_going(0)) return cancelled();
    }
    return success();
  }

  std::uint64_t layer_work() const override {
    return run_.row_work() * hidden_.count + causal_pairs(first_, hidden_.count) * run_.plan.model.heads;
  }

  Status project(std::uint32_t layer, const LayerUse& use) override {
    if (use.apart) ATTNSCOPE_TRY(allocate_apart());
    for (std::size_t begin = 0; begin < hidden_.count; begin += kProductRows) {
      const std::size_t count = std::min(kProductRows, hidden_.count - begin);
      const MutableRows queries = queries_.slice(begin, count);
      const auto at = static_cast<std::uint32_t>(first_ + begin);
      if (use.apart)
        ATTNSCOPE_TRY(project_rows(run_, layer, hidden_.slice(begin, count), at, queries, apart_keys_.slice(begin, count), apart_values_.slice(begin, count)));
      else
        ATTNSCOPE_TRY(project_block(run_, layer, hidden_.slice(begin, count), at, queries, projection_));
      run_.progress.advance(count * run_.projection_work());
    }
    return finish_queries(run_, layer, queries_, first_);
  }

  Status feed(std::uint32_t layer, TokenRange rows) override {
    return append_rows(run_, layer, apart_keys_.slice(rows.begin - first_, rows.size()), apart_values_.slice(rows.begin - first_, rows.size()));
  }

  Status refresh(std::uint32_t layer) override {
    keys_[layer].refresh(run_, layer, expansions_);
    for (std::size_t h = 0; h < views_.size(); ++h) views_[h] = keys_[layer].view(h);
    return run_.pool.keep_going(0) ? success() : Status(cancelled());
  }

  /// Products of the rest of the layer are taken when their rows' attention is complete, however small the pieces are it comes in.
  Status attend(std::uint32_t layer, TokenRange rows, const LayerReads& reads) override {
    const auto all = static_cast<std::uint32_t>(hidden_.count);
    for (std::uint32_t at = rows.begin - first_; at < rows.end - first_;) {
      const std::uint32_t end = std::min(rows.end - first_, (at / kHeldRows + 1) * kHeldRows), held = (end - 1) / kHeldRows * kHeldRows;
      ATTNSCOPE_TRY(attend_layer(run_, queries_.slice(at, end - at), first_ + at, keys_[layer], reads, attention_.slice(at - held, end - at)));
      at = end;
      if (at != all && at % kHeldRows != 0) continue;
      for (std::size_t begin = held; begin < at; begin += kProductRows) {
        const std::size_t count = std::min<std::size_t>(kProductRows, at - begin);
        run_.model.finish_layer(layer, attention_.slice(begin - held, count), hidden_.slice(begin, count));
        if (!run_.pool.keep_going(0)) return cancelled();
        run_.progress.advance(count * (run_.row_work() - run_.projection_work()));
        ATTNSCOPE_TRY(check_finite(run_, hidden_.slice(begin, count), layer));
      }
    }
    return success();
  }

  Status keep_residual(std::uint32_t layer) override {
    std::copy_n(hidden_.row(hidden_.count - 1), hidden_.dim, residuals_.begin() + static_cast<std::ptrdiff_t>(layer * hidden_.dim));
    return success();
  }

  Status end() override {
    ATTNSCOPE_TRY(compute_logits(run_, hidden_.slice(hidden_.count - 1, 1), {logits_.data(), 1, logits_.size(), logits_.size()}));
    if (hidden_.count > 1) release();
    return success();
  }

  Rows queries(TokenRange rows) const override { return Rows(queries_).slice(rows.begin - first_, rows.size()); }
  std::span<const KvView> views() const override { return views_; }
  std::span<const std::uint32_t> positions(std::uint32_t layer, std::uint32_t kv_head) const override { return cache_.positions(layer, kv_head); }
  void close(std::uint32_t) override {}

  Status evict(std::uint32_t layer, std::span<const std::vector<std::uint32_t>> slots) override {
    for (std::uint32_t h = 0; h < slots.size(); ++h) ATTNSCOPE_TRY(cache_.evict(layer, h, slots[h]));
    return success();
  }

  std::span<const float> logits() const override { return logits_; }
  std::span<const float> residual(std::uint32_t layer) const override {
    const std::size_t width = run_.plan.model.hidden_size;
    return std::span(residuals_).subspan(layer * width, width);
  }
  std::size_t length(std::uint32_t layer, std::uint32_t kv_head) const override { return cache_.length(layer, kv_head); }
  std::size_t appended(std::uint32_t layer, std::uint32_t kv_head) const override { return cache_.appended(layer, kv_head); }
  std::uint64_t tokens() const override { return cache_.tokens(); }

 private:
  Status allocate(std::size_t rows) {
    if (hidden_.count == rows) return success();
    release();
    for (auto [buffer, view, count, width, purpose] :
         {std::tuple(&hidden_values_, &hidden_, rows, std::size_t(run_.plan.model.hidden_size), "hidden states"),
          std::tuple(&query_values_, &queries_, rows, run_.query_width(), "queries"),
          std::tuple(&attention_values_, &attention_, std::min<std::size_t>(rows, kHeldRows), run_.query_width(), "attention output")})
      ATTNSCOPE_TRY(allocate_rows(*buffer, *view, count, width, purpose));
    return success();
  }

  Status allocate_apart() {
    if (apart_keys_.count == hidden_.count) return success();
    ATTNSCOPE_TRY(allocate_rows(apart_key_values_, apart_keys_, hidden_.count, run_.kv_width(), "keys before they are fed"));
    return allocate_rows(apart_value_values_, apart_values_, hidden_.count, run_.kv_width(), "values before they are fed");
  }

  static Status allocate_rows(Buffer<float>& buffer, MutableRows& rows, std::size_t count, std::size_t width, const char* purpose) {
    auto memory = Buffer<float>::allocate(count * width, purpose);
    if (!memory) return memory.error();
    buffer = memory.take();
    rows = {buffer.data(), count, width, width};
    return success();
  }

  void release() {
    for (Buffer<float>* buffer : {&hidden_values_, &query_values_, &attention_values_, &apart_key_values_, &apart_value_values_}) *buffer = {};
    hidden_ = queries_ = attention_ = apart_keys_ = apart_values_ = {};
  }

  EvictingKvCache cache_;
  RunContext run_;
  std::vector<LayerKeys> keys_;  // [layers]
  std::vector<KvExpansion> expansions_;
  std::vector<KvView> views_;
  std::uint32_t first_ = 0;
  Buffer<float> hidden_values_, query_values_, attention_values_, apart_key_values_, apart_value_values_;
  MutableRows hidden_, queries_, attention_, apart_keys_, apart_values_;
  ProjectionBlock projection_;
  std::vector<float> logits_, residuals_;
};

}  // namespace

std::unique_ptr<PolicyBackend> make_cpu_policy_backend(const Plan& plan, const PolicyMachine& machine) {
  return std::make_unique<CpuBackend>(plan, machine);
}

}  // namespace attnscope
