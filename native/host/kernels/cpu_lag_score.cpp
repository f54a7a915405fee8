// LagKV's score, partition by partition, with the policy engine's own functions.
#include <algorithm>

#include "core/policy/lag_score.h"
#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_rows.h"

namespace attnscope::cpu {
namespace {

/// The rows of a partition and of the one that follows, as fp32.
Rows two_partitions(const SourceRows& source, std::size_t begin, std::size_t count, float* copy) {
  if (source.in_place(1)) return source.rows(begin + count).slice(begin, count);
  for (std::size_t i = 0; i < count; ++i) source.read(begin + i, copy + i * source.dim, source.dim);
  return {copy, count, source.dim, source.dim};
}

}  // namespace

Outcome lag_score(Context& context, const LagArgs& args) {
  const std::size_t lag = args.lag, dim = args.head_dim, partitions = args.partitions();
  const LagScoring scoring{args.sink, args.lag, args.value_weight, LagArithmetic::fp32};
  context.pool.parallel_for(args.kv_heads * partitions, [&](std::size_t task, unsigned worker) {
    const std::size_t head = task / partitions, begin = args.sink + task % partitions * lag;
    Scratch& scratch = context.scratch[worker];
    float* copy = scratch.floats(slot_rows, args.dtype == DType::f32 ? 0 : 2 * lag * dim);
    const std::span<float> low{scratch.floats(slot_keys, dim), dim}, deviation{scratch.floats(slot_sums, 2 * lag), 2 * lag};
    const std::span<double> scale{reinterpret_cast<double*>(scratch.floats(slot_values, 2 * dim)), dim};
    for (const bool value : {false, true}) {
      const Rows both = two_partitions(source_rows(value ? args.v : args.k, args.dtype, head, dim), begin, 2 * lag, copy);
      lag_deviation(both.slice(0, lag), both.slice(lag, lag), low, scale, deviation.subspan(value ? lag : 0, lag));
    }
    lag_partition_score(deviation.first(lag), deviation.last(lag), scoring, {args.score + task * lag, lag});
  });
  return nullptr;
}

}  // namespace attnscope::cpu
