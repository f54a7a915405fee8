// Timings behind a C ABI for timings.ts: arrays of doubles in the order that native/bind/timing.ts packs and unpacks.
#include "bind/timing_numbers.h"
#include "bind/wasm/answer.h"
#include "bind/wasm/out_of_memory.h"

namespace attnscope::wasm {

/// Column 0: the curve's numbers.
EXPORT(timing_curve)
bool curve_of_points(const double* points, std::uint32_t count) {
  const auto curve = timing_curve(timing_numbers::points({points, std::size_t{5} * count}));
  if (!answer().check(curve)) return false;
  answer().set(0, answer().hold(timing_numbers::of(curve.value())));
  return true;
}

/// Column 0: the prediction's numbers.
EXPORT(timing_predict)
bool predict_time(const double* points, std::uint32_t count, double work, double column_work) {
  const auto prediction = timing_predict(timing_numbers::points({points, std::size_t{5} * count}), work, column_work);
  if (!answer().check(prediction)) return false;
  answer().set(0, answer().hold(timing_numbers::of(prediction.value())));
  return true;
}

/// Column 0: the prediction's numbers.
EXPORT(timing_at_length)
bool predict_length(const double* points, const double* lengths, std::uint32_t count, double tokens) {
  const auto prediction = timing_at_length(timing_numbers::points({points, std::size_t{5} * count}), {lengths, count}, tokens);
  if (!answer().check(prediction)) return false;
  answer().set(0, answer().hold(timing_numbers::of(prediction.value())));
  return true;
}

/// Column 0: the counts.
EXPORT(kernel_counts)
bool counts_of_policy(const char* policy, std::uint32_t policy_length, const char* op, std::uint32_t op_length, std::uint32_t tokens) {
  const auto choice = parse_policy({policy, policy_length});
  if (!answer().check(choice)) return false;
  answer().set(0, answer().hold(timing_numbers::of(kernel_counts(choice.value(), {op, op_length}, tokens))));
  return true;
}

/// Column 0: the work's numbers, column 1: its unit.
EXPORT(kernel_work)
bool work_of_shape(const char* op, std::uint32_t op_length, const char* phase, std::uint32_t phase_length, const double* numbers) {
  const auto work = kernel_work(timing_numbers::shape({op, op_length}, {phase, phase_length}, {numbers, timing_numbers::shape_numbers}));
  if (!answer().check(work)) return false;
  answer().set(0, answer().hold(timing_numbers::of(work.value())));
  answer().set(1, std::string_view(work.value().unit));
  return true;
}

EXPORT(timing_roofline)
double least_time(double flops, double bytes, double peak_flops, double bytes_per_second) { return roofline_us(flops, bytes, peak_flops, bytes_per_second); }

EXPORT(timing_work_ratio)
double ratio_of_works(double known_flops, double known_bytes, double wanted_flops, double wanted_bytes) { return work_ratio(known_flops, known_bytes, wanted_flops, wanted_bytes); }

EXPORT(timing_compiled_dim)
double dim_of_kernels(double head_dim) { return compiled_dim(head_dim); }

}  // namespace attnscope::wasm
