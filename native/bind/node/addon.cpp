// The add-on's exports; loader.ts turns them into NodeEngine.
#include <napi.h>

#include "bind/node/capture_job.h"
#include "bind/node/device_info.h"
#include "bind/node/head_replay.h"
#include "bind/node/memory_functions.h"
#include "bind/node/policy_functions.h"
#include "bind/node/policy_run_job.h"
#include "bind/node/tile_functions.h"
#include "bind/node/timing_job.h"
#include "bind/node/timing_functions.h"
#include "host/machine.h"

namespace attnscope::node {
namespace {

Napi::Value info(const Napi::CallbackInfo& call) {
  const MachineInfo machine = machine_info();
  Napi::Object object = Napi::Object::New(call.Env());
  object.Set("version", machine.version);
  object.Set("simd", machine.simd);
  object.Set("blas", machine.blas);
  object.Set("threads", machine.threads);
  object.Set("cpu", machine.cpu);
  return object;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("info", Napi::Function::New<info>(env));
  exports.Set("deviceInfo", Napi::Function::New<device_info>(env));
  exports.Set("deviceNeeds", Napi::Function::New<device_memory_needs>(env));
  exports.Set("startCapture", Napi::Function::New<start_capture>(env));
  exports.Set("startPolicyRun", Napi::Function::New<start_policy_run>(env));
  exports.Set("startTimings", Napi::Function::New<start_timings>(env));
  exports.Set("timingOptions", Napi::Function::New<timing_option_list>(env));
  export_tile_functions(env, exports);
  export_policy_functions(env, exports);
  export_timing_functions(env, exports);
  export_memory_functions(env, exports);
  export_head_replay(env, exports);
  return exports;
}

}  // namespace
}  // namespace attnscope::node

static Napi::Object initialize(Napi::Env env, Napi::Object exports) { return attnscope::node::initialize(env, exports); }
NODE_API_MODULE(attnscope, initialize)
