// CapturePlan of native/engine.ts as a Plan.
#pragma once
#include <napi.h>

#include "host/plan.h"

namespace attnscope::node {

/// Throws E_PLAN_INVALID naming the first field that is missing or of the wrong type; values are checked by validate().
Plan read_plan(Napi::Value value);

}  // namespace attnscope::node
