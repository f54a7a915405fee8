// Times between measured ones. A curve is measured times of one kernel at different amounts of work; seconds per unit of work
// are nearly flat in it where its own logarithm is the axis, so they are what is interpolated. Pure functions of the points.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/result.h"

namespace attnscope {

/// Points of one curve, any order, all spans of one length. p10 and p90 may be NaN.
struct TimingPoints {
  std::span<const double> work, column_work;      // in one unit, as kernel_work counts; column_work 0 where an operation has none
  std::span<const double> median_us, p10_us, p90_us;
  std::size_t size() const { return work.size(); }
};

/// One axis for both kinds of work: x = work + column_cost * column_work.
struct TimingCurve {
  /// By least squares on relative error of a + b work + c column_work, c / b; 1 where the points do not tell.
  double column_cost = 1;
  double floor_us = 0;                            // least median: no prediction goes below it
  /// By point: |prediction from the points at every other x - its own| / its own, the cost of columns fitted without it.
  /// NaN at the ends, where there is nothing to interpolate between. Points at one x share their median's.
  std::vector<double> loo_errors;
  double error_median = 0, error_p90 = 0, error_worst = 0;  // of those that are defined (nearest rank); NaN if none is
  std::uint32_t error_points = 0;
};

enum class TimeKind : std::uint8_t { measured, interpolated, extrapolated, modelled };

struct TimePrediction {
  double us = 0;
  TimeKind kind = TimeKind::measured;
  /// Relative. On a point: half of p10 to p90 over the median. Between two: the larger of their leave-one-out errors, the
  /// curve's median where neither has one. Outside: the curve's largest. NaN where the curve has none.
  double error = 0;
  std::int32_t below = -1, above = -1;            // points on either side in x, -1: none
};

/// E_TIMING_POINTS: no point, or one without work or time.
Result<TimingCurve> timing_curve(const TimingPoints& points);

/// On a point (the same work and column_work): its median, the median of several. Between two: microseconds a unit of x linear
/// in log x, and never outside of the two times themselves. Beyond the ends: microseconds a unit of the last point. Never
/// below floor_us.
Result<TimePrediction> timing_predict(const TimingPoints& points, double work, double column_work);

}  // namespace attnscope
