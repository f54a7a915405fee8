// Attention over disjoint sets of keys joined by log-sum-exp: what decode leaves by key range, or callers by tier.
#include <cmath>

#include "indices.h"
#include "ops.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned warps = 4;

/// One warp a row. A part whose weight is 0 is not read: it may hold anything.
ATTNSCOPE_KERNEL(warps * warp_size) merge_rows(MergeArgs args) {
  const std::uint32_t row = block_x() * warps + warp_index();
  if (row >= args.rows) return;
  const float none = -INFINITY;
  float top = none;
  for (std::uint32_t part = lane_index(); part < args.parts; part += warp_size) {
    const float lse = args.part_lse[std::uint64_t{part} * args.rows + row];
    top = lse > top ? lse : top;
  }
  top = warp_max(top);
  const float shift = top == none ? 0 : top;
  float sum = 0;
  for (std::uint32_t part = lane_index(); part < args.parts; part += warp_size) sum += expf(args.part_lse[std::uint64_t{part} * args.rows + row] - shift);
  sum = warp_sum(sum);
  const float inverse = sum > 0 || sum != sum ? 1 / sum : 0;
  for (std::uint32_t c = lane_index(); c < args.head_dim; c += warp_size) {
    float out = 0;
    for (std::uint32_t part = 0; part < args.parts; ++part) {
      const std::uint64_t at = std::uint64_t{part} * args.rows + row;
      const float weight = expf(args.part_lse[at] - shift);
      if (weight != 0) out += weight * args.part_out[at * args.head_dim + c];
    }
    args.out[std::uint64_t{row} * args.head_dim + c] = out * inverse;
  }
  if (lane_index() == 0) args.lse[row] = sum > 0 || sum != sum ? shift + logf(sum) : none;
}

}  // namespace

Outcome run_merge(const MergeArgs& args, Stream stream) {
  return launch(merge_rows, Grid{ceil_div(args.rows, warps)}, warps * warp_size, 0, stream, args);
}

}  // namespace attnscope::gpu
