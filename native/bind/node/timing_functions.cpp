#include "bind/node/timing_functions.h"

#include "bind/node/arrays.h"
#include "bind/node/js_error.h"
#include "bind/timing_numbers.h"

namespace attnscope::node {
namespace {

std::span<const double> doubles_of(const Napi::CallbackInfo& info, std::size_t i, std::size_t multiple, const char* code, const char* wanted) {
  if (info[i].IsTypedArray() && info[i].As<Napi::TypedArray>().TypedArrayType() == napi_float64_array) {
    const auto array = info[i].As<Napi::Float64Array>();
    if (array.ElementLength() % multiple == 0) return {array.Data(), array.ElementLength()};
  }
  raise(info.Env(), code, std::string(wanted) + " is no Float64Array of whole columns; pass what the loader packs");
}

double number(const Napi::CallbackInfo& info, std::size_t i) { return info[i].ToNumber().DoubleValue(); }

TimingPoints points_of(const Napi::CallbackInfo& info) {
  return timing_numbers::points(doubles_of(info, 0, timing_numbers::point_columns, "E_TIMING_POINTS", "a curve"));
}

/// timingCurve(points)
Napi::Value curve(const Napi::CallbackInfo& info) {
  const auto curve = timing_curve(points_of(info));
  if (!curve) throw js_error(info.Env(), curve.error());
  return doubles(info.Env(), timing_numbers::of(curve.value()));
}

/// timingPredict(points, work, columnWork)
Napi::Value predict(const Napi::CallbackInfo& info) {
  const auto prediction = timing_predict(points_of(info), number(info, 1), number(info, 2));
  if (!prediction) throw js_error(info.Env(), prediction.error());
  return doubles(info.Env(), timing_numbers::of(prediction.value()));
}

/// timingAtLength(points, lengths, tokens)
Napi::Value at_length(const Napi::CallbackInfo& info) {
  const auto prediction = timing_at_length(points_of(info), doubles_of(info, 1, 1, "E_TIMING_POINTS", "a list of lengths"), number(info, 2));
  if (!prediction) throw js_error(info.Env(), prediction.error());
  return doubles(info.Env(), timing_numbers::of(prediction.value()));
}

/// kernelCounts(policy, op, tokens)
Napi::Value counts(const Napi::CallbackInfo& info) {
  const std::string policy = info[0].ToString(), op = info[1].ToString();
  const auto choice = parse_policy(policy);
  if (!choice) throw js_error(info.Env(), choice.error());
  return doubles(info.Env(), timing_numbers::of(kernel_counts(choice.value(), op, info[2].ToNumber().Uint32Value())));
}

/// kernelWork(op, phase, shape)
Napi::Value work(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string op = info[0].ToString(), phase = info[1].ToString();
  const auto numbers = doubles_of(info, 2, timing_numbers::shape_numbers, "E_TIMING_KERNEL", "a shape");
  if (numbers.empty()) raise(env, "E_TIMING_KERNEL", "a shape without numbers says nothing; pass what the loader packs");
  const auto work = kernel_work(timing_numbers::shape(op, phase, numbers));
  if (!work) throw js_error(env, work.error());
  Napi::Object object = Napi::Object::New(env);
  object.Set("numbers", doubles(env, timing_numbers::of(work.value())));
  object.Set("unit", work.value().unit);
  return object;
}

/// roofline(flops, bytes, peakFlops, bytesPerSecond)
Napi::Value roofline(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), roofline_us(number(info, 0), number(info, 1), number(info, 2), number(info, 3)));
}

/// workRatio(knownFlops, knownBytes, wantedFlops, wantedBytes)
Napi::Value ratio(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), work_ratio(number(info, 0), number(info, 1), number(info, 2), number(info, 3)));
}

/// compiledDim(headDim)
Napi::Value dim(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), compiled_dim(number(info, 0))); }

}  // namespace

void export_timing_functions(Napi::Env env, Napi::Object exports) {
  exports.Set("timingCurve", Napi::Function::New<curve>(env));
  exports.Set("timingPredict", Napi::Function::New<predict>(env));
  exports.Set("timingAtLength", Napi::Function::New<at_length>(env));
  exports.Set("kernelCounts", Napi::Function::New<counts>(env));
  exports.Set("workRatio", Napi::Function::New<ratio>(env));
  exports.Set("compiledDim", Napi::Function::New<dim>(env));
  exports.Set("kernelWork", Napi::Function::New<work>(env));
  exports.Set("roofline", Napi::Function::New<roofline>(env));
}

}  // namespace attnscope::node
