#include "bind/node/memory_functions.h"

#include "bind/memory_answers.h"
#include "bind/node/arrays.h"
#include "bind/node/js_error.h"

namespace attnscope::node {
namespace {

template <class Array, class T>
std::span<const T> packed(Napi::Value value, napi_typedarray_type type, const char* what) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) raise(value.Env(), "E_MEMORY_OPTION", std::string(what) + " came as something else; pass what the loader packs");
  const auto array = value.As<Array>();
  return {array.Data(), array.ElementLength()};
}

/// memoryAsk(name, implementation, policy, config, kept, options)
Napi::Value ask(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = info[0].ToString(), implementation = info[1].ToString(), policy = info[2].ToString();
  const auto asked = memory_answers::ask({name, implementation, policy, packed<Napi::Float64Array, double>(info[3], napi_float64_array, "a configuration"),
                                          packed<Napi::Uint32Array, std::uint32_t>(info[4], napi_uint32_array, "a list of kept tokens"),
                                          packed<Napi::Float64Array, double>(info[5], napi_float64_array, "a list of options")});
  if (!asked) throw js_error(env, asked.error());
  const memory_answers::Answer& answer = asked.value();
  Napi::Array columns = Napi::Array::New(env, answer.columns.size());
  for (std::uint32_t i = 0; i < answer.columns.size(); ++i) columns.Set(i, doubles(env, answer.columns[i]));
  Napi::Object object = Napi::Object::New(env);
  object.Set("columns", columns);
  object.Set("text", answer.text);
  return object;
}

}  // namespace

void export_memory_functions(Napi::Env env, Napi::Object exports) { exports.Set("memoryAsk", Napi::Function::New<ask>(env)); }

}  // namespace attnscope::node
