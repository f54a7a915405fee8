// A capture against itself: what it says of a head's attention, recomputed by the core from the vectors that it stores.
#pragma once
#include "host/plan.h"
#include "tools/check/capture_difference.h"

namespace attnscope::check_captures {

/// Tables of heads whose queries are all stored (full_query_heads, or every prompt position in query_rows; decoded rows always are), for
/// each segment that was captured. `heads` counts those that were looked at.
struct Recomputed {
  std::vector<ColumnDifference> columns;
  std::size_t heads = 0;
};
Recomputed recompute(const Recording& capture, const Plan& plan, unsigned threads);

}  // namespace attnscope::check_captures
