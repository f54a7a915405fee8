// What the parts of one run on the CPU share.
#pragma once
#include <vector>

#include "core/attention.h"
#include "host/emit_context.h"
#include "host/kv_cache.h"
#include "host/model.h"

namespace attnscope {

struct RunContext : EmitContext {
  RunContext(const Plan& plan, ThreadPool& pool, Model& model, KvCache& cache, CaptureSink& sink, ProgressReporter& progress, PhaseClock& clock,
             std::vector<Scratch> scratch)
      : EmitContext{plan, pool, sink, progress, clock}, model(model), cache(cache), scratch(std::move(scratch)) {}

  Model& model;
  KvCache& cache;
  std::vector<Scratch> scratch;  // by worker
};

}  // namespace attnscope
