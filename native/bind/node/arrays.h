// Typed arrays in and out, copied.
#pragma once
#include <napi.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "bind/node/js_error.h"

namespace attnscope::node {

template <class Array, class T>
Array typed_array(Napi::Env env, std::span<const T> values) {
  Array array = Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size_bytes());
  return array;
}
inline Napi::Float32Array floats(Napi::Env env, std::span<const float> values) { return typed_array<Napi::Float32Array>(env, values); }
inline Napi::Float64Array doubles(Napi::Env env, std::span<const double> values) { return typed_array<Napi::Float64Array>(env, values); }
inline Napi::Uint32Array numbers(Napi::Env env, std::span<const std::uint32_t> values) { return typed_array<Napi::Uint32Array>(env, values); }
inline Napi::Uint8Array bytes(Napi::Env env, std::span<const std::uint8_t> values) { return typed_array<Napi::Uint8Array>(env, values); }

/// The elements of a typed array; E_REPLAY_DATA names what came as something else.
template <class T>
std::span<const T> elements(Napi::Value value, const std::string& name) {
  constexpr bool is_float = std::is_same_v<T, float>;
  constexpr napi_typedarray_type type = is_float ? napi_float32_array : sizeof(T) == 4 ? napi_uint32_array : sizeof(T) == 2 ? napi_uint16_array : napi_uint8_array;
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    raise(value.Env(), "E_REPLAY_DATA", name + " is no " + (is_float ? "Float32Array" : "Uint" + std::to_string(8 * sizeof(T)) + "Array"));
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  return {array.Data(), array.ElementLength()};
}

}  // namespace attnscope::node
