// Matrix products by our own kernels: what runs where there is no cuBLAS.
#pragma once
#include "device.h"
#include "host/kernels/kernel_device.h"

namespace attnscope::gpu {

/// What both kernels and cuBLAS refuse.
inline Outcome check(const MultiplyArgs& args) {
  if (args.dtype == DType::f32) return "E_KERNEL_DTYPE CUDA kernels take bf16 or f16; f32 runs on the CPU";
  if (args.out_dtype != DType::f32 && args.out_dtype != args.dtype) return "E_KERNEL_DTYPE a product's output is f32 or of the precision of its inputs";
  if (args.add && args.out_dtype != DType::f32) return "E_KERNEL_DTYPE a product is added onto f32 only";
  return args.in == 0 ? "E_KERNEL_SHAPE a product over no elements" : nullptr;
}

/// Products with one row, which wait for w alone (multiply_row.cu).
Outcome run_multiply_row(const MultiplyArgs& args, Stream stream);

}  // namespace attnscope::gpu
