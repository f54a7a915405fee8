// The device that a plan names.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "host/kernels/kernel_device.h"

namespace attnscope {

/// The number in "cuda" (0) or "cuda:<index>"; none for any other name.
std::optional<std::uint32_t> cuda_index(std::string_view name);

/// "cpu", "cuda" or "cuda:<index>". E_DEVICE_NAME for anything else, E_CUDA_* where there is no such GPU or no library for it.
Result<std::unique_ptr<KernelDevice>> open_device(const std::string& name, unsigned threads);

}  // namespace attnscope
