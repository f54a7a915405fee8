// The CUDA kernels, a shared library of its own that is found and loaded at run time: nothing here needs CUDA to build or run.
#pragma once
#include <memory>
#include <string>

#include "core/result.h"
#include "host/kernels/kernel_device.h"

namespace attnscope {

/// Device `index` of this machine. The library libattnscope_cuda is looked for in the environment variable ATTNSCOPE_CUDA_LIBRARY
/// (nowhere else where it is set), beside the module this code is in, in build/cuda beside or above that, and on the
/// loader's path. It stays loaded.
/// E_CUDA_LIBRARY: not found, or it cannot be loaded. E_CUDA_VERSION: built from another version of the interface, or it is no such
/// library. E_CUDA_DEVICE: no usable device, with the reason it gives.
Result<std::unique_ptr<KernelDevice>> open_cuda_device(std::uint32_t index);

/// The file that open_cuda_device() takes; empty where it finds none.
std::string cuda_library_file();

}  // namespace attnscope
