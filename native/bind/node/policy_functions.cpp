#include "bind/node/policy_functions.h"

#include "bind/node/js_error.h"
#include "core/policy/policy.h"

namespace attnscope::node {
namespace {

std::string text_of(const Napi::CallbackInfo& info, std::size_t i, const char* name) {
  if (!info[i].IsString()) raise(info.Env(), "E_POLICY_UNKNOWN", std::string(name) + " is no text; pass one such as \"dense\"");
  return info[i].As<Napi::String>();
}

Napi::Value parsed(const Napi::CallbackInfo& info, const Result<PolicyChoice>& choice) {
  const Napi::Env env = info.Env();
  if (!choice) throw js_error(env, choice.error());
  const std::vector<double>& config = choice.value().config.values;
  Napi::Array values = Napi::Array::New(env, config.size());
  for (std::uint32_t i = 0; i < config.size(); ++i) values.Set(i, config[i]);
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", choice.value().entry->descriptor.id);
  object.Set("text", write_policy(choice.value()));
  object.Set("values", values);
  return object;
}

/// The catalogue as JSON; the loader parses it.
Napi::Value describe(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), describe_policies()); }

Napi::Value parse(const Napi::CallbackInfo& info) { return parsed(info, parse_policy(text_of(info, 0, "policy"))); }

/// scaledPreset(id, preset, tokens)
Napi::Value scaled(const Napi::CallbackInfo& info) {
  if (!info[2].IsNumber()) raise(info.Env(), "E_POLICY_PRESET", "tokens is no number; pass the length to scale to");
  return parsed(info, scaled_policy(text_of(info, 0, "id"), text_of(info, 1, "preset"), info[2].As<Napi::Number>().Uint32Value()));
}

}  // namespace

void export_policy_functions(Napi::Env env, Napi::Object exports) {
  exports.Set("describePolicies", Napi::Function::New<describe>(env));
  exports.Set("parsePolicy", Napi::Function::New<parse>(env));
  exports.Set("scaledPreset", Napi::Function::New<scaled>(env));
}

}  // namespace attnscope::node
