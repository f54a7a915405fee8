// Vertical-slash, phase 3: the policy engine's own conversion, head by head.
#include <algorithm>

#include "core/policy/plan_builder.h"
#include "core/policy/vertical_slash.h"
#include "host/kernels/cpu_operations.h"

namespace attnscope::cpu {

Outcome convert(Context& context, const ConvertArgs& args) {
  std::vector<PrefillPlan> plans(context.pool.threads());
  context.pool.parallel_for(args.heads, [&](std::size_t head, unsigned worker) {
    // A thread's lists keep their memory from head to head.
    PrefillPlan& plan = plans[worker];
    plan.tokens = args.tokens;
    plan.tile_offset.assign(1, 0);
    plan.column_offset.assign(1, 0);
    plan.tile.clear();
    plan.column.clear();
    vertical_slash::convert_indices({args.column + head * args.columns, args.columns}, {args.distance + head * args.distances, args.distances}, plan);
    const std::size_t offsets = plan.row_blocks() + std::size_t{1};
    std::copy(plan.tile_offset.begin(), plan.tile_offset.end(), args.out.tile_offset + head * offsets);
    std::copy(plan.column_offset.begin(), plan.column_offset.end(), args.out.column_offset + head * offsets);
    std::copy(plan.tile.begin(), plan.tile.end(), args.out.tile + head * args.out.tile_capacity);
    std::copy(plan.column.begin(), plan.column.end(), args.out.column + head * args.out.column_capacity);
  });
  return nullptr;
}

}  // namespace attnscope::cpu
