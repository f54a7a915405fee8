#include "bind/node/capture_job.h"

#include <condition_variable>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "bind/node/device_use.h"
#include "bind/node/js_error.h"
#include "bind/node/plan_reader.h"
#include "host/capture.h"

namespace attnscope::node {
namespace {

template <class Array, class T>
Napi::Value typed_array(Napi::Env env, const std::vector<T>& values) {
  Array array = Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(T));
  return array;
}

Napi::Value to_js(Napi::Env env, const ColumnValues& values) {
  struct {
    Napi::Env env;
    Napi::Value operator()(const std::vector<float>& v) const { return typed_array<Napi::Float32Array>(env, v); }
    Napi::Value operator()(const std::vector<std::uint32_t>& v) const { return typed_array<Napi::Uint32Array>(env, v); }
    Napi::Value operator()(const std::vector<std::uint16_t>& v) const { return typed_array<Napi::Uint16Array>(env, v); }
    Napi::Value operator()(const std::vector<std::int32_t>& v) const { return typed_array<Napi::Int32Array>(env, v); }
  } convert{env};
  return std::visit(convert, values);
}

Napi::Object to_js(Napi::Env env, const Batch& batch) {
  Napi::Array columns = Napi::Array::New(env, batch.columns.size());
  for (std::uint32_t i = 0; i < batch.columns.size(); ++i) {
    Napi::Object column = Napi::Object::New(env);
    column.Set("name", batch.columns[i].name);
    column.Set("width", batch.columns[i].width);
    column.Set("data", to_js(env, batch.columns[i].values));
    columns.Set(i, column);
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("table", batch.table);
  object.Set("segment", name_of(batch.segment));
  object.Set("layer", batch.layer);
  object.Set("rows", batch.rows);
  object.Set("columns", columns);
  return object;
}

Napi::Object to_js(Napi::Env env, const CaptureSummary& summary) {
  Napi::Object seconds = Napi::Object::New(env);
  for (const auto& [phase, value] : summary.seconds) seconds.Set(phase, value);
  Napi::Object object = Napi::Object::New(env);
  object.Set("outcome", summary.cancelled ? "cancelled" : "complete");
  object.Set("prefillTokens", summary.prefill_tokens);
  object.Set("decodeSteps", summary.decode_steps);
  object.Set("inverseFrequencies", typed_array<Napi::Float32Array>(env, summary.inverse_frequencies));
  object.Set("seconds", seconds);
  object.Set("peakResidentBytes", static_cast<double>(summary.peak_resident_bytes));
  if (!summary.device.empty()) object.Set("device", to_js(env, DeviceUse{summary.device, summary.driver, summary.products, summary.compute, summary.streamed_weights,
                                                                               summary.peak_device_bytes, summary.peak_pinned_bytes, summary.device_bytes_at_peak}));
  return object;
}

/// Something for the JavaScript thread to do; whoever sent it may be waiting for it.
struct Message {
  std::function<bool(Napi::Env)> run;
  bool done = false, accepted = false;
};

class CaptureJob final : public CaptureSink {
 public:
  CaptureJob(const Napi::CallbackInfo& info, Plan plan, std::shared_ptr<Cancellation> cancellation)
      : plan_(std::move(plan)), cancellation_(std::move(cancellation)) {
    for (std::size_t i = 0; i < 4; ++i) callbacks_[i] = Napi::Persistent(info[i + 1].As<Napi::Function>());
    queue_ = Queue::New(info.Env(), "attnscope capture", 0, 1, this, [](Napi::Env, void*, CaptureJob* job) { delete job; });
    thread_ = std::thread([this] { work(); });
  }

  /// Runs on the JavaScript thread once the queue is closed: after the run, or when Node shuts down in its midst.
  ~CaptureJob() override {
    cancellation_->request();
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    answered_.notify_all();
    thread_.join();
  }

  Status batch(Batch&& batch) override {
    return deliver([this, batch = std::make_shared<Batch>(std::move(batch))](Napi::Env env) {
      return callbacks_[kBatch].Call({to_js(env, *batch)}).ToBoolean().Value();
    });
  }

  Status layer_done(Segment segment, std::uint32_t layer) override {
    return deliver([=, this](Napi::Env env) {
      return callbacks_[kLayerDone].Call({Napi::String::New(env, name_of(segment)), Napi::Number::New(env, layer)}).ToBoolean().Value();
    });
  }

  void progress(const RunProgress& progress) override {
    {
      std::lock_guard lock(mutex_);
      latest_ = progress;
      if (std::exchange(progress_waiting_, true)) return;
    }
    send(std::make_shared<Message>(Message{[this](Napi::Env env) {
      RunProgress latest;
      {
        std::lock_guard lock(mutex_);
        latest = latest_;
        progress_waiting_ = false;
      }
      Napi::Object object = Napi::Object::New(env);
      object.Set("phase", name_of(latest.phase));
      object.Set("done", latest.done);
      object.Set("total", latest.total);
      object.Set("fraction", latest.fraction);
      callbacks_[kProgress].Call({object});
      return true;
    }}));
  }

 private:
  enum { kBatch, kLayerDone, kProgress, kSettled };

  static void receive(Napi::Env env, Napi::Function, CaptureJob* job, std::shared_ptr<Message>* data) {
    const std::unique_ptr<std::shared_ptr<Message>> message(data);
    if (env == nullptr) return;  // Node is shutting down; the job may be gone
    bool accepted = false;
    try {
      Napi::HandleScope scope(env);
      accepted = (*message)->run(env);
    } catch (const Napi::Error&) {
      // The loader's callbacks catch what a sink throws; what still comes here is treated as a refusal.
    }
    {
      std::lock_guard lock(job->mutex_);
      (*message)->done = true;
      (*message)->accepted = accepted;
    }
    job->answered_.notify_all();
  }
  using Queue = Napi::TypedThreadSafeFunction<CaptureJob, std::shared_ptr<Message>, receive>;

  bool send(std::shared_ptr<Message> message) {
    auto data = std::make_unique<std::shared_ptr<Message>>(std::move(message));
    if (queue_.NonBlockingCall(data.get()) != napi_ok) return false;
    data.release();
    return true;
  }

  /// Sends and waits for the answer.
  Status deliver(std::function<bool(Napi::Env)> run) {
    auto message = std::make_shared<Message>(Message{std::move(run)});
    if (!send(message)) return cancelled();
    std::unique_lock lock(mutex_);
    answered_.wait(lock, [&] { return message->done || closed_; });
    if (!message->done) return cancelled();
    return message->accepted ? success() : Status(Error{"E_SINK_STOPPED", "the receiver of the capture stopped the run"});
  }

  void work() {
    auto result = std::make_shared<Result<CaptureSummary>>(run_capture(plan_, *this, *cancellation_));
    send(std::make_shared<Message>(Message{[this, result](Napi::Env env) {
      if (result->ok()) callbacks_[kSettled].Call({env.Null(), to_js(env, result->value())});
      else callbacks_[kSettled].Call({js_error(env, result->error()).Value(), env.Null()});
      return true;
    }}));
    queue_.Release();
  }

  const Plan plan_;
  const std::shared_ptr<Cancellation> cancellation_;
  Napi::FunctionReference callbacks_[4];
  Queue queue_;
  std::mutex mutex_;
  std::condition_variable answered_;
  bool closed_ = false, progress_waiting_ = false;
  RunProgress latest_;
  std::thread thread_;
};

}  // namespace

Napi::Value start_capture(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Plan plan = read_plan(info[0]);
  for (std::size_t i = 1; i <= 4; ++i)
    if (!info[i].IsFunction()) raise(env, "E_PLAN_INVALID", "capture needs four callbacks: batch, layerDone, progress, settled");
  if (const Status status = validate(plan); !status) throw js_error(env, status.error());
  auto cancellation = std::make_shared<Cancellation>();
  new CaptureJob(info, std::move(plan), cancellation);  // deletes itself when its queue closes
  return Napi::Function::New(env, [cancellation](const Napi::CallbackInfo&) { cancellation->request(); }, "cancel");
}

}  // namespace attnscope::node
