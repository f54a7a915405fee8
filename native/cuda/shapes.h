// What operations refuse before anything is launched.
#pragma once
#include "host/kernels/kernel_device.h"

namespace attnscope::gpu {

inline Outcome check_heads(std::uint32_t heads, std::uint32_t kv_heads) {
  if (kv_heads == 0 || heads % kv_heads != 0) return "E_KERNEL_SHAPE heads is not a multiple of kv_heads";
  return heads > 65535 ? "E_KERNEL_SHAPE more than 65535 heads" : nullptr;
}

}  // namespace attnscope::gpu
