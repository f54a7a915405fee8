// Engine errors as JavaScript exceptions with a `code`; the loader makes NativeError of them.
#pragma once
#include <napi.h>

#include "core/result.h"

namespace attnscope::node {

inline Napi::Error js_error(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.message);
  js.Set("code", Napi::String::New(env, error.code));
  return js;
}

[[noreturn]] inline void raise(Napi::Env env, std::string code, std::string message) {
  throw js_error(env, Error{std::move(code), std::move(message)});
}

}  // namespace attnscope::node
