#include "bind/node/head_replay.h"

#include <memory>

#include "bind/node/arrays.h"
#include "bind/node/background_task.h"
#include "bind/node/object_reader.h"
#include "core/policy/plan_indices.h"
#include "core/replay/session_shape.h"
#include "host/sweep.h"

namespace attnscope::node {
namespace {

/// Rows of the strip between two looks at whether to go on.
constexpr std::size_t kStripStep = 16;

std::uint32_t whole_number(const Napi::CallbackInfo& info, std::size_t i, const char* name) {
  const double value = info[i].IsNumber() ? info[i].As<Napi::Number>().DoubleValue() : -1;
  if (!(value >= 0 && value <= 4294967295.0) || value != std::floor(value))
    raise(info.Env(), "E_REPLAY_DATA", std::string(name) + " is no whole number of at least 0");
  return static_cast<std::uint32_t>(value);
}

SessionShape read_shape(Napi::Value value) {
  const ObjectReader from(value, "shape", "E_REPLAY_SHAPE");
  const SessionShape shape{from.u32("layer"), from.u32("layers"), from.u32("heads"), from.u32("kvHeads"), from.u32("headDim"), from.u32("head"),
                           from.u32("tokens"), from.u32("promptTokens"), static_cast<float>(from.number("scale")), from.u32("window"),
                           from.u32("sinkTokens"), from.number("bytesPerElement")};
  if (const Status status = check_shape(shape); !status) throw js_error(value.Env(), status.error());
  return shape;
}

Schedule read_schedule(const ObjectReader& from) {
  const ObjectReader schedule = from.object("schedule");
  return {schedule.u32("context"), schedule.u32("chunk"), schedule.u32("firstChunk")};
}

MetricParts read_parts(const ObjectReader& parts) { return {parts.boolean("recall"), parts.boolean("error"), parts.boolean("detail")}; }

RunOptions read_options(Napi::Value value) {
  const ObjectReader from(value, "options", "E_REPLAY_DATA");
  return {read_schedule(from), read_parts(from.object("parts"))};
}

/// The text of a policy, parsed.
PolicyChoice read_policy(Napi::Value value) {
  if (!value.IsString()) raise(value.Env(), "E_POLICY_UNKNOWN", "policy is no text; pass one such as \"dense\"");
  auto choice = parse_policy(value.As<Napi::String>().Utf8Value());
  if (!choice) throw js_error(value.Env(), choice.error());
  return choice.take();
}

/// Stored vectors of `dtype`, any number of them.
struct Vectors {
  DType dtype;
  const void* data;
  std::size_t elements;
};
Vectors read_vectors(Napi::Value value, DType dtype, const std::string& name) {
  if (dtype == DType::f32) {
    const auto array = elements<float>(value, name);
    return {dtype, array.data(), array.size()};
  }
  const auto array = elements<std::uint16_t>(value, name);
  return {dtype, array.data(), array.size()};
}

/// What a background task keeps alive when the JavaScript object is freed in its midst.
struct Session {
  explicit Session(const SessionShape& shape) : replay(shape) {}
  HeadSession replay;
  const HeadSession::Outcome* last = nullptr;  // null before the first run, and once data or rows changed
  std::string policy;                          // of the last outcome, as text
  bool busy = false;                           // a background task is at work; only the JavaScript thread reads and writes it
};

class HeadReplay : public Napi::ObjectWrap<HeadReplay> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "HeadReplay", {
        InstanceMethod<&HeadReplay::keys>("keys"), InstanceMethod<&HeadReplay::values>("values"), InstanceMethod<&HeadReplay::queries>("queries"),
        InstanceMethod<&HeadReplay::pooled_queries>("pooledQueries"), InstanceMethod<&HeadReplay::classes>("classes"),
        InstanceMethod<&HeadReplay::needles>("needles"), InstanceMethod<&HeadReplay::rows>("rows"), InstanceMethod<&HeadReplay::strip>("strip"),
        InstanceMethod<&HeadReplay::run>("run"), InstanceMethod<&HeadReplay::complete>("complete"), InstanceMethod<&HeadReplay::mask>("mask"),
        InstanceMethod<&HeadReplay::key_fate>("keyFate"), InstanceMethod<&HeadReplay::row_fate>("rowFate"), InstanceMethod<&HeadReplay::row_spans>("rowSpans"),
        InstanceMethod<&HeadReplay::cosines>("cosines"), InstanceMethod<&HeadReplay::plan_indices>("planIndices"),
        InstanceMethod<&HeadReplay::run_indices>("runIndices"), InstanceMethod<&HeadReplay::bytes>("bytes"), InstanceMethod<&HeadReplay::free>("free"),
        InstanceMethod<&HeadReplay::strip_all>("stripAll"), InstanceMethod<&HeadReplay::sweep_all>("sweep")});
  }

  /// new HeadReplay(shape)
  explicit HeadReplay(const Napi::CallbackInfo& info) : ObjectWrap(info), session_(std::make_shared<Session>(read_shape(info[0]))) {}

 private:
  // ---- data ----

  void keys(const Napi::CallbackInfo& info) { block(info, "keys", &HeadSession::set_keys); }
  void values(const Napi::CallbackInfo& info) { block(info, "values", &HeadSession::set_values); }

  void block(const Napi::CallbackInfo& info, const char* name, Status (HeadSession::*set)(DType, const void*, std::uint32_t, std::uint32_t)) {
    Session& session = changed(info.Env());
    const ObjectReader from(info[0], name, "E_REPLAY_DATA");
    const std::uint32_t first = from.u32("first"), count = from.u32("count"), dim = from.u32("dim");
    const Vectors vectors = read_vectors(info[0].As<Napi::Object>().Get("data"), from.dtype("dtype"), std::string(name) + ".data");
    if (dim != session.replay.shape().head_dim) from.refuse("dim", "the head's " + std::to_string(session.replay.shape().head_dim));
    if (vectors.elements != std::size_t(dim) * count) from.refuse("data", "count x dim values long");
    check(info.Env(), (session.replay.*set)(vectors.dtype, vectors.data, first, count));
  }

  /// queries(dtype, data, positions, lse)
  void queries(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Session& session = changed(env);
    DType dtype;
    if (!info[0].IsString() || !parse_dtype(info[0].As<Napi::String>(), dtype)) raise(env, "E_REPLAY_DATA", "dtype is not f32, f16 or bf16");
    const Vectors vectors = read_vectors(info[1], dtype, "queries");
    const auto positions = elements<std::uint32_t>(info[2], "positions");
    const auto lse = elements<float>(info[3], "lse");
    if (vectors.elements != positions.size() * session.replay.shape().head_dim || lse.size() != positions.size())
      raise(env, "E_REPLAY_DATA", "queries came as " + std::to_string(vectors.elements) + " values and " + std::to_string(lse.size()) + " LSE for " +
                                      std::to_string(positions.size()) + " positions; pass one vector and one LSE a position");
    check(env, session.replay.set_queries(dtype, vectors.data, positions, lse));
  }

  void pooled_queries(const Napi::CallbackInfo& info) {
    check(info.Env(), changed(info.Env()).replay.set_pooled_queries(elements<float>(info[0], "pooled queries")));
  }
  void classes(const Napi::CallbackInfo& info) { open(info.Env()).replay.set_classes(elements<std::uint8_t>(info[0], "classes")); }
  void needles(const Napi::CallbackInfo& info) {
    const auto pairs = elements<std::uint32_t>(info[0], "needles");
    std::vector<KeySpan> spans(pairs.size() / 2);
    for (std::size_t i = 0; i < spans.size(); ++i) spans[i] = {pairs[2 * i], pairs[2 * i + 1]};
    open(info.Env()).replay.set_needles(spans);
  }
  void rows(const Napi::CallbackInfo& info) {
    check(info.Env(), changed(info.Env()).replay.set_rows(elements<std::uint32_t>(info[0], "rows")));
  }
  Napi::Value strip(const Napi::CallbackInfo& info) {
    const auto left = open(info.Env()).replay.strip(whole_number(info, 0, "count"));
    check(info.Env(), left);
    return Napi::Number::New(info.Env(), static_cast<double>(left.value()));
  }

  // ---- replay ----

  /// run(policy, options)
  Napi::Value run(const Napi::CallbackInfo& info) {
    Session& session = open(info.Env());
    const PolicyChoice policy = read_policy(info[0]);
    return outcome(info.Env(), session, session.replay.run(policy, read_options(info[1])), write_policy(policy));
  }

  /// runIndices(policy, indices, options)
  Napi::Value run_indices(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Session& session = open(env);
    if (!info[0].IsString()) raise(env, "E_POLICY_UNKNOWN", "policy is no text; pass one such as \"vertical-slash\"");
    const auto policy = prefill_policy(info[0].As<Napi::String>().Utf8Value());
    check(env, policy);
    const ObjectReader from(info[1], "indices", "E_REPLAY_INDICES");
    const PlanIndices indices{from.u32_array("columns"), from.u32_array("distances"), from.u32_array("blocks"), from.u32_array("blockOffset")};
    const SessionShape& shape = session.replay.shape();
    const auto plan = plan_from_indices(indices, shape.prompt_tokens, {shape.window});
    check(env, plan);
    return outcome(env, session, session.replay.run_plan(plan.value(), read_options(info[2])), write_policy(policy.value()));
  }

  Napi::Value complete(const Napi::CallbackInfo& info) {
    Session& session = with_outcome(info.Env());
    return outcome(info.Env(), session, session.replay.complete(read_parts(ObjectReader(info[0], "parts", "E_REPLAY_DATA"))), session.policy);
  }

  // ---- the last outcome ----

  Napi::Value mask(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const ObjectReader from(info[0], "grid", "E_REPLAY_DATA");
    const TileGrid grid{from.u32("edge"), from.u32("cell"), from.u32("row0"), from.u32("column0")};
    if (grid.edge == 0 || grid.edge > 4096) from.refuse("edge", "a whole number from 1 to 4096");
    if (grid.cell == 0) from.refuse("cell", "at least 1");
    const auto tile = open(env).replay.mask(grid);
    check(env, tile);
    Napi::Object object = Napi::Object::New(env);
    object.Set("kept", floats(env, tile.value().kept));
    object.Set("forced", floats(env, tile.value().forced));
    object.Set("complete", node::bytes(env, tile.value().complete));
    return object;
  }

  Napi::Value key_fate(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const auto fate = open(env).replay.fate();
    check(env, fate);
    Napi::Object object = Napi::Object::New(env);
    object.Set("kept", floats(env, fate.value().kept));
    object.Set("forced", floats(env, fate.value().forced));
    object.Set("missed", floats(env, fate.value().missed));
    return object;
  }

  Napi::Value row_fate(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Session& session = with_outcome(env);
    const auto fate = session.replay.by_row();
    check(env, fate);
    Napi::Object object = Napi::Object::New(env);
    object.Set("rows", numbers(env, session.last->trace.rows));
    object.Set("recall", floats(env, fate.value().recall));
    object.Set("recallNoSinks", floats(env, fate.value().recall_no_sinks));
    object.Set("error", floats(env, fate.value().error));
    object.Set("keptKeys", floats(env, fate.value().kept_keys));
    return object;
  }

  Napi::Value row_spans(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const HeadTrace& trace = with_outcome(env).last->trace;
    const std::uint32_t row = whole_number(info, 0, "row");
    if (row >= trace.rows.size()) raise(env, "E_REPLAY_ROW", "that row was not evaluated; count rows from 0 in the order of rows()");
    Napi::Object object = Napi::Object::New(env);
    object.Set("kept", pairs(env, trace.kept(row)));
    object.Set("forced", pairs(env, trace.forced_of(row)));
    object.Set("weights", floats(env, trace.weights(row)));
    object.Set("dense", trace.dense[row] != 0);
    return object;
  }

  /// cosines(bins, K, L, sink, local, context)
  Napi::Value cosines(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const auto histogram = open(env).replay.cosines(whole_number(info, 0, "bins"), whole_number(info, 1, "K"), whole_number(info, 2, "L"),
                                                    whole_number(info, 3, "sink"), whole_number(info, 4, "local"), whole_number(info, 5, "context"));
    check(env, histogram);
    Napi::Object object = Napi::Object::New(env);
    object.Set("counts", doubles(env, histogram.value().counts));
    object.Set("mean", histogram.value().mean);
    object.Set("deviation", histogram.value().deviation);
    object.Set("expectedShare", histogram.value().expected_share);
    return object;
  }

  Napi::Value plan_indices(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const HeadSession::Outcome& last = *with_outcome(env).last;
    if (!last.has_plan) raise(env, "E_REPLAY_INDICES", "the last run was of no prefill policy; only their plans have indices");
    const PlanIndices& indices = last.plan.indices;
    Napi::Object object = Napi::Object::New(env);
    object.Set("tokens", last.plan.tokens);
    object.Set("columns", numbers(env, indices.columns));
    object.Set("distances", numbers(env, indices.distances));
    object.Set("blocks", numbers(env, indices.blocks));
    object.Set("blockOffset", numbers(env, indices.block_offset));
    return object;
  }

  Napi::Value bytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), session_ ? static_cast<double>(session_->replay.bytes()) : 0.0);
  }
  void free(const Napi::CallbackInfo&) { session_.reset(); }

  // ---- off the JavaScript thread ----

  Napi::Value strip_all(const Napi::CallbackInfo& info) {
    return in_background(info.Env(), "attnscope strip", info.Env().Undefined(), [](Session& session, const Cancellation& cancellation, const Report&) -> Result<MakeValue> {
      for (std::size_t left = 1; left != 0;) {
        if (cancellation.requested()) return cancelled();
        const auto rest = session.replay.strip(kStripStep);
        if (!rest) return rest.error();
        left = rest.value();
      }
      return MakeValue([](Napi::Env env) -> Napi::Value { return env.Undefined(); });
    });
  }

  /// sweep(points, threads, progress)
  Napi::Value sweep_all(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!info[0].IsArray()) raise(env, "E_SWEEP_POINT", "points is no array");
    const Napi::Array list = info[0].As<Napi::Array>();
    std::vector<SweepPoint> points;
    for (std::uint32_t i = 0; i < list.Length(); ++i) {
      const ObjectReader from(list.Get(i), "points[" + std::to_string(i) + "]", "E_SWEEP_POINT");
      points.push_back({read_policy(list.Get(i).As<Napi::Object>().Get("policy")), read_schedule(from), from.u32("seeds")});
    }
    const std::uint32_t threads = whole_number(info, 1, "threads");
    return in_background(env, "attnscope sweep", info[2], [points = std::move(points), threads](Session& session, const Cancellation& cancellation, const Report& report) -> Result<MakeValue> {
      auto result = sweep(session.replay, points, threads, cancellation, [&](std::size_t done) { report(static_cast<double>(done)); });
      if (!result) return result.error();
      return MakeValue([result = std::make_shared<SweepResult>(result.take())](Napi::Env env) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("mean", doubles(env, result->mean));
        object.Set("deviation", doubles(env, result->deviation));
        object.Set("seconds", result->seconds);
        return object;
      });
    });
  }

  // ---- the session ----

  using SessionWork = std::function<Result<MakeValue>(Session&, const Cancellation&, const Report&)>;
  Napi::Value in_background(Napi::Env env, const char* name, Napi::Value progress, SessionWork work) {
    open(env).busy = true;
    return run_in_background(env, name, progress,
                             [session = session_, work = std::move(work)](const Cancellation& cancellation, const Report& report) { return work(*session, cancellation, report); },
                             [session = session_] { session->busy = false; });
  }

  Session& open(Napi::Env env) {
    if (!session_) raise(env, "E_REPLAY_FREED", "this head was freed; load it again");
    if (session_->busy) raise(env, "E_REPLAY_BUSY", "this head is at work in the background; wait for stripAll or sweep to settle");
    return *session_;
  }
  /// Data or rows are about to change.
  Session& changed(Napi::Env env) {
    open(env).last = nullptr;
    return *session_;
  }
  Session& with_outcome(Napi::Env env) {
    if (open(env).last == nullptr) raise(env, "E_REPLAY_ORDER", "nothing was run on this head yet; call run first");
    return *session_;
  }

  template <class T>
  static void check(Napi::Env env, const Result<T>& result) {
    if (!result) throw js_error(env, result.error());
  }

  /// Where the run failed, the last outcome stays as it was.
  static Napi::Value outcome(Napi::Env env, Session& session, const Result<const HeadSession::Outcome*>& result, std::string policy) {
    check(env, result);
    session.last = result.value();
    session.policy = std::move(policy);
    Napi::Object object = Napi::Object::New(env);
    object.Set("policy", session.policy);
    object.Set("metrics", doubles(env, session.last->metrics.values));
    return object;
  }

  /// KeySpan is a pair of numbers.
  static Napi::Uint32Array pairs(Napi::Env env, std::span<const KeySpan> spans) {
    return numbers(env, {reinterpret_cast<const std::uint32_t*>(spans.data()), 2 * spans.size()});
  }

  std::shared_ptr<Session> session_;  // null once freed
};

}  // namespace

void export_head_replay(Napi::Env env, Napi::Object exports) { exports.Set("HeadReplay", HeadReplay::define(env)); }

}  // namespace attnscope::node
