// Joins attention over disjoint sets of keys through their log-sum-exp.
#include <algorithm>
#include <cmath>

#include "core/online_softmax.h"
#include "host/kernels/cpu_operations.h"

namespace attnscope::cpu {

Outcome merge(Context& context, const MergeArgs& args) {
  constexpr std::size_t task_rows = 64;
  const std::size_t rows = args.rows, dim = args.head_dim;
  context.pool.parallel_for((rows + task_rows - 1) / task_rows, [&](std::size_t task, unsigned) {
    for (std::size_t r = task * task_rows; r < std::min(rows, (task + 1) * task_rows); ++r) {
      float top = minus_infinity;
      for (std::size_t p = 0; p < args.parts; ++p) top = std::max(top, args.part_lse[p * rows + r]);
      double sum = 0;
      for (std::size_t p = 0; p < args.parts && top != minus_infinity; ++p) sum += std::exp(static_cast<double>(args.part_lse[p * rows + r]) - top);
      float* out = args.out + r * dim;
      std::fill_n(out, dim, 0.0f);
      // A part without keys, lse -infinity, has weight 0; its output need not be a number.
      for (std::size_t p = 0; p < args.parts && sum > 0; ++p) {
        const float lse = args.part_lse[p * rows + r];
        if (lse == minus_infinity) continue;
        const auto weight = static_cast<float>(std::exp(static_cast<double>(lse) - top) / sum);
        const float* part = args.part_out + (p * rows + r) * dim;
        for (std::size_t c = 0; c < dim; ++c) out[c] += weight * part[c];
      }
      args.lse[r] = sum > 0 ? static_cast<float>(top + std::log(sum)) : minus_infinity;
    }
  });
  return nullptr;
}

}  // namespace attnscope::cpu
