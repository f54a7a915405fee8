#include "bind/node/timing_job.h"

#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "bind/node/arrays.h"
#include "bind/node/object_reader.h"
#include "host/device/open_device.h"
#include "host/timing/run_timings.h"
#include "host/timing/timing_options.h"

namespace attnscope::node {
namespace {

constexpr const char* kCode = "E_PLAN_INVALID";

/// What was measured since the last delivery.
struct Delivery {
  std::vector<TimingRow> rows;
  std::vector<TimingSkip> skips;
};

struct Progress {
  std::uint32_t done = 0, total = 0;
  std::string what;
};

std::vector<float> vectors(const ObjectReader& from, const Napi::Object& object, const char* field) {
  const Napi::Value value = object.Get(field);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) from.refuse(field, "a Float32Array");
  const auto array = value.As<Napi::Float32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

CapturedLayer read_layer(Napi::Value value, std::uint32_t index) {
  const ObjectReader from(value, "captured[" + std::to_string(index) + "]", kCode);
  const Napi::Object object = value.As<Napi::Object>();
  CapturedLayer layer;
  layer.name = from.string("name");
  layer.shape = {from.u32("heads"), from.u32("kvHeads"), from.u32("headDim")};
  layer.tokens = from.u32("tokens");
  layer.q = vectors(from, object, "q"), layer.k = vectors(from, object, "k"), layer.v = vectors(from, object, "v");
  return layer;
}

TimingPlan read_timing_job(Napi::Value value) {
  const ObjectReader from(value, "", kCode);
  const Napi::Array texts = from.array("options");
  std::vector<std::pair<std::string, std::string>> options;
  for (std::uint32_t i = 0; i < texts.Length(); ++i) {
    const ObjectReader option(texts.Get(i), "options[" + std::to_string(i) + "]", kCode);
    options.emplace_back(option.string("name"), option.string("value"));
  }
  auto plan = read_timing_plan(options);
  if (!plan) throw js_error(value.Env(), plan.error());
  plan.value().synthetic = from.boolean("synthetic");
  const Napi::Array captured = from.array("captured");
  for (std::uint32_t i = 0; i < captured.Length(); ++i) plan.value().captured.push_back(read_layer(captured.Get(i), i));
  if (const Status status = validate(plan.value()); !status) throw js_error(value.Env(), status.error());
  return plan.take();
}

Napi::Value column(Napi::Env env, const std::vector<TimingRow>& rows, const TimingColumn& column) {
  return std::visit([&](auto member) -> Napi::Value {
    using Value = std::remove_cvref_t<decltype(TimingRow{}.*member)>;
    if constexpr (std::is_same_v<Value, std::string>) {
      Napi::Array texts = Napi::Array::New(env, rows.size());
      for (std::uint32_t i = 0; i < rows.size(); ++i) texts.Set(i, rows[i].*member);
      return texts;
    } else {
      std::vector<Value> values;
      for (const TimingRow& row : rows) values.push_back(row.*member);
      return typed_array<Napi::TypedArrayOf<Value>, Value>(env, values);
    }
  }, column.member);
}

Napi::Array to_js(Napi::Env env, const std::vector<TimingRow>& rows) {
  Napi::Array columns = Napi::Array::New(env);
  for (const TimingColumn& each : timing_columns()) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", each.name);
    object.Set("type", type_name(each));
    object.Set("data", column(env, rows, each));
    columns.Set(columns.Length(), object);
  }
  return columns;
}

Napi::Array to_js(Napi::Env env, const std::vector<TimingSkip>& skips) {
  Napi::Array array = Napi::Array::New(env);
  for (const TimingSkip& skip : skips) {
    Napi::Object object = Napi::Object::New(env);
    const std::pair<const char*, const std::string*> texts[] = {{"op", &skip.op}, {"phase", &skip.phase}, {"policy", &skip.policy}, {"indices", &skip.indices},
                                                                {"batching", &skip.batching}, {"reason", &skip.reason}};
    for (const auto& [name, text] : texts) object.Set(name, *text);
    object.Set("tokens", skip.tokens);
    object.Set("heads", skip.heads);
    object.Set("kvHeads", skip.kv_heads);
    object.Set("headDim", skip.head_dim);
    array.Set(array.Length(), object);
  }
  return array;
}

class TimingJob final : public TimingSink {
 public:
  TimingJob(const Napi::CallbackInfo& info, TimingPlan plan, std::shared_ptr<Cancellation> cancellation)
      : plan_(std::move(plan)), cancellation_(std::move(cancellation)), progress_(Napi::Persistent(info[1].As<Napi::Function>())),
        rows_(Napi::Persistent(info[2].As<Napi::Function>())), settled_(Napi::Persistent(info[3].As<Napi::Function>())) {
    queue_ = Queue::New(info.Env(), "attnscope timings", 0, 1, this, [](Napi::Env, void*, TimingJob* job) { delete job; });
    thread_ = std::thread([this] { work(); });
  }

  /// Runs on the JavaScript thread once the queue is closed: after the run, or when Node shuts down in its midst.
  ~TimingJob() override {
    cancellation_->request();
    thread_.join();
  }

  Status row(const TimingRow& row) override { return measured_.rows.push_back(row), success(); }
  void skipped(const TimingSkip& skip) override { measured_.skips.push_back(skip); }
  void progress(std::uint32_t done, std::uint32_t total, const std::string& what) override {
    {
      std::lock_guard lock(mutex_);
      latest_ = {done, total, what};
      if (std::exchange(waiting_, true)) return;
    }
    send(Message::progress);
  }
  Status group_done() override {
    hand_over();
    send(Message::rows);
    return success();
  }

 private:
  enum class Message { progress, rows, settled };

  static void receive(Napi::Env env, Napi::Function, TimingJob* job, Message* data) {
    const std::unique_ptr<Message> message(data);
    if (env == nullptr) return;  // Node is shutting down; the job may be gone
    try {
      Napi::HandleScope scope(env);
      if (*message == Message::progress) job->report(env);
      else job->deliver(env);
      if (*message == Message::settled) job->settle(env);
    } catch (const Napi::Error&) {
      // The loader's callbacks catch what a receiver throws.
    }
  }
  using Queue = Napi::TypedThreadSafeFunction<TimingJob, Message, receive>;

  void hand_over() {
    std::lock_guard lock(mutex_);
    deliveries_.push_back(std::exchange(measured_, {}));
  }

  void send(Message message) {
    auto data = std::make_unique<Message>(message);
    if (queue_.NonBlockingCall(data.get()) == napi_ok) data.release();
  }

  void report(Napi::Env env) {
    Progress latest;
    {
      std::lock_guard lock(mutex_);
      latest = latest_;
      waiting_ = false;
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("done", latest.done);
    object.Set("total", latest.total);
    object.Set("what", latest.what);
    progress_.Call({object});
  }

  void deliver(Napi::Env env) {
    std::vector<Delivery> deliveries;
    {
      std::lock_guard lock(mutex_);
      deliveries.swap(deliveries_);
    }
    for (const Delivery& each : deliveries)
      if (!each.rows.empty() || !each.skips.empty()) rows_.Call({to_js(env, each.rows), to_js(env, each.skips)});
  }

  void settle(Napi::Env env) {
    if (!result_->ok()) return void(settled_.Call({js_error(env, result_->error()).Value(), env.Null()}));
    settled_.Call({env.Null(), Napi::String::New(env, result_->value() == TimingOutcome::complete ? "complete" : "cancelled")});
  }

  void work() {
    auto device = open_device(plan_.device, plan_.threads);
    if (device) result_.emplace(run_timings(*device.value(), plan_, *this, *cancellation_));
    else result_.emplace(device.error());
    // What a failed run had measured is delivered too.
    hand_over();
    send(Message::settled);
    queue_.Release();
  }

  const TimingPlan plan_;
  const std::shared_ptr<Cancellation> cancellation_;
  Napi::FunctionReference progress_, rows_, settled_;
  Queue queue_;
  Delivery measured_;                      // the measuring thread's alone
  std::mutex mutex_;
  bool waiting_ = false;
  Progress latest_;
  std::vector<Delivery> deliveries_;
  std::optional<Result<TimingOutcome>> result_;
  std::thread thread_;
};

}  // namespace

Napi::Value timing_option_list(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  for (const TimingOption& option : timing_options()) {
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("name", option.name);
    object.Set("argument", option.argument);
    object.Set("doc", option.doc);
    list.Set(list.Length(), object);
  }
  return list;
}

Napi::Value start_timings(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  TimingPlan plan = read_timing_job(info[0]);
  for (std::size_t i = 1; i <= 3; ++i)
    if (!info[i].IsFunction()) raise(env, kCode, "timings need three callbacks: progress, rows, settled");
  auto cancellation = std::make_shared<Cancellation>();
  new TimingJob(info, std::move(plan), cancellation);  // deletes itself when its queue closes
  return Napi::Function::New(env, [cancellation](const Napi::CallbackInfo&) { cancellation->request(); }, "cancel");
}

}  // namespace attnscope::node
