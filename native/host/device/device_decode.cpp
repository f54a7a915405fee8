#include "host/device/device_decode.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "host/decoded_tokens.h"
#include "host/device/device_prefill.h"
#include "host/failure.h"

namespace attnscope {
namespace {

class DeviceDecoder {
 public:
  DeviceDecoder(DeviceRun& run, CapturePipeline& pipeline, std::vector<float> logits)
      : run_(run), pipeline_(pipeline), model_(run.plan().model), planned_(run.plan().decode_steps), padding_(run.plan().prompt_tokens() % 64), tokens_(run.plan()),
        logits_(std::move(logits)) {}

  std::uint32_t steps() const { return steps_; }

  Status run() {
    PhaseClock::Section section(run_.context.clock, Work::decode);
    run_.memory.at("decode", -1);
    // Rows before the first decoded one are zeros: kernels begin at multiples of 64.
    ATTNSCOPE_TRY(check(run_.device.fill(run_.buffers.step_queries.data(), 0, run_.buffers.step_queries.bytes())));
    while (steps_ < planned_) {
      run_.context.progress.begin(Phase::decode, steps_, planned_, model_.layers);
      ATTNSCOPE_TRY(step());
      ++steps_;
    }
    return success();
  }

  /// The tokens come first: rows of a run that is killed later are worth nothing without them.
  Status emit() {
    if (steps_ == 0) return success();
    ATTNSCOPE_TRY(tokens_.emit(run_.context, steps_));
    if (!run_.plan().reduce.enabled) return success();
    ATTNSCOPE_TRY(prepare());
    for (std::uint32_t layer = 0; layer < model_.layers; ++layer) ATTNSCOPE_TRY(queue_layer(layer));
    return pipeline_.drain();
  }

 private:
  std::byte* queries(std::uint32_t layer, std::uint64_t row) const {
    return run_.buffers.step_queries.at((std::uint64_t{layer} * (padding_ + planned_) + row) * run_.layout.query_width * run_.layout.element);
  }

  Status step() {
    const std::uint32_t id = tokens_.add(logits_);
    float* hidden = run_.buffers.hidden.as<float>();
    ATTNSCOPE_TRY(run_.model.embed({&id, 1}, hidden));
    for (std::uint32_t layer = 0; layer < model_.layers; ++layer) {
      if (!run_.context.pool.keep_going(0)) return cancelled();
      ATTNSCOPE_TRY(step_layer(layer, hidden));
    }
    ATTNSCOPE_TRY(logits_of(run_, hidden, logits_));
    run_.context.progress.advance(model_.layers);
    return tokens_.keep_logits(run_.context, logits_);
  }

  Status step_layer(std::uint32_t layer, float* hidden) {
    const CaptureLayout& layout = run_.layout;
    const std::uint32_t position = run_.plan().prompt_tokens() + steps_;
    const DeviceBuffer& kv = run_.buffers.kv[layer];
    const std::uint64_t kv_at = position * layout.kv_width * layout.element;
    ATTNSCOPE_TRY(run_.model.begin_layer(layer));
    const auto projected = run_.model.project(layer, hidden, 1);
    if (!projected) return projected.error();
    std::byte* query = queries(layer, padding_ + steps_);
    ATTNSCOPE_TRY(run_.model.place(layer, projected.value().q, 1, model_.heads, position, {query, model_.head_dim, layout.query_width}));
    ATTNSCOPE_TRY(run_.model.place(layer, projected.value().k, 1, model_.kv_heads, position, {kv.at(kv_at), model_.head_dim, layout.kv_width}));
    ATTNSCOPE_TRY(run_.model.place(layer, projected.value().v, 1, model_.kv_heads, std::nullopt, {kv.at(layout.kv_side + kv_at), model_.head_dim, layout.kv_width}));

    DecodeArgs args;
    args.dtype = run_.plan().vectors, args.heads = model_.heads, args.kv_heads = model_.kv_heads, args.head_dim = model_.head_dim;
    args.keys = position + 1, args.scale = model_.attention_scale;
    args.q = {query, model_.head_dim, layout.query_width};
    args.k = {kv.at(0), model_.head_dim, layout.kv_width}, args.v = {kv.at(layout.kv_side), model_.head_dim, layout.kv_width};
    args.out = run_.buffers.step_attention.as<float>();
    args.lse = run_.buffers.step_lse.as<float>() + (std::uint64_t{layer} * planned_ + steps_) * model_.heads;
    args.workspace = run_.buffers.step_workspace.data();
    if (run_.device.workspace_bytes(args) > run_.buffers.step_workspace.bytes())
      return failure("E_KERNEL_MEMORY", "attention of a token over ", args.keys, " keys needs more memory to work in than was set aside; this is a fault of the engine, report it");
    ATTNSCOPE_TRY(check(run_.device.decode(args)));
    return run_.model.finish(layer, args.out, DType::f32, 1, hidden);
  }

  /// Row statistics of all steps as pass 2 reads them, and the numbers of the rows that are stored.
  Status prepare() {
    PhaseClock::Section section(run_.context.clock, Work::reduce);
    run_.memory.at("reduce", -1);
    const DeviceBuffer &from = run_.buffers.step_lse, &host = run_.buffers.host_step;
    ATTNSCOPE_TRY(check(run_.device.download(host.data(), from.data(), from.bytes())));
    std::vector<std::uint32_t> rows(steps_);
    std::iota(rows.begin(), rows.end(), padding_);
    if (run_.plan().store.vectors) ATTNSCOPE_TRY(check(run_.device.upload(run_.buffers.picked_rows.data(), rows.data(), rows.size() * sizeof(std::uint32_t))));
    ATTNSCOPE_TRY(check(run_.device.synchronize()));
    // A row of zeros has no part in anything where its sum of exponentials is infinite.
    const std::size_t stride = padding_ + steps_;
    lse_.assign(model_.layers * model_.heads * stride, std::numeric_limits<float>::infinity());
    for (std::size_t layer = 0; layer < model_.layers; ++layer)
      for (std::size_t head = 0; head < model_.heads; ++head)
        for (std::size_t step = 0; step < steps_; ++step)
          lse_[(layer * model_.heads + head) * stride + padding_ + step] = host.as<float>()[(layer * planned_ + step) * model_.heads + head];
    return success();
  }

  Status queue_layer(std::uint32_t layer) {
    run_.memory.at("reduce", static_cast<std::int32_t>(layer));
    const std::size_t floats = std::size_t{model_.heads} * (padding_ + steps_);
    const float* host = lse_.data() + layer * floats;
    ATTNSCOPE_TRY(pipeline_.begin_layer());
    const DeviceBuffer& lse = run_.buffers.lse[pipeline_.place()];
    ATTNSCOPE_TRY(check(run_.device.upload(lse.data(), host, floats * sizeof(float))));
    const LayerTensors tensors{queries(layer, 0), &run_.buffers.kv[layer], CaptureRows::of_steps(run_.plan(), steps_)};
    return pipeline_.queue_layer(layer, tensors, lse.as<float>(), host + padding_, run_.layout.result_bytes);
  }

  DeviceRun& run_;
  CapturePipeline& pipeline_;
  const ModelPlan& model_;
  const std::uint32_t planned_, padding_;
  std::uint32_t steps_ = 0;
  DecodedTokens tokens_;
  std::vector<float> logits_, lse_;  // lse_: [layers][heads][padding + steps]
};

}  // namespace

Result<DecodeResult> decode_on(DeviceRun& run, CapturePipeline& pipeline, Cancellation& cancellation, std::vector<float> logits) {
  DeviceDecoder decoder(run, pipeline, std::move(logits));
  const Status ran = decoder.run();
  if (!ran && !is_cancelled(ran.error())) return ran.error();
  if (!ran) cancellation.clear();
  const Status emitted = decoder.emit();
  if (!emitted && !is_cancelled(emitted.error())) return emitted.error();
  return DecodeResult{decoder.steps(), !ran.ok() || !emitted.ok()};
}

}  // namespace attnscope
