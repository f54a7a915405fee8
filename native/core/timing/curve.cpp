#include "core/timing/curve.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>

#include "core/timing/column_cost.h"

namespace attnscope {
namespace timing {

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

/// By insertion: curves have dozens of points, mostly in order, and std::sort would be half of all this in the browser's module.
template <class T, class Before = std::less<T>>
void sort_few(std::vector<T>& values, Before before = {}) {
  for (std::size_t i = 1; i < values.size(); ++i)
    for (std::size_t j = i; j > 0 && before(values[j], values[j - 1]); --j) std::swap(values[j], values[j - 1]);
}

/// Nearest rank; sorts. NaN of none.
double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return undefined;
  sort_few(values);
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  return values[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

double median(std::vector<double>& values) {
  if (values.empty()) return undefined;
  sort_few(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// Points at one x.
struct Knot {
  double x = 0, us = 0;
  std::uint32_t begin = 0, end = 0;  // in Curve::order
};

struct Curve {
  double column_cost = 1, floor_us = 0;
  std::vector<std::uint32_t> order;  // points by x
  std::vector<Knot> knots;           // ascending in x

  double x(double work, double column_work) const { return work + column_cost * column_work; }
};

/// Through the points of `chosen`, which are some of `points`.
Curve through(const TimingPoints& points, std::vector<std::uint32_t> chosen) {
  Curve curve;
  curve.column_cost = column_cost(points, chosen);
  curve.order = std::move(chosen);
  std::vector<double> x(points.size()), times;
  for (const std::uint32_t i : curve.order) x[i] = curve.x(points.work[i], points.column_work[i]);
  sort_few(curve.order, [&](std::uint32_t a, std::uint32_t b) { return x[a] != x[b] ? x[a] < x[b] : a < b; });
  for (std::uint32_t begin = 0, end = 0; begin < curve.order.size(); begin = end) {
    times.clear();
    const double here = x[curve.order[begin]];
    for (; end < curve.order.size() && x[curve.order[end]] == here; ++end) times.push_back(points.median_us[curve.order[end]]);
    curve.knots.push_back({here, median(times), begin, end});
  }
  curve.floor_us = std::numeric_limits<double>::infinity();
  for (const std::uint32_t i : curve.order) curve.floor_us = std::min(curve.floor_us, points.median_us[i]);
  return curve;
}

Curve through_all(const TimingPoints& points) {
  std::vector<std::uint32_t> all(points.size());
  std::iota(all.begin(), all.end(), 0u);
  return through(points, std::move(all));
}

/// Index of the first knot at or beyond x.
std::size_t at_or_beyond(const Curve& curve, double x) {
  return static_cast<std::size_t>(std::lower_bound(curve.knots.begin(), curve.knots.end(), x, [](const Knot& knot, double value) { return knot.x < value; }) -
                                  curve.knots.begin());
}

double time_at(const Curve& curve, double x) {
  const std::size_t next = at_or_beyond(curve, x);
  const auto beyond = [&](const Knot& end) { return std::max(end.us / end.x * x, curve.floor_us); };
  if (next == curve.knots.size()) return beyond(curve.knots.back());
  const Knot& high = curve.knots[next];
  if (high.x == x) return high.us;
  if (next == 0) return beyond(high);
  const Knot& low = curve.knots[next - 1];
  const double share = std::log(x / low.x) / std::log(high.x / low.x), from = low.us / low.x, to = high.us / high.x;
  return std::clamp((from + share * (to - from)) * x, std::min(low.us, high.us), std::max(low.us, high.us));
}

/// With which relative error the other knots predict this one; NaN where they do not lie around it.
double left_out_error(const TimingPoints& points, const Curve& curve, std::size_t knot) {
  if (knot == 0 || knot + 1 == curve.knots.size()) return undefined;
  const Knot& removed = curve.knots[knot];
  std::vector<std::uint32_t> rest;
  rest.reserve(curve.order.size());
  for (std::uint32_t i = 0; i < curve.order.size(); ++i)
    if (i < removed.begin || i >= removed.end) rest.push_back(curve.order[i]);
  const Curve others = through(points, std::move(rest));
  const std::uint32_t point = curve.order[removed.begin];
  const double x = others.x(points.work[point], points.column_work[point]);
  if (x < others.knots.front().x || x > others.knots.back().x) return undefined;
  return std::fabs(time_at(others, x) - removed.us) / removed.us;
}

std::vector<double> defined(std::vector<double> errors) {
  std::erase_if(errors, [](double error) { return std::isnan(error); });
  return errors;
}

std::vector<double> left_out_errors(const TimingPoints& points, const Curve& curve) {
  std::vector<double> errors;
  for (std::size_t knot = 0; knot < curve.knots.size(); ++knot) errors.push_back(left_out_error(points, curve, knot));
  return errors;
}

Status check(const TimingPoints& points) {
  const auto refuse = [](std::string what) { return Error{"E_TIMING_POINTS", std::move(what)}; };
  const std::size_t n = points.size();
  if (n == 0) return refuse("a curve without a point tells no time; measure some");
  if (points.column_work.size() != n || points.median_us.size() != n || points.p10_us.size() != n || points.p90_us.size() != n)
    return refuse("the columns of a curve have different lengths; pass one value of each a point");
  for (std::size_t i = 0; i < n; ++i) {
    const double work = points.work[i], columns = points.column_work[i], us = points.median_us[i];
    if (!(work >= 0 && columns >= 0 && work + columns > 0 && us > 0 && std::isfinite(work + columns) && std::isfinite(us)))
      return refuse("point " + std::to_string(i) + " of a curve has no work or no time; leave it out");
  }
  return success();
}

/// The point itself where it was measured.
bool measured_at(const TimingPoints& points, double work, double column_work, TimePrediction& out) {
  std::vector<double> times, spreads;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points.work[i] != work || points.column_work[i] != column_work) continue;
    if (times.empty()) out.below = out.above = static_cast<std::int32_t>(i);
    times.push_back(points.median_us[i]);
    spreads.push_back((points.p90_us[i] - points.p10_us[i]) / (2 * points.median_us[i]));
  }
  if (times.empty()) return false;
  spreads = defined(std::move(spreads));
  out.us = median(times);
  out.error = median(spreads);
  return true;
}

}  // namespace timing

Result<TimingCurve> timing_curve(const TimingPoints& points) {
  if (const Status checked = timing::check(points); !checked) return checked.error();
  const timing::Curve curve = timing::through_all(points);
  const std::vector<double> by_knot = timing::left_out_errors(points, curve);
  TimingCurve out;
  out.column_cost = curve.column_cost;
  out.floor_us = curve.floor_us;
  out.loo_errors.resize(points.size());
  for (std::size_t k = 0; k < curve.knots.size(); ++k)
    for (std::uint32_t i = curve.knots[k].begin; i < curve.knots[k].end; ++i) out.loo_errors[curve.order[i]] = by_knot[k];
  std::vector<double> errors = timing::defined(out.loo_errors);
  out.error_points = static_cast<std::uint32_t>(errors.size());
  out.error_median = timing::median(errors);
  out.error_p90 = timing::quantile(errors, 0.9);
  out.error_worst = timing::quantile(errors, 1);
  return out;
}

Result<TimePrediction> timing_predict(const TimingPoints& points, double work, double column_work) {
  if (const Status checked = timing::check(points); !checked) return checked.error();
  if (!(work >= 0 && column_work >= 0 && std::isfinite(work + column_work)))
    return Error{"E_TIMING_POINTS", "the time of work that is no number from 0 on was asked for; pass what kernelWork answers"};
  TimePrediction out;
  if (timing::measured_at(points, work, column_work, out)) return out;
  const timing::Curve curve = timing::through_all(points);
  const double x = curve.x(work, column_work);
  const auto index = [&](const timing::Knot& knot) { return static_cast<std::int32_t>(curve.order[knot.begin]); };
  std::size_t high = timing::at_or_beyond(curve, x);
  out.us = timing::time_at(curve, x);
  if (high == curve.knots.size() || (high == 0 && curve.knots[0].x != x)) {
    out.kind = TimeKind::extrapolated;
    std::vector<double> errors = timing::defined(timing::left_out_errors(points, curve));
    out.error = timing::quantile(errors, 1);
    if (high == 0) out.above = index(curve.knots.front());
    else out.below = index(curve.knots.back());
    return out;
  }
  out.kind = TimeKind::interpolated;
  const std::size_t low = curve.knots[high].x == x ? high : high - 1;  // other work at the very same x: a knot is its own neighbour
  out.below = index(curve.knots[low]);
  out.above = index(curve.knots[high]);
  out.error = std::fmax(timing::left_out_error(points, curve, low), timing::left_out_error(points, curve, high));  // fmax passes a NaN by
  if (std::isnan(out.error)) {
    std::vector<double> errors = timing::defined(timing::left_out_errors(points, curve));
    out.error = timing::median(errors);
  }
  return out;
}

}  // namespace attnscope
