#include "core/timing/length.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attnscope {
namespace timing_lengths {

/// Lengths nearer than this are sides of one tile's edge, and no direction to go on in.
constexpr double span = 1.5;
constexpr std::int32_t none = -1;

/// Of the lengths that are wanted the one nearest to `to`, or none.
template <class Wanted>
std::int32_t nearest(std::span<const double> lengths, double to, Wanted wanted) {
  std::int32_t best = none;
  for (std::size_t i = 0; i < lengths.size(); ++i)
    if (wanted(lengths[i]) && (best == none || std::fabs(lengths[i] - to) < std::fabs(lengths[best] - to))) best = static_cast<std::int32_t>(i);
  return best;
}

/// A quantity at share 0 is a, at 1 is b: a power of the length where both have it.
double along(double a, double b, double share) {
  return a > 0 && b > 0 ? a * std::exp(share * std::log(b / a)) : std::max(0.0, a + share * (b - a));
}

}  // namespace timing_lengths

Result<TimePrediction> timing_at_length(const TimingPoints& points, std::span<const double> lengths, double tokens) {
  using timing_lengths::nearest, timing_lengths::along, timing_lengths::none, timing_lengths::span;
  const auto usable = [](double length) { return std::isfinite(length) && length > 0; };
  if (lengths.size() != points.size() || !usable(tokens) || !std::all_of(lengths.begin(), lengths.end(), usable))
    return Error{"E_TIMING_POINTS", "a time at a length needs a length above 0, and one of each point; pass tokens"};
  const std::int32_t exact = nearest(lengths, tokens, [&](double length) { return length == tokens; });
  if (exact != none) {
    const auto one = [&](std::span<const double> column) { return column.subspan(static_cast<std::size_t>(exact), 1); };
    const TimingPoints own{one(points.work), one(points.column_work), one(points.median_us), one(points.p10_us), one(points.p90_us)};
    auto measured = timing_predict(own, own.work[0], own.column_work[0]);
    if (!measured) return measured.error();
    TimePrediction out = measured.value();
    out.below = out.above = exact;
    return out;
  }
  const std::int32_t below = nearest(lengths, tokens, [&](double length) { return length < tokens; });
  const std::int32_t above = nearest(lengths, tokens, [&](double length) { return length > tokens; });
  std::int32_t low = below, high = above;
  if (above == none && below != none) {
    high = below;
    low = nearest(lengths, tokens, [&](double length) { return length * span <= lengths[high]; });
  } else if (below == none && above != none) {
    low = above;
    high = nearest(lengths, tokens, [&](double length) { return length >= span * lengths[low]; });
  }
  TimePrediction out;
  out.us = out.error = std::numeric_limits<double>::quiet_NaN();
  out.kind = TimeKind::extrapolated;
  if (low == none || high == none) return out;
  const double share = std::log(tokens / lengths[low]) / std::log(lengths[high] / lengths[low]);
  const auto at = [&](std::span<const double> column) { return along(column[low], column[high], share); };
  auto predicted = timing_predict(points, at(points.work), at(points.column_work));
  if (!predicted) return predicted.error();
  out = predicted.value();
  out.kind = below != none && above != none ? TimeKind::interpolated : TimeKind::extrapolated;
  out.below = below;
  out.above = above;
  return out;
}

}  // namespace attnscope
