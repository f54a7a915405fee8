#include "host/capture.h"

#include "host/decode.h"
#include "host/machine.h"
#include "host/prefill.h"
#include "host/weights.h"

namespace attnscope {
namespace {

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
