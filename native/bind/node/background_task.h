// Work on a thread of its own that settles a promise. Progress reports wait for nobody: only the latest is delivered.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>

#include "core/result.h"
#include "host/cancellation.h"

namespace attnscope::node {

/// Makes the promise's value on the JavaScript thread.
using MakeValue = std::function<Napi::Value(Napi::Env)>;
using Report = std::function<void(double done)>;
/// Runs off the JavaScript thread.
using Work = std::function<Result<MakeValue>(const Cancellation& cancellation, const Report& report)>;

/// `progress`: a function that is called with numbers, or anything else for none. `ended` is called on the JavaScript
/// thread before the promise settles. When Node shuts down in the midst, the work is cancelled and waited for.
Napi::Promise run_in_background(Napi::Env env, const char* name, Napi::Value progress, Work work, std::function<void()> ended);

}  // namespace attnscope::node
