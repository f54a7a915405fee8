// What gathering single columns costs, in units of consecutive work.
#pragma once
#include <cstdint>
#include <span>

#include "core/timing/curve.h"

namespace attnscope {

/// c / b of the a + b work + c column_work whose relative errors at `chosen` points have the least sum of squares, a >= 0, c / b
/// within [1/64, 64] (a column tile reads 64 single keys). 1 where the points do not tell work from columns.
double column_cost(const TimingPoints& points, std::span<const std::uint32_t> chosen);

}  // namespace attnscope
