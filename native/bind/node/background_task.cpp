#include "bind/node/background_task.h"

#include <atomic>
#include <optional>
#include <thread>

#include "bind/node/js_error.h"

namespace attnscope::node {
namespace {

class BackgroundTask {
 public:
  BackgroundTask(Napi::Env env, const char* name, Napi::Value progress, Work work, std::function<void()> ended)
      : deferred_(env), work_(std::move(work)), ended_(std::move(ended)) {
    if (progress.IsFunction()) progress_ = Napi::Persistent(progress.As<Napi::Function>());
    queue_ = Queue::New(env, name, 0, 1, this, [](Napi::Env, void*, BackgroundTask* task) { delete task; });
    thread_ = std::thread([this] { run(); });
  }

  /// On the JavaScript thread, once the queue is closed: after the work, or when Node shuts down in its midst.
  ~BackgroundTask() {
    cancellation_.request();
    thread_.join();
  }

  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  enum class Message { progress, settled };

  static void receive(Napi::Env env, Napi::Function, BackgroundTask* task, Message* data) {
    const std::unique_ptr<Message> message(data);
    if (env == nullptr) return;  // Node is shutting down; the task may be gone
    Napi::HandleScope scope(env);
    if (*message == Message::progress) task->deliver_progress(env);
    else task->settle(env);
  }
  using Queue = Napi::TypedThreadSafeFunction<BackgroundTask, Message, receive>;

  void run() {
    result_.emplace(work_(cancellation_, [this](double done) { report(done); }));
    send(Message::settled);
    queue_.Release();
  }

  void send(Message message) {
    auto data = std::make_unique<Message>(message);
    if (queue_.NonBlockingCall(data.get()) == napi_ok) data.release();
  }

  void report(double done) {
    if (latest_.exchange(done) == done || waiting_.exchange(true)) return;
    send(Message::progress);
  }

  void deliver_progress(Napi::Env env) {
    waiting_ = false;
    if (progress_.IsEmpty()) return;
    try {
      progress_.Call({Napi::Number::New(env, latest_)});
    } catch (const Napi::Error& error) {
      // Whoever reports progress and throws ends the work with that error.
      if (thrown_.IsEmpty()) thrown_ = Napi::Persistent(error.Value());
      cancellation_.request();
    }
  }

  void settle(Napi::Env env) {
    ended_();
    try {
      if (!thrown_.IsEmpty()) deferred_.Reject(thrown_.Value());
      else if (!result_->ok()) deferred_.Reject(js_error(env, result_->error()).Value());
      else deferred_.Resolve(result_->value()(env));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    }
  }

  Napi::Promise::Deferred deferred_;
  Napi::FunctionReference progress_;
  Napi::ObjectReference thrown_;
  const Work work_;
  const std::function<void()> ended_;
  Cancellation cancellation_;
  Queue queue_;
  std::atomic<double> latest_{-1};
  std::atomic<bool> waiting_{false};
  std::optional<Result<MakeValue>> result_;
  std::thread thread_;
};

}  // namespace

Napi::Promise run_in_background(Napi::Env env, const char* name, Napi::Value progress, Work work, std::function<void()> ended) {
  return (new BackgroundTask(env, name, progress, std::move(work), std::move(ended)))->promise();  // deletes itself when its queue closes
}

}  // namespace attnscope::node
