// Timings as arrays of doubles, as both bindings hand them to JavaScript: native/bind/timing.ts is the other end.
#pragma once
#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "core/timing/kernel_counts.h"
#include "core/timing/length.h"
#include "core/timing/work.h"

namespace attnscope::timing_numbers {

inline constexpr std::size_t point_columns = 5, shape_numbers = 12;

/// Column after column, five of one length.
inline TimingPoints points(std::span<const double> packed) {
  const std::size_t n = packed.size() / point_columns;
  const auto column = [&](std::size_t i) { return packed.subspan(i * n, n); };
  return {column(0), column(1), column(2), column(3), column(4)};
}

inline KernelShape shape(std::string_view op, std::string_view phase, std::span<const double> n) {
  return {.op = op, .phase = phase, .tokens = n[0], .queries = n[1], .heads = n[2], .kv_heads = n[3], .head_dim = n[4], .bytes_per_element = n[5],
          .tiles = n[6], .column_tiles = n[7], .keys = n[8], .columns = n[9], .distances = n[10], .top_k = n[11]};
}

inline std::vector<double> of(const TimingCurve& curve) {
  std::vector<double> out = {curve.column_cost, curve.floor_us, curve.error_median, curve.error_p90, curve.error_worst, static_cast<double>(curve.error_points)};
  out.insert(out.end(), curve.loo_errors.begin(), curve.loo_errors.end());
  return out;
}

inline std::array<double, 5> of(const TimePrediction& p) {
  return {p.us, static_cast<double>(p.kind), p.error, static_cast<double>(p.below), static_cast<double>(p.above)};
}

inline std::array<double, 6> of(const KernelWork& work) {
  return {work.work, work.column_work, work.flops, work.bytes, work.least_flops, work.least_bytes};
}

inline std::array<double, 3> of(const KernelCounts& counts) { return {counts.columns, counts.distances, counts.top_k}; }

}  // namespace attnscope::timing_numbers
