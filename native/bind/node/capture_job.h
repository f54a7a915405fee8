// A capture on a thread of its own, delivering to JavaScript.
#pragma once
#include <napi.h>

namespace attnscope::node {

/// startCapture(plan, batch, layerDone, progress, settled) -> cancel
/// batch and layerDone run on the JavaScript thread while the engine waits, which bounds memory to one batch; returning
/// false stops the run. progress never holds the engine up: a report that is still waiting is replaced by the next.
/// settled(error | null, summary | null) is called once, last.
Napi::Value start_capture(const Napi::CallbackInfo& info);

}  // namespace attnscope::node
