#include "host/device/device_prefill.h"

#include <algorithm>
#include <numeric>

#include "host/failure.h"
#include "host/logits_table.h"

namespace attnscope {
namespace {

class DevicePrefill {
 public:
  DevicePrefill(DeviceRun& run, CapturePipeline& pipeline) : run_(run), pipeline_(pipeline), model_(run.plan().model), tokens_(run.plan().prompt_tokens()) {}

  Status run(std::vector<float>& last_logits) {
    {
      PhaseClock::Section section(run_.context.clock, Work::prefill);
      ATTNSCOPE_TRY(upload_rows());
      ATTNSCOPE_TRY(run_.model.embed(run_.plan().tokens, hidden(0)));
    }
    for (std::uint32_t layer = 0; layer < model_.layers; ++layer) {
      run_.memory.at("prefill", static_cast<std::int32_t>(layer));
      ATTNSCOPE_TRY(run_layer(layer));
    }
    ATTNSCOPE_TRY(run_.progress.reach(run_.progress.last()));
    ATTNSCOPE_TRY(pipeline_.drain());
    if (run_.plan().store.logits) ATTNSCOPE_TRY(emit_prompt_logits());
    return logits_of(run_, hidden(tokens_ - 1), last_logits);
  }

 private:
  float* hidden(std::size_t row) const { return run_.buffers.hidden.as<float>() + row * model_.hidden_size; }

  Status upload_rows() {
    const auto upload = [&](const DeviceBuffer& to, std::span<const std::uint32_t> rows) { return check(run_.device.upload(to.data(), rows.data(), rows.size_bytes())); };
    if (run_.buffers.picked_rows && !run_.plan().store.query_rows.empty()) ATTNSCOPE_TRY(upload(run_.buffers.picked_rows, run_.plan().store.query_rows));
    if (!run_.buffers.every_row) return success();
    std::vector<std::uint32_t> every(tokens_);
    std::iota(every.begin(), every.end(), 0u);
    return upload(run_.buffers.every_row, every);
  }

  Status run_layer(std::uint32_t layer) {
    const bool recorded = run_.plan().reduce.enabled && !run_.plan().skips(layer);
    LayerTensors tensors{run_.buffers.queries.data(), nullptr, CaptureRows::of_prompt(run_.plan())};
    {
      PhaseClock::Section section(run_.context.clock, Work::prefill);
      ATTNSCOPE_TRY(pipeline_.begin_layer());
      ATTNSCOPE_TRY(run_.model.begin_layer(layer));
      tensors.kv = &run_.buffers.kv[run_.layout.keeps_layers ? layer : pipeline_.place() % run_.buffers.kv.size()];
      run_.progress.begin(Phase::prefill, layer, model_.layers, run_.context.row_work() * tokens_ + causal_pairs(0, tokens_) * model_.heads);
      if (recorded) ATTNSCOPE_TRY(check(run_.device.fill(run_.buffers.moments[pipeline_.place()].data(), 0, run_.buffers.moments[pipeline_.place()].bytes())));
      ATTNSCOPE_TRY(over_rows([&](std::uint32_t begin, std::uint32_t rows) { return project(layer, *tensors.kv, recorded, begin, rows); }));
      ATTNSCOPE_TRY(attend(tensors));
      ATTNSCOPE_TRY(over_rows([&](std::uint32_t begin, std::uint32_t rows) -> Status {
        const std::byte* attention = run_.buffers.attention.at(begin * run_.layout.query_width * run_.layout.element);
        ATTNSCOPE_TRY(run_.model.finish(layer, attention, run_.plan().vectors, rows, hidden(begin)));
        return run_.progress.mark(rows * (run_.context.row_work() - run_.context.projection_work()));
      }));
    }
    if (recorded) return pipeline_.queue_layer(layer, tensors, lse(), nullptr, run_.layout.result_bytes);
    // The host stays at most a layer ahead of the device.
    const std::uint64_t layer_before = std::exchange(layer_end_, run_.progress.last());
    return run_.progress.reach(layer_before);
  }

  float* lse() const { return run_.buffers.lse[pipeline_.place()].as<float>(); }

  Status project(std::uint32_t layer, const DeviceBuffer& kv, bool recorded, std::uint32_t begin, std::uint32_t rows) {
    const auto projected = run_.model.project(layer, hidden(begin), rows);
    if (!projected) return projected.error();
    if (recorded) ATTNSCOPE_TRY(add_moments(projected.value().q, begin, rows));
    const CaptureLayout& layout = run_.layout;
    const std::uint64_t kv_at = begin * layout.kv_width * layout.element;
    ATTNSCOPE_TRY(run_.model.place(layer, projected.value().q, rows, model_.heads, begin,
                                   {run_.buffers.queries.at(begin * layout.query_width * layout.element), model_.head_dim, layout.query_width}));
    ATTNSCOPE_TRY(run_.model.place(layer, projected.value().k, rows, model_.kv_heads, begin, {kv.at(kv_at), model_.head_dim, layout.kv_width}));
    ATTNSCOPE_TRY(run_.model.place(layer, projected.value().v, rows, model_.kv_heads, std::nullopt, {kv.at(layout.kv_side + kv_at), model_.head_dim, layout.kv_width}));
    return run_.progress.mark(rows * run_.context.projection_work());
  }

  /// Of queries before rotation, without those of the first tokens, about the first that counts.
  Status add_moments(const float* queries, std::uint32_t begin, std::uint32_t rows) {
    const std::uint32_t skipped = std::min(run_.plan().reduce.sink_tokens, tokens_);
    if (begin + rows <= skipped) return success();
    const DeviceBuffer& moments = run_.buffers.moments[pipeline_.place()];
    const MomentParts at(model_);
    const std::uint32_t first = std::max(begin, skipped);
    const float* x = queries + (first - begin) * run_.layout.query_width;
    if (begin <= skipped) ATTNSCOPE_TRY(check(run_.device.copy(moments.at(at.pivot), x, run_.layout.query_width * sizeof(float))));
    MomentsArgs args;
    args.rows = begin + rows - first, args.heads = model_.heads, args.head_dim = model_.head_dim, args.x = x;
    args.pivot = reinterpret_cast<const float*>(moments.at(at.pivot));
    args.sum = reinterpret_cast<double*>(moments.at(at.sum)), args.product = reinterpret_cast<double*>(moments.at(at.product));
    return check(run_.device.moments(args));
  }

  Status attend(const LayerTensors& tensors) {
    return over_heads(run_, tensors.rows, 0, model_.heads, [&](const HeadRange& heads) -> Status {
      AttentionArgs args = attention_of(run_, tensors, heads);
      args.out = {run_.buffers.attention.at(std::uint64_t{heads.first} * model_.head_dim * run_.layout.element), model_.head_dim, run_.layout.query_width};
      args.lse = lse() + std::uint64_t{heads.first} * tokens_;
      ATTNSCOPE_TRY(check(run_.device.dense(args)));
      return run_.progress.mark(causal_pairs(0, tokens_) * heads.count);
    });
  }

  /// A block is computed while the one before comes down and is emitted.
  Status emit_prompt_logits() {
    PhaseClock::Section section(run_.context.clock, Work::prefill);
    TableEmitter emitter(run_.context, Segment::prefill, -1);
    const std::uint32_t block = run_.layout.logits_rows;
    const std::size_t vocabulary = model_.vocab_size;
    std::uint64_t before = 0;
    const auto emit = [&](std::uint32_t begin, std::uint64_t mark) -> Status {
      ATTNSCOPE_TRY(run_.progress.reach(mark));
      const std::uint32_t rows = std::min(block, tokens_ - begin);
      return emit_logits(emitter, {run_.buffers.host_logits[begin / block % 2].as<float>(), rows, vocabulary, vocabulary}, begin);
    };
    for (std::uint32_t begin = 0; begin < tokens_; begin += block) {
      const std::uint32_t rows = std::min(block, tokens_ - begin), at = begin / block % 2;
      ATTNSCOPE_TRY(run_.model.logits(hidden(begin), rows, run_.buffers.logits[at].as<float>()));
      ATTNSCOPE_TRY(check(run_.device.download(run_.buffers.host_logits[at].data(), run_.buffers.logits[at].data(), rows * vocabulary * sizeof(float))));
      ATTNSCOPE_TRY(run_.progress.mark(0));
      const std::uint64_t mark = run_.progress.last();
      if (begin == 0) ATTNSCOPE_TRY(run_.model.check_counters());  // the layers' numbers are finite: so are logits worth looking at
      else ATTNSCOPE_TRY(emit(begin - block, before));
      before = mark;
    }
    return emit((tokens_ - 1) / block * block, before);
  }

  template <class Work>
  Status over_rows(Work work) {
    for (std::uint32_t begin = 0; begin < tokens_; begin += run_.layout.block_rows) ATTNSCOPE_TRY(work(begin, std::min(run_.layout.block_rows, tokens_ - begin)));
    return success();
  }

  DeviceRun& run_;
  CapturePipeline& pipeline_;
  const ModelPlan& model_;
  const std::uint32_t tokens_;
  std::uint64_t layer_end_ = 0;
};

}  // namespace

Status prefill_on(DeviceRun& run, CapturePipeline& pipeline, std::vector<float>& last_logits) { return DevicePrefill(run, pipeline).run(last_logits); }

Status logits_of(DeviceRun& run, const float* hidden, std::vector<float>& logits) {
  logits.resize(run.plan().model.vocab_size);
  const std::size_t bytes = logits.size() * sizeof(float);
  ATTNSCOPE_TRY(run.model.logits(hidden, 1, run.buffers.logits[0].as<float>()));
  ATTNSCOPE_TRY(check(run.device.download(run.buffers.host_logits[0].data(), run.buffers.logits[0].data(), bytes)));
  ATTNSCOPE_TRY(run.model.check_counters());
  std::copy_n(run.buffers.host_logits[0].as<float>(), logits.size(), logits.begin());
  return success();
}

}  // namespace attnscope
