#include <cstdlib>
#include <string_view>

#include "host/kernels/cpu_device.h"
#include "host/kernels/open_cuda.h"
#include "host/timing/run_timings.h"

namespace attnscope {

Result<std::unique_ptr<KernelDevice>> open_timing_device(const TimingPlan& plan) {
  if (plan.device == "cpu") return open_cpu_device(plan.threads);
  const std::size_t colon = plan.device.find(':');
  return open_cuda_device(colon == std::string::npos ? 0 : static_cast<std::uint32_t>(std::atoi(plan.device.c_str() + colon + 1)));
}

}  // namespace attnscope
