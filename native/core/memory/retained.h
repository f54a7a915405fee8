// What a retention policy leaves of the cache, as the memory model wants it: tokens a layer keeps after each prefill call.
#pragma once
#include "core/memory/config.h"
#include "core/policy/policy.h"

namespace attnscope::memory {

/// `share` (above 0, at most 1) of the tokens seen so far, rounded up, in every layer and after every call. E_MEMORY_CONFIG.
Result<Retention> retained_share(const Config& config, double share);

/// What `policy` keeps by its parameters. Steps hold what it keeps where it evicts for the first one; else they are taken to add a
/// token each, the most it can come to. E_MEMORY_POLICY where it frees no memory.
Result<Retention> retained_by(const Config& config, const PolicyChoice& policy);

}  // namespace attnscope::memory
