// A run with policies active, on a thread of its own.
#pragma once
#include <napi.h>

namespace attnscope::node {

/// startPolicyRun(plan, progress, settled) -> cancel
/// progress never holds the engine up: a report that is still waiting is replaced by the next.
/// settled(error | null, result | null) is called once, last.
Napi::Value start_policy_run(const Napi::CallbackInfo& info);

}  // namespace attnscope::node
