// NodeHeadReplay of native/engine.ts: one head ready to be replayed under any policy.
#pragma once
#include <napi.h>

namespace attnscope::node {

/// Adds the class HeadReplay to the exports.
void export_head_replay(Napi::Env env, Napi::Object exports);

}  // namespace attnscope::node
