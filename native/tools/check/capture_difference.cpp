#include "tools/check/capture_difference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace attnscope::check_captures {
namespace capture_differences {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

struct Rule {
  std::string_view table, column;  // "" for every column that no rule before names
  Measure measure;
  double kernels, fp32, recomputed;
};

/// Tolerances by table and column. fp32: what runs of random models of two to four layers differ by whose products are in bf16, times
/// three or so; deeper models differ by more. kernels: a third of it, for two devices round at the same points and few values fall on the
/// other side of one. Means over a handful of decoded rows differ most.
constexpr Rule kRules[] = {
    {"rows", "lse", Measure::absolute, 0.15, 0.5, 1e-4},
    {"rows", "top1_key", Measure::share, 0.05, 0.15, 1e-3},
    {"rows", "coverage_90", Measure::mean, 0.015, 0.04, 1e-3},
    {"rows", "coverage_95", Measure::mean, 0.015, 0.04, 1e-3},
    {"rows", "coverage_99", Measure::mean, 0.015, 0.04, 1e-3},
    {"rows", "entropy", Measure::largest, 0.04, 0.12, 1e-4},
    {"rows", "", Measure::largest, 0.08, 0.25, 1e-4},
    {"marginals", "", Measure::largest, 0.06, 0.2, 1e-4},
    {"pyramid", "", Measure::largest, 0.08, 0.25, 1e-4},
    {"heads", "", Measure::largest, 0.1, 0.3, 1e-4},
    {"thumbs", "", Measure::largest, 0.08, 0.25, 1e-4},
    {"kv", "", Measure::largest, 0.03, 0.08, 1e-4},
    {"pages", "", Measure::largest, 0.03, 0.1, 1e-4},
    {"channels", "k_outlier_share", Measure::absolute, 0.1, 0.1, 0},
    {"channels", "v_outlier_share", Measure::absolute, 0.1, 0.1, 0},
    {"channels", "", Measure::largest, 0.03, 0.08, 1e-4},
    {"queryStats", "", Measure::largest, 0.03, 0.08, 1e-4},
    {"qPooled", "", Measure::largest, 0.03, 0.08, 1e-4},
    {"q", "", Measure::largest, 0.03, 0.1, 0},
    {"k", "", Measure::largest, 0.03, 0.1, 0},
    {"v", "", Measure::largest, 0.03, 0.1, 0},
    {"logits", "", Measure::largest, 0.05, 0.15, 0},
    {"steps", "top1_id", Measure::share, 0.25, 0.5, 0},
    {"steps", "id", Measure::share, 0.25, 0.5, 0},
    {"steps", "log_probability", Measure::absolute, 0.07, 0.2, 0},
};

/// Addresses and counts, which no arithmetic enters.
constexpr std::string_view kAddresses[] = {"head", "kv_head", "token", "tokens", "index", "cell", "tile_row", "tile_column", "page", "block", "step", "forced"};

const Rule* rule_of(std::string_view table, std::string_view column) {
  if (std::find(std::begin(kAddresses), std::end(kAddresses), column) != std::end(kAddresses)) return nullptr;
  for (const Rule& rule : kRules)
    if (rule.table == table && (rule.column.empty() || rule.column == column)) return &rule;
  return nullptr;
}

/// Numbers of a column; stored vectors of 16 bits are decoded.
std::vector<float> numbers(const TableKey& key, const std::string& column, const ColumnValues& values, DType vectors) {
  return std::visit([&](const auto& v) {
    using Value = typename std::remove_cvref_t<decltype(v)>::value_type;
    std::vector<float> out(v.size());
    if constexpr (std::is_same_v<Value, std::uint16_t>)
      if (column == key.table && vectors != DType::f32) return to_float(vectors, v.data(), v.size(), out.data()), out;
    for (std::size_t i = 0; i < v.size(); ++i) out[i] = static_cast<float>(v[i]);
    return out;
  }, values);
}

/// What all measures are made of.
struct Sums {
  double largest = 0, size = 0, absolute = 0, expected = 0, squares = 0, expected_squares = 0;
  std::size_t differing = 0;
  bool comparable = true;
};

Sums sums_of(const std::vector<float>& got, const std::vector<float>& expected) {
  Sums sums;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double a = got[i], b = expected[i];
    if (std::isnan(a) && std::isnan(b)) continue;
    if (a == b) {
      if (std::isfinite(b)) sums.size = std::max(sums.size, std::fabs(b)), sums.expected += std::fabs(b), sums.expected_squares += b * b;
      continue;
    }
    if (!std::isfinite(a) || !std::isfinite(b)) sums.comparable = false;
    const double gap = std::fabs(a - b);
    ++sums.differing;
    sums.largest = std::max(sums.largest, gap);
    sums.size = std::max(sums.size, std::fabs(b));
    sums.absolute += gap, sums.expected += std::fabs(b);
    sums.squares += gap * gap, sums.expected_squares += b * b;
  }
  return sums;
}

double ratio(double part, double whole) { return part == 0 ? 0 : part / whole; }

double measured(Measure measure, const Sums& sums, std::size_t values) {
  if (!sums.comparable) return kInfinite;
  switch (measure) {
    case Measure::equal: return sums.differing == 0 ? 0 : kInfinite;
    case Measure::largest: return ratio(sums.largest, sums.size);
    case Measure::absolute: return sums.largest;
    case Measure::share: return ratio(static_cast<double>(sums.differing), static_cast<double>(values));
    case Measure::mean: return ratio(sums.absolute, sums.expected);
  }
  return kInfinite;
}

}  // namespace capture_differences

const char* name_of(Reference reference) {
  constexpr const char* names[] = {"the CPU's kernels", "the CPU's fp32 runner", "the core, from the captured vectors"};
  return names[static_cast<int>(reference)];
}

const char* name_of(Measure measure) {
  constexpr const char* names[] = {"equal", "largest", "absolute", "share", "mean"};
  return names[static_cast<int>(measure)];
}

ColumnDifference difference(const TableKey& key, const std::string& column, const ColumnValues& got, const ColumnValues& expected, Reference reference, DType vectors) {
  using namespace capture_differences;
  ColumnDifference out{key.table, column, key.segment};
  out.layer = key.layer;
  if (const Rule* rule = rule_of(key.table, column)) {
    out.measure = rule->measure;
    out.tolerance = reference == Reference::kernels ? rule->kernels : reference == Reference::fp32 ? rule->fp32 : rule->recomputed;
  }
  const std::vector<float> a = numbers(key, column, got, vectors), b = numbers(key, column, expected, vectors);
  out.values = b.size();
  if (a.size() != b.size() || got.index() != expected.index()) {
    out.difference = kInfinite;
    return out;
  }
  // Numbers above 2^24 do not fit a float: what must be equal is compared as it is.
  if (out.measure == Measure::equal && got.index() != 0) {
    out.difference = got == expected ? 0 : kInfinite;
    return out;
  }
  const Sums sums = sums_of(a, b);
  out.difference = measured(out.measure, sums, b.size());
  out.rms = std::sqrt(ratio(sums.squares, sums.expected_squares));
  return out;
}

void merge(ColumnDifference& worst, const ColumnDifference& more) {
  worst.values += more.values;
  if (more.difference <= worst.difference) return;
  const std::size_t values = worst.values;
  worst = more;
  worst.values = values;
}

std::vector<ColumnDifference> differences(const Recording& got, const Recording& expected, Reference reference, DType vectors) {
  using namespace capture_differences;
  std::map<std::tuple<std::string, Segment, std::string>, ColumnDifference> worst;
  const auto add = [&](const ColumnDifference& one) {
    const auto [at, is_new] = worst.try_emplace({one.table, one.segment, one.column}, one);
    if (!is_new) merge(at->second, one);
  };
  const auto lacking = [&](const TableKey& key, const std::string& column) {
    ColumnDifference out{key.table, column, key.segment};
    out.layer = key.layer;
    out.difference = kInfinite;
    add(out);
  };
  for (const auto& [key, columns] : expected.tables()) {
    const auto table = got.tables().find(key);
    for (const auto& [name, column] : columns) {
      if (table == got.tables().end() || !table->second.contains(name)) lacking(key, name);
      else add(difference(key, name, table->second.at(name).values, column.values, reference, vectors));
    }
  }
  for (const auto& [key, columns] : got.tables()) {
    const auto table = expected.tables().find(key);
    for (const auto& [name, column] : columns)
      if (table == expected.tables().end() || !table->second.contains(name)) lacking(key, name);
  }
  std::vector<ColumnDifference> out;
  for (auto& [key, one] : worst) out.push_back(std::move(one));
  return out;
}

}  // namespace attnscope::check_captures
