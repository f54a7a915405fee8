// The kernels of native/cuda behind KernelDevice, run by the emulation: memory is the heap's, so that sanitizers watch it.
#pragma once
#include <memory>

#include "host/kernels/kernel_device.h"

namespace attnscope {

std::unique_ptr<KernelDevice> open_emulated_device();

}  // namespace attnscope
