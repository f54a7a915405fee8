// One run of the checks: the device, fresh random numbers, and the rows that cases are recorded in.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <span>

#include "tools/check/check.h"

namespace attnscope::check_kernels {

inline constexpr double infinite = std::numeric_limits<double>::infinity();

const char* name_of(DType dtype);

/// Where a case's verdict goes.
struct Kind {
  const char* operation;
  const char* result;
  DType dtype = DType::f32;
  std::uint32_t head_dim = 0;
  bool has_dtype = true;
};

class Session {
 public:
  Session(KernelDevice& device, const CheckOptions& options);

  KernelDevice& device;
  const bool full;
  std::mt19937_64 random;

  bool wants(const char* operation) const { return only_.empty() || only_ == operation; }
  /// f32 where the device computes with it, f16 and bf16 everywhere.
  std::vector<DType> dtypes() const;
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); }
  template <class T>
  const T& pick(const std::vector<T>& from) { return from[below(static_cast<std::uint32_t>(from.size()))]; }

  /// Records a case. `error` above `tolerance`, or not a number, fails it.
  void record(const Kind& kind, double error, double tolerance, const std::string& what);
  /// Runs one operation; false and a failed case where the device refuses.
  bool run(const Kind& kind, const std::string& what, const std::function<Outcome()>& operation);

  CheckReport report;

 private:
  std::string only_;
};

/// Every operation's cases.
void check_memory(Session& session);
void check_prompt(Session& session);     // dense, a_shape
void check_sparse(Session& session);
void check_decode(Session& session);
void check_merge(Session& session);
void check_strip(Session& session);
void check_select(Session& session);
void check_convert(Session& session);
void check_blocks(Session& session);     // pool, select_blocks
void check_lag_score(Session& session);
void check_hash(Session& session);       // hash, sort_buckets
void check_reduce(Session& session);
void check_coverage(Session& session);
void check_embed(Session& session);
void check_norm(Session& session);
void check_multiply(Session& session);
void check_rotate(Session& session);
void check_activate(Session& session);
void check_cast(Session& session);
void check_gather(Session& session);
void check_count_non_finite(Session& session);
void check_moments(Session& session);

/// max |got - expected| / max |expected|; infinity where a value is not a number. -infinity must be met exactly. Where all of a
/// tensor may come near 0 by cancelling (a log-sum-exp, the entropy of a row of one key), `least_size` is what is divided by at least.
template <class T>
double tensor_error(std::span<const T> got, std::span<const double> expected, double least_size = 0) {
  double error = 0, size = least_size;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double a = static_cast<double>(got[i]), b = expected[i];
    if (std::isinf(b) ? a != b : !std::isfinite(a)) return infinite;
    if (std::isinf(b)) continue;
    error = std::max(error, std::fabs(a - b));
    size = std::max(size, std::fabs(b));
  }
  return error == 0 ? 0 : error / size;
}

/// 0 where all indices are equal, infinity otherwise.
template <class T, class U>
double equal_or_infinite(const T& got, const U& expected) {
  return std::equal(got.begin(), got.end(), expected.begin(), expected.end()) ? 0 : infinite;
}

}  // namespace attnscope::check_kernels
