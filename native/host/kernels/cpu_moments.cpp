// Sums and products of vectors about a pivot, in fp64, one task a head.
#include "core/kv_stats.h"
#include "host/kernels/cpu_operations.h"

namespace attnscope::cpu {

Outcome moments(Context& context, const MomentsArgs& args) {
  const std::size_t dim = args.head_dim, stride = args.heads * dim;
  context.pool.parallel_for(args.heads, [&](std::size_t head, unsigned) {
    const Rows rows{args.x + head * dim, args.rows, dim, stride};
    const std::vector<double> pivot(args.pivot + head * dim, args.pivot + (head + 1) * dim);
    std::vector<double> sum(dim), product(dim * dim);
    for (std::size_t i = 0; i < rows.count; ++i)
      for (std::size_t c = 0; c < dim; ++c) sum[c] += rows.row(i)[c] - pivot[c];
    add_centred_products(rows, pivot, product);

    double *to_sum = args.sum + head * dim, *to_product = args.product + head * dim * dim;
    for (std::size_t a = 0; a < dim; ++a) {
      to_sum[a] += sum[a];
      for (std::size_t b = 0; b < dim; ++b) to_product[a * dim + b] += a <= b ? product[a * dim + b] : product[b * dim + a];
    }
  });
  return nullptr;
}

}  // namespace attnscope::cpu
