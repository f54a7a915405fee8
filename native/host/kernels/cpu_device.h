// The kernels on the CPU: threads, the core's vector code, memory of the process.
#pragma once
#include <memory>

#include "host/kernels/kernel_device.h"

namespace attnscope {

/// Device "cpu" with this many threads, the caller's included; 0: as many as the process may use. Operations are done when they
/// return, and give the same bits for any number of threads.
std::unique_ptr<KernelDevice> open_cpu_device(unsigned threads);

}  // namespace attnscope
