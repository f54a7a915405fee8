// Vectors of captured layers as files, for machines that have the plain executable alone: attnscope time --export writes them.
#pragma once
#include <string>
#include <vector>

#include "core/result.h"
#include "host/timing/timing_plan.h"

namespace attnscope {

/// `folder` holds layers.txt, a line a layer "FILE HEADS KV_HEADS HEAD_DIM TOKENS NAME", and the files it names: queries, keys, then
/// values as little-endian float32, [heads or kv heads][tokens][head_dim]. E_TIMING_CAPTURED names what is missing or does not fit.
Result<std::vector<CapturedLayer>> read_captured_files(const std::string& folder);

}  // namespace attnscope
