// Elementwise layers of a transformer block, in fp32.
#pragma once
#include <span>

#include "core/views.h"
#include "host/thread_pool.h"

namespace attnscope {

/// One row of each, for callers with rows of their own.
void rms_norm_row(const float* in, std::span<const float> weight, float epsilon, float* out);
void silu_multiply_row(float* gate, const float* up, std::size_t dim);

/// out = in / sqrt(mean(in^2) + epsilon) * weight, row by row (RMSNorm).
void rms_norm(Rows in, std::span<const float> weight, float epsilon, MutableRows out, ThreadPool& pool);

/// gate = silu(gate) * up, silu(x) = x / (1 + exp(-x))  (SwiGLU).
void silu_multiply(MutableRows gate, Rows up, ThreadPool& pool);

/// target += addend.
void add(MutableRows target, Rows addend, ThreadPool& pool);

}  // namespace attnscope
