#include "bind/node/policy_run_job.h"

#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "bind/node/arrays.h"
#include "bind/node/device_use.h"
#include "bind/node/plan_reader.h"

namespace attnscope::node {
namespace {

Napi::Object to_js(Napi::Env env, const RunProgress& progress) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("phase", name_of(progress.phase));
  object.Set("done", progress.done);
  object.Set("total", progress.total);
  object.Set("fraction", progress.fraction);
  return object;
}

Napi::Object to_js(Napi::Env env, const PolicyRunResult::Summary& s) {
  const std::pair<const char*, double> values[] = {
      {"deltaNll", s.delta_nll}, {"klMean", s.kl_mean}, {"klP99", s.kl_p99}, {"top1Agreement", s.top1_agreement},
      {"perplexityRatio", s.perplexity_ratio}, {"denseSeconds", s.dense_seconds}, {"policySeconds", s.policy_seconds},
      {"keptBytes", s.kept_bytes}, {"denseBytes", s.dense_bytes}, {"peakBytes", s.peak_bytes},
      {"prefillCells", s.prefill_cells}, {"prefillKernelCells", s.prefill_kernel_cells}};
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [name, value] : values) object.Set(name, value);
  return object;
}

Napi::Object to_js(Napi::Env env, const PolicyRunResult::Trace& each) {
  const HeadTrace& trace = each.trace;
  std::vector<std::uint32_t> spans;
  for (const KeySpan& span : trace.spans) spans.push_back(span.begin), spans.push_back(span.end);
  Napi::Object object = Napi::Object::New(env);
  object.Set("layer", each.layer);
  object.Set("head", each.head);
  object.Set("rows", numbers(env, trace.rows));
  object.Set("offset", numbers(env, std::vector<std::uint32_t>(trace.offset.begin(), trace.offset.end())));
  object.Set("spans", numbers(env, spans));
  return object;
}

Napi::Object to_js(Napi::Env env, const PolicyRunResult& result) {
  Napi::Array traces = Napi::Array::New(env, result.traces.size());
  for (std::uint32_t i = 0; i < result.traces.size(); ++i) traces.Set(i, to_js(env, result.traces[i]));
  Napi::Object object = Napi::Object::New(env);
  object.Set("outcome", result.cancelled ? "cancelled" : "complete");
  object.Set("position", numbers(env, result.position));
  object.Set("id", numbers(env, result.id));
  object.Set("forced", bytes(env, result.forced));
  object.Set("policyTop1", numbers(env, result.policy_top1));
  object.Set("policyLogProbability", floats(env, result.policy_log_probability));
  object.Set("denseTop1", numbers(env, result.dense_top1));
  object.Set("denseLogProbability", floats(env, result.dense_log_probability));
  object.Set("kl", floats(env, result.kl));
  object.Set("residualError", floats(env, result.residual_error));
  object.Set("summary", to_js(env, result.summary));
  object.Set("residentTokens", numbers(env, result.resident_tokens));
  object.Set("traces", traces);
  if (const auto& device = result.device)
    object.Set("device", to_js(env, DeviceUse{device->name, device->driver, device->products, device->compute, device->streamed_weights, device->peak_bytes,
                                              device->peak_pinned_bytes, device->bytes_at_peak}));
  return object;
}

class PolicyRunJob {
 public:
  PolicyRunJob(const Napi::CallbackInfo& info, PolicyRunPlan plan, std::shared_ptr<Cancellation> cancellation)
      : plan_(std::move(plan)), cancellation_(std::move(cancellation)), progress_(Napi::Persistent(info[1].As<Napi::Function>())),
        settled_(Napi::Persistent(info[2].As<Napi::Function>())) {
    queue_ = Queue::New(info.Env(), "attnscope policy run", 0, 1, this, [](Napi::Env, void*, PolicyRunJob* job) { delete job; });
    thread_ = std::thread([this] { work(); });
  }

  /// Runs on the JavaScript thread once the queue is closed: after the run, or when Node shuts down in its midst.
  ~PolicyRunJob() {
    cancellation_->request();
    thread_.join();
  }

 private:
  enum class Message { progress, settled };

  static void receive(Napi::Env env, Napi::Function, PolicyRunJob* job, Message* data) {
    const std::unique_ptr<Message> message(data);
    if (env == nullptr) return;  // Node is shutting down; the job may be gone
    try {
      Napi::HandleScope scope(env);
      if (*message == Message::settled) job->settle(env);
      else job->report(env);
    } catch (const Napi::Error&) {
      // The loader's callbacks catch what a receiver throws.
    }
  }
  using Queue = Napi::TypedThreadSafeFunction<PolicyRunJob, Message, receive>;

  void send(Message message) {
    auto data = std::make_unique<Message>(message);
    if (queue_.NonBlockingCall(data.get()) == napi_ok) data.release();
  }

  void report(Napi::Env env) {
    RunProgress latest;
    {
      std::lock_guard lock(mutex_);
      latest = latest_;
      waiting_ = false;
    }
    progress_.Call({to_js(env, latest)});
  }

  void settle(Napi::Env env) {
    if (result_->ok()) settled_.Call({env.Null(), to_js(env, result_->value())});
    else settled_.Call({js_error(env, result_->error()).Value(), env.Null()});
  }

  void work() {
    result_.emplace(run_policy(plan_, *cancellation_, [this](const RunProgress& progress) {
      {
        std::lock_guard lock(mutex_);
        latest_ = progress;
        if (std::exchange(waiting_, true)) return;
      }
      send(Message::progress);
    }));
    send(Message::settled);
    queue_.Release();
  }

  const PolicyRunPlan plan_;
  const std::shared_ptr<Cancellation> cancellation_;
  Napi::FunctionReference progress_, settled_;
  Queue queue_;
  std::mutex mutex_;
  bool waiting_ = false;
  RunProgress latest_;
  std::optional<Result<PolicyRunResult>> result_;
  std::thread thread_;
};

}  // namespace

Napi::Value start_policy_run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  PolicyRunPlan plan = read_policy_run_plan(info[0]);
  if (!info[1].IsFunction() || !info[2].IsFunction()) raise(env, "E_PLAN_INVALID", "a policy run needs two callbacks: progress, settled");
  if (const Status status = validate(plan); !status) throw js_error(env, status.error());
  auto cancellation = std::make_shared<Cancellation>();
  new PolicyRunJob(info, std::move(plan), cancellation);  // deletes itself when its queue closes
  return Napi::Function::New(env, [cancellation](const Napi::CallbackInfo&) { cancellation->request(); }, "cancel");
}

}  // namespace attnscope::node
