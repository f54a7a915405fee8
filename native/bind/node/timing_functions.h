// Curves of measured times, work of kernels, rooflines.
#pragma once
#include <napi.h>

namespace attnscope::node {

void export_timing_functions(Napi::Env env, Napi::Object exports);

}  // namespace attnscope::node
