#include <cstdio>

#include "tools/check/check.h"

namespace attnscope::check_kernels {
namespace {

std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, x == 0 ? "0" : x > 1e300 ? "wrong" : "%.1e", x);
  return text;
}

/// Header and rows as text; everything left of the cases is a name.
std::vector<std::vector<std::string>> cells(const CheckReport& report) {
  std::vector<std::vector<std::string>> table{{"operation", "result", "dtype", "head_dim", "cases", "error", "tolerance", "verdict"}};
  for (const CheckRow& row : report.rows)
    table.push_back({row.operation, row.result, row.dtype, row.head_dim == 0 ? "" : std::to_string(row.head_dim), std::to_string(row.cases), number(row.error),
                     row.tolerance == 0 ? "equal" : number(row.tolerance), row.passed ? "passed" : "FAILED: " + row.first_failure});
  return table;
}

}  // namespace

std::string to_text(const CheckReport& report) {
  const auto table = cells(report);
  std::vector<std::size_t> width(table[0].size());
  for (const auto& row : table)
    for (std::size_t i = 0; i + 1 < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  std::string text;
  for (const auto& row : table) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) text += row[i] + std::string(width[i] + 2 - row[i].size(), ' ');
    text += row.back() + "\n";
  }
  return text;
}

std::string to_markdown(const CheckReport& report) {
  std::string text;
  const auto table = cells(report);
  for (std::size_t r = 0; r < table.size(); ++r) {
    for (const std::string& cell : table[r]) text += "| " + cell + " ";
    text += r == 0 ? "|\n|---|---|---|---:|---:|---:|---:|---|\n" : "|\n";
  }
  return text;
}

}  // namespace attnscope::check_kernels
