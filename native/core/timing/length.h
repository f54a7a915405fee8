// Times at lengths between measured ones, where the work at a length is known at the measured lengths alone.
#pragma once
#include "core/timing/curve.h"

namespace attnscope {

/// The time at `tokens`, of points measured at `lengths`: distinct, in any order, one a point. On a length: its own median and
/// spread. Between two their works follow the lengths in logarithms (exact where work is a power of the length); beyond the ends
/// they go on as between the last two that are no sides of one tile's edge, and are called extrapolated whatever work that is.
/// timing_predict makes time of the work. below and above are the points of the lengths on either side. us is NaN where fewer
/// than two lengths leave nothing to go by. E_TIMING_POINTS as timing_predict, and for lengths that are none.
Result<TimePrediction> timing_at_length(const TimingPoints& points, std::span<const double> lengths, double tokens);

}  // namespace attnscope
