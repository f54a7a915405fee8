// The matrix product of the CPU runner, for rows and results of any precision: 16-bit rows are widened, sums are fp32, and
// nothing but the result is rounded.
#include <algorithm>

#include "host/activations.h"
#include "host/kernels/cpu_operations.h"

namespace attnscope::cpu {
namespace {

/// Rows whose fp32 copies are held at once; of a size that the product's tasks (252 rows) divide.
constexpr std::size_t product_rows = 2016;

const std::byte* row_of(const void* data, DType dtype, std::size_t row, std::size_t width) {
  return static_cast<const std::byte*>(data) + row * width * size_of(dtype);
}

/// work(row) for `rows` rows.
template <class Work>
void over_rows(Context& context, std::size_t rows, Work work) {
  constexpr std::size_t task_rows = 16;
  context.pool.parallel_for((rows + task_rows - 1) / task_rows, [&](std::size_t task, unsigned) {
    for (std::size_t i = task * task_rows; i < std::min(rows, (task + 1) * task_rows); ++i) work(i);
  });
}

}  // namespace

Outcome multiply(Context& context, const MultiplyArgs& args) {
  const std::size_t in = args.in, width = args.out_width, held = std::min<std::size_t>(product_rows, args.rows);
  const bool widened = args.dtype != DType::f32, direct = args.out_dtype == DType::f32 && !args.add;
  float* copy = widened ? context.floats(shared_input, held * in) : nullptr;
  float* product = direct ? nullptr : context.floats(shared_product, held * width);
  if ((widened && copy == nullptr && in != 0) || (!direct && product == nullptr && width != 0)) return out_of_memory;

  Tensor weight;
  weight.dtype = args.dtype;
  weight.data = static_cast<const std::uint8_t*>(args.w);
  weight.rows = width;
  weight.columns = in;
  for (std::size_t begin = 0; begin < args.rows; begin += product_rows) {
    const std::size_t rows = std::min(product_rows, args.rows - begin);
    Rows x{static_cast<const float*>(args.x) + begin * in, rows, in, in};
    if (widened) {
      x.data = copy;
      over_rows(context, rows, [&](std::size_t i) { to_float(args.dtype, row_of(args.x, args.dtype, begin + i, in), in, copy + i * in); });
    }
    std::byte* out = static_cast<std::byte*>(args.out) + begin * width * size_of(args.out_dtype);
    const MutableRows sums{direct ? reinterpret_cast<float*>(out) : product, rows, width, width};
    context.matmul.multiply(x, weight, sums);
    if (args.add) add({reinterpret_cast<float*>(out), rows, width, width}, sums, context.pool);
    else if (!direct) over_rows(context, rows, [&](std::size_t i) { from_float(args.out_dtype, sums.row(i), width, out + i * width * size_of(args.out_dtype)); });
  }
  return nullptr;
}

}  // namespace attnscope::cpu
