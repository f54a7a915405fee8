// CoreEngine of native/engine.ts: policies as text and as a catalogue.
#pragma once
#include <napi.h>

namespace attnscope::node {

/// Adds describePolicies, parsePolicy and scaledPreset to the exports.
void export_policy_functions(Napi::Env env, Napi::Object exports);

}  // namespace attnscope::node
