// One head after pass 2: what its tables are made of.
#pragma once
#include "core/reduce.h"
#include "host/plan.h"

namespace attnscope {

/// What follows from a head's accumulators.
struct HeadFigures {
  std::vector<PyramidLevel> pyramid;
  PyramidLevel thumbnail;
  HeadSummary summary;

  static HeadFigures of(const ReducePlan& plan, const HeadReduction& reduction) {
    return {build_pyramid(reduction, Visibility{}, plan.tile_edge), build_thumbnail(reduction, Visibility{}, plan.thumb_edge),
            summarize(reduction, std::max(plan.stats_first_row, reduction.rows.begin))};
  }
};

struct ReducedHead {
  std::uint32_t head;
  const HeadReduction& reduction;
  const HeadFigures& figures;
};

}  // namespace attnscope
