// The kernels of native/cuda behind KernelDevice, run by the emulation: memory is the heap's, so that sanitizers watch it.
#pragma once
#include <memory>

#include "host/kernels/kernel_device.h"

namespace attnscope {

/// `block_bytes`: shared memory that a block may have, as the device tells it; what sm_80 has.
std::unique_ptr<KernelDevice> open_emulated_device(std::size_t block_bytes = 163 * 1024);

}  // namespace attnscope
