// Runs a model in an execution scheme: chunked prefill, mini-sequences, offloaded caches, alone and together.
#pragma once
#include "host/device/scheme_plan.h"
#include "host/kernels/kernel_device.h"

namespace attnscope {

/// Prefill and decode of plan.tokens, plan.decode_steps. Reduction and store fields of `plan` are not read; its device's memory limit and
/// weights are. E_DEVICE_MEMORY names the tensor that did not fit and the switch that helps, E_DISK_FULL, E_WRITE_FAILED and E_OFFLOAD_READ what
/// became of a cache on disk. A request to cancel ends the run early, with what there is.
///
/// Logits beside the standard scheme's: the same arithmetic row by row, in the same order, so the same bits on the CPU's device with its own
/// matrix product; offloading changes no bit on any device. Exceptions are products of three rows or less (the last token's MLP and logits alone,
/// remainders of pieces and chunks), which are summed in another order, and MLPs in pieces or chunks whose width is no multiple of 8, where single
/// values' exponentials are computed beside the vectors'. There logits agree to 1e-5 in fp32 and 3e-2 in 16-bit precisions (of logits about 1).
Result<SchemeResult> run_scheme(KernelDevice& device, const Plan& plan, const SchemePlan& scheme, Cancellation& cancellation,
                                const std::function<void(const RunProgress&)>& progress = {});

}  // namespace attnscope
