// What happens to activations between matrix products, row by row or value by value, with the functions of the CPU runner.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/rope.h"
#include "host/activations.h"
#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_rows.h"

namespace attnscope::cpu {
namespace {

/// Rows, and single values, that a task handles: enough to be worth waking a thread for, few enough for a cache.
constexpr std::size_t rows_a_task = 32;
constexpr std::size_t values_a_task = 4096;

/// work(index, worker) for every row.
template <class Work>
void for_rows(Context& context, std::size_t rows, Work work) {
  context.pool.parallel_for((rows + rows_a_task - 1) / rows_a_task, [&](std::size_t task, unsigned worker) {
    for (std::size_t i = task * rows_a_task; i < std::min(rows, (task + 1) * rows_a_task); ++i) work(i, worker);
  });
}

/// work(begin, count, worker) for every run of up to values_a_task values.
template <class Work>
void for_values(Context& context, std::size_t values, Work work) {
  context.pool.parallel_for((values + values_a_task - 1) / values_a_task, [&](std::size_t task, unsigned worker) {
    work(task * values_a_task, std::min(values_a_task, values - task * values_a_task), worker);
  });
}

const std::byte* at(const void* data, DType dtype, std::size_t index) { return static_cast<const std::byte*>(data) + index * size_of(dtype); }
std::byte* at(void* data, DType dtype, std::size_t index) { return static_cast<std::byte*>(data) + index * size_of(dtype); }

}  // namespace

Outcome embed(Context& context, const EmbedArgs& args) {
  const std::size_t width = args.width;
  for_rows(context, args.rows, [&](std::size_t i, unsigned) { to_float(args.dtype, at(args.table, args.dtype, args.ids[i] * width), width, args.out + i * width); });
  return nullptr;
}

Outcome norm(Context& context, const NormArgs& args) {
  const std::size_t width = args.width;
  for_rows(context, args.rows, [&](std::size_t i, unsigned worker) {
    float* row = context.scratch[worker].floats(slot_rows, width);
    rms_norm_row(args.x + i * width, {args.weight, width}, args.epsilon, row);
    from_float(args.dtype, row, width, at(args.out, args.dtype, i * width));
  });
  return nullptr;
}

Outcome rotate(Context& context, const RotateArgs& args) {
  if (args.overflowed == nullptr) return "E_KERNEL_SHAPE rotate counts overflows: the counter is missing";
  const std::size_t dim = args.head_dim, half = dim / 2;
  std::atomic<std::uint32_t> overflowed{0};
  for_rows(context, args.rows, [&](std::size_t i, unsigned worker) {
    float* vector = context.scratch[worker].floats(slot_rows, dim);
    std::uint32_t count = 0;
    for (std::size_t head = 0; head < args.heads; ++head) {
      std::copy_n(args.x + (i * args.heads + head) * dim, dim, vector);
      if (args.cosine != nullptr) rotate_vector(vector, args.cosine + i * half, args.sine + i * half, half);
      count += static_cast<std::uint32_t>(write_row(args.out, args.dtype, head, i, vector, dim));
    }
    if (count != 0) overflowed.fetch_add(count, std::memory_order_relaxed);
  });
  *args.overflowed += overflowed;
  return nullptr;
}

Outcome activate(Context& context, const ActivateArgs& args) {
  for_values(context, args.count, [&](std::size_t begin, std::size_t count, unsigned worker) {
    std::byte* stored = at(args.gate, args.dtype, begin);
    float* gate = context.scratch[worker].floats(slot_gate, values_a_task);
    float* up = context.scratch[worker].floats(slot_up, values_a_task);
    to_float(args.dtype, stored, count, gate);
    to_float(args.dtype, at(args.up, args.dtype, begin), count, up);
    silu_multiply_row(gate, up, count);
    from_float(args.dtype, gate, count, stored);
  });
  return nullptr;
}

Outcome cast(Context& context, const CastArgs& args) {
  for_values(context, args.count, [&](std::size_t begin, std::size_t count, unsigned worker) {
    float* values = context.scratch[worker].floats(slot_rows, values_a_task);
    to_float(args.from_dtype, at(args.from, args.from_dtype, begin), count, values);
    from_float(args.to_dtype, values, count, at(args.to, args.to_dtype, begin));
  });
  return nullptr;
}

Outcome gather(Context& context, const GatherArgs& args) {
  for_rows(context, args.count, [&](std::size_t i, unsigned) {
    std::memcpy(static_cast<std::byte*>(args.out) + i * args.row_bytes,
                static_cast<const std::byte*>(args.from) + args.rows[i] * args.from_stride_bytes, args.row_bytes);
  });
  return nullptr;
}

Outcome count_non_finite(Context& context, const NonFiniteArgs& args) {
  std::atomic<std::uint32_t> found{0};
  for_values(context, args.count, [&](std::size_t begin, std::size_t count, unsigned) {
    if (const std::size_t n = non_finite({args.x + begin, count}); n != 0) found.fetch_add(static_cast<std::uint32_t>(n), std::memory_order_relaxed);
  });
  *args.found += found;
  return nullptr;
}

}  // namespace attnscope::cpu
