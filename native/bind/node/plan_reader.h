// CapturePlan and PolicyRunPlan of native/engine.ts as the engine's own.
#pragma once
#include <napi.h>

#include "host/plan.h"
#include "host/policy_run.h"

namespace attnscope::node {

/// Throws E_PLAN_INVALID naming the first field that is missing or of the wrong type; values are checked by validate().
Plan read_plan(Napi::Value value);
/// The same; policies that do not parse are refused with E_POLICY_*.
PolicyRunPlan read_policy_run_plan(Napi::Value value);

}  // namespace attnscope::node
