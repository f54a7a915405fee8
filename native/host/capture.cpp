#include "host/capture.h"

#include "host/buffer.h"
#include "host/decode.h"
#include "host/device/device_capture.h"
#include "host/device/open_device.h"
#include "host/machine.h"
#include "host/prefill.h"
#include "host/weights.h"

namespace attnscope {
namespace {

/// Bytes that a run holds at once and that grow with the tokens; the reduction's groups come on top (layer_reduction.cpp).
std::uint64_t working_bytes(const Plan& plan) {
  const ModelPlan& m = plan.model;
  const std::uint64_t prompt = plan.prompt_tokens(), total = plan.total_tokens(), steps = plan.decode_steps;
  const std::uint64_t query_width = std::uint64_t(m.heads) * m.head_dim, kv_width = std::uint64_t(m.kv_heads) * m.head_dim;
  const std::uint64_t cached_layers = steps > 0 ? m.layers : 1;
  const std::uint64_t prompt_rows = prompt * (m.hidden_size + query_width + m.heads) * 4;
  const std::uint64_t decode_rows = steps * m.layers * (query_width + m.heads) * 4;
  const std::uint64_t cache = cached_layers * total * kv_width * (2 * size_of(plan.vectors) + 4);  // keys, values, key panels
  const std::uint64_t expanded = plan.vectors == DType::f32 ? 0 : 2 * total * kv_width * 4;
  return prompt_rows + decode_rows + cache + expanded;
}

/// Small allocations are not checked one by one (without exceptions a failed one ends the process), so what the run will need
/// is asked for in one piece and given back: a plan that cannot fit is refused before any work.
Status check_memory(const Plan& plan) {
  auto trial = Buffer<std::uint8_t>::allocate(working_bytes(plan), "the run's activations and KV cache");
  if (!trial) return trial.error();
  asm volatile("" : : "r"(trial.value().data()) : "memory");  // an allocation nobody looks at may be optimised away
  return success();
}

Status run_layers(RunContext& run, Cancellation& cancellation, CaptureSummary& summary) {
  PrefillResult prompt;
  ATTNSCOPE_TRY(prefill(run, prompt));
  summary.prefill_tokens = run.plan.prompt_tokens();
  if (run.plan.decode_steps == 0) return success();
  auto decoded = decode(run, cancellation, prompt);
  if (!decoded) return decoded.error();
  summary.decode_steps = decoded.value().steps;
  summary.cancelled = decoded.value().cancelled;
  return success();
}

}  // namespace

Result<CaptureSummary> run_capture(const Plan& plan, CaptureSink& sink, Cancellation& cancellation) {
  ATTNSCOPE_TRY(validate(plan));
  if (plan.device.name != "cpu") {
    auto device = open_device(plan.device.name, plan.threads);
    if (!device) return device.error();
    return run_capture_on(*device.value(), plan, sink, cancellation);
  }
  ATTNSCOPE_TRY(check_memory(plan));
  CaptureSummary summary;
  PhaseClock clock;
  ProgressReporter progress(sink);
  ThreadPool pool(plan.threads, &cancellation, [&] { progress.heartbeat(); });

  progress.begin(Phase::load, 0, 1, 1);
  std::unique_ptr<Model> model;
  auto weights = [&] {
    PhaseClock::Section section(clock, Work::load);
    return Weights::open(plan);
  }();
  if (!weights) return weights.error();
  {
    PhaseClock::Section section(clock, Work::load);
    auto made = make_model(plan.model, weights.value(), pool);
    if (!made) return made.error();
    model = made.take();
  }
  summary.inverse_frequencies.assign(model->inverse_frequencies().begin(), model->inverse_frequencies().end());

  DenseKvCache cache(plan.model, plan.total_tokens(), plan.vectors);
  RunContext run{plan, pool, *model, cache, sink, progress, clock, {}};
  run.scratch.resize(pool.threads());
  const Status ran = run_layers(run, cancellation, summary);
  if (!ran && !is_cancelled(ran.error())) return ran.error();
  summary.cancelled = summary.cancelled || !ran.ok();
  for (Work work : {Work::load, Work::prefill, Work::reduce, Work::emit, Work::decode})
    summary.seconds.emplace_back(kWorkNames[static_cast<std::size_t>(work)], clock.seconds(work));
  summary.peak_resident_bytes = peak_resident_bytes();
  return summary;
}

}  // namespace attnscope
