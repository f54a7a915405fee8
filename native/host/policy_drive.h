// A run with policies from its first token to its last, the dense run beside it, wherever the models compute.
#pragma once
#include <functional>
#include <memory>

#include "host/policy_backend.h"
#include "host/policy_run.h"
#include "host/thread_pool.h"

namespace attnscope {

/// Tokens fed as prompt before the policy acts on queries.
std::uint32_t context_of(const PolicyRunPlan& plan);

/// Passes progress on; a policy run emits no tables.
class PolicyProgressSink final : public CaptureSink {
 public:
  explicit PolicyProgressSink(const PolicyProgress& report) : report_(report) {}
  Status batch(Batch&&) override { return success(); }
  Status layer_done(Segment, std::uint32_t) override { return success(); }
  void progress(const RunProgress& progress) override {
    if (report_) report_(progress);
  }

 private:
  const PolicyProgress& report_;
};

/// Of a validated plan. `make_backend` is called once a model: for the policies, and for the dense run where the plan compares. A
/// cancelled run has the rows so far.
Result<PolicyRunResult> drive_policy(const PolicyRunPlan& plan, const std::function<std::unique_ptr<PolicyBackend>()>& make_backend, ThreadPool& pool,
                                     ProgressReporter& progress);

}  // namespace attnscope
