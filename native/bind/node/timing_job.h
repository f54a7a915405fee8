// Kernels timed off the JavaScript thread (host/timing).
#pragma once
#include <napi.h>

namespace attnscope::node {

/// [{name, argument, doc}] of every option a timing plan takes.
Napi::Value timing_option_list(const Napi::CallbackInfo& info);

/// startTimings(plan, progress, rows, settled): returns the function that cancels. See Addon in addon-surface.ts.
Napi::Value start_timings(const Napi::CallbackInfo& info);

}  // namespace attnscope::node
