// One measured kernel: a row of timings.arrow (data/format/timings.ts), and a table of such rows as columns.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <variant>

namespace attnscope {

/// NaN: unknown, or means nothing for this operation.
inline constexpr double kNotKnown = std::numeric_limits<double>::quiet_NaN();

struct TimingRow {
  std::string device, driver, date, source;
  std::string op, phase, policy, indices, batching, dtype;
  std::uint32_t tokens = 0, queries = 0;
  std::uint16_t heads = 0, kv_heads = 0, head_dim = 0, threads = 0;
  double work = kNotKnown, column_work = 0;
  std::string work_unit;
  double bytes = kNotKnown, flops = kNotKnown, sparsity = kNotKnown;
  std::uint32_t count = 0, warmups = 0;
  double median_us = kNotKnown, p10_us = kNotKnown, p90_us = kNotKnown, min_us = kNotKnown, mean_us = kNotKnown;
  std::uint16_t flushed = 0;
  double clock_mhz = kNotKnown, loo_error = kNotKnown;
  std::string note;
};

/// A column of the table: where a row keeps it. The alternative held is its type.
struct TimingColumn {
  const char* name;
  std::variant<std::string TimingRow::*, std::uint16_t TimingRow::*, std::uint32_t TimingRow::*, double TimingRow::*> member;
};
/// "utf8", "u16", "u32" or "f64".
const char* type_name(const TimingColumn& column);

/// Every column, in the order of the file.
std::span<const TimingColumn> timing_columns();

/// A measurement that was not made, and why.
struct TimingSkip {
  std::string op, phase, policy, indices, batching;
  std::uint32_t tokens = 0;
  std::uint16_t heads = 0, kv_heads = 0, head_dim = 0;
  std::string reason;
};

}  // namespace attnscope
