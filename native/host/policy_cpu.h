// The steps of a policy run on the CPU.
#pragma once
#include <memory>

#include "host/policy_backend.h"
#include "host/run_context.h"

namespace attnscope {

/// What runs on the CPU share.
struct PolicyMachine {
  ThreadPool& pool;
  Model& model;
  CaptureSink& sink;
  ProgressReporter& progress;
  PhaseClock& clock;
};

std::unique_ptr<PolicyBackend> make_cpu_policy_backend(const Plan& plan, const PolicyMachine& machine);

}  // namespace attnscope
