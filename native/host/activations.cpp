#include "host/activations.h"

#include <cmath>

#include "core/simd.h"
#include "host/matmul_kernel.h"

namespace attnscope {
namespace {

/// Rows a task handles: short enough to spread, long enough to be worth waking a thread for.
constexpr std::size_t kTaskRows = 32;

template <class RowFunction>
void for_each_row(std::size_t count, ThreadPool& pool, RowFunction&& function) {
  pool.parallel_for((count + kTaskRows - 1) / kTaskRows, [&](std::size_t task, unsigned) {
    const std::size_t begin = task * kTaskRows;
    for (std::size_t i = begin; i < count && i < begin + kTaskRows; ++i) function(i);
  });
}

}  // namespace

void rms_norm_row(const float* in, std::span<const float> weight, float epsilon, float* out) {
  const std::size_t dim = weight.size();
  const float mean_square = kernel::dot(in, in, dim) / static_cast<float>(dim);
  const float scale = 1.f / std::sqrt(mean_square + epsilon);
  for (std::size_t c = 0; c < dim; ++c) out[c] = weight[c] * (in[c] * scale);
}

void silu_multiply_row(float* gate, const float* up, std::size_t dim) {
  std::size_t c = 0;
  for (; c + simd::lanes <= dim; c += simd::lanes) {
    const simd::f32x8 x = simd::load(gate + c), negated = -x;
    // Past 88 exp overflows; there silu(x) is below 1e-36 in size anyway.
    const simd::f32x8 e = simd::exp(negated < simd::splat(88.f) ? negated : simd::splat(88.f));
    simd::store(gate + c, x / (simd::splat(1.f) + e) * simd::load(up + c));
  }
  for (; c < dim; ++c) gate[c] = gate[c] / (1.f + std::exp(-gate[c])) * up[c];
}

void rms_norm(Rows in, std::span<const float> weight, float epsilon, MutableRows out, ThreadPool& pool) {
  for_each_row(in.count, pool, [&](std::size_t i) { rms_norm_row(in.row(i), weight, epsilon, out.row(i)); });
}

void silu_multiply(MutableRows gate, Rows up, ThreadPool& pool) {
  for_each_row(gate.count, pool, [&](std::size_t i) { silu_multiply_row(gate.row(i), up.row(i), gate.dim); });
}

void add(MutableRows target, Rows addend, ThreadPool& pool) {
  for_each_row(target.count, pool, [&](std::size_t i) {
    float* t = target.row(i);
    const float* a = addend.row(i);
    for (std::size_t c = 0; c < target.dim; ++c) t[c] += a[c];
  });
}

}  // namespace attnscope
