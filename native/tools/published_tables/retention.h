// LagKV's effective ratios N / kept beside what this engine gives: by its size formula, and by running the cache.
#pragma once
#include <vector>

#include "tools/published_tables/row.h"

namespace attnscope::published_tables {

/// 5 (lag, N) x 4 ratios, each by formula and by machine. The machine is fed seeded normal keys and values of 4 channels,
/// first sink + 2 lag tokens, then lag at a time, as the authors' demo does; sizes do not depend on the values. Empty if
/// the policy cannot be run.
std::vector<Row> retention_rows();

}  // namespace attnscope::published_tables
