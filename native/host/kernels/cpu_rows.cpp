#include "host/kernels/cpu_rows.h"

#include "core/block_product.h"

namespace attnscope::cpu {

bool as_floats(Context& context, Shared buffer, const HeadTensor& tensor, DType dtype, std::size_t heads, std::size_t count, std::size_t dim,
               std::size_t lanes, FloatHeads& out) {
  if (source_rows(tensor, dtype, 0, dim).in_place(lanes)) {
    out = {static_cast<const float*>(tensor.data), static_cast<std::size_t>(tensor.head_stride), static_cast<std::size_t>(tensor.row_stride)};
    return true;
  }
  constexpr std::size_t task_rows = 256;
  const std::size_t padded = round_up(dim, lanes), tasks = (count + task_rows - 1) / task_rows;
  float* copy = context.floats(buffer, heads * count * padded);
  if (copy == nullptr && heads * count != 0) return false;
  context.pool.parallel_for(heads * tasks, [&](std::size_t task, unsigned) {
    const std::size_t head = task / tasks, begin = task % tasks * task_rows;
    const SourceRows rows = source_rows(tensor, dtype, head, dim);
    for (std::size_t i = begin; i < std::min(begin + task_rows, count); ++i) rows.read(i, copy + (head * count + i) * padded, padded);
  });
  out = {copy, count * padded, padded};
  return true;
}

}  // namespace attnscope::cpu
