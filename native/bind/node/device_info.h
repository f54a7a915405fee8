// A device as its driver describes it, and what a run would take of one.
#pragma once
#include <napi.h>

namespace attnscope::node {

/// deviceInfo(name): DeviceInfo of native/engine.ts, after the device has filled and given back some memory. Throws E_DEVICE_NAME and E_CUDA_*.
Napi::Value device_info(const Napi::CallbackInfo& info);

/// deviceNeeds(plan, availableBytes): DeviceNeeds of native/engine.ts. Opens no device.
Napi::Value device_memory_needs(const Napi::CallbackInfo& info);

}  // namespace attnscope::node
