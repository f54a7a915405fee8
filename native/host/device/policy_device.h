// A policy run on a device: the model's steps there, the policies' engines on the host. Layers with policies have their queries, keys and
// values brought to the host, into the cache that the CPU runner has too; what policies decide goes back: plans as lists of tiles and
// columns, dropped tokens as rows that move up, retrieved keys as lists of a query.
#pragma once
#include "host/device/device_capture.h"
#include "host/device/device_model.h"
#include "host/emit_context.h"
#include "host/policy_backend.h"
#include "host/policy_run.h"

namespace attnscope {

/// What the runs of one device share; all of it outlives the backend.
struct PolicyDevice {
  KernelDevice& device;
  DeviceMemory& memory;
  DeviceModel& model;
  const EmitContext& run;
};

std::unique_ptr<PolicyBackend> make_device_policy_backend(const Plan& plan, const PolicyDevice& on);

/// What run_policy() does for plan.base.device other than "cpu".
Result<PolicyRunResult> run_policy_on(KernelDevice& device, const PolicyRunPlan& plan, Cancellation& cancellation, const PolicyProgress& progress,
                                      const DeviceRunOptions& options = {});

}  // namespace attnscope
