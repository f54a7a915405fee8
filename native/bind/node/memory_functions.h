// The memory model for JavaScript: arrays of doubles in the order of native/bind/memory.ts.
#pragma once
#include <napi.h>

namespace attnscope::node {

void export_memory_functions(Napi::Env env, Napi::Object exports);

}  // namespace attnscope::node
