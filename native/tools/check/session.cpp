#include "tools/check/session.h"

#include <cstring>

namespace attnscope::check_kernels {

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::f16: return "f16";
    case DType::bf16: return "bf16";
  }
  return "";
}

Session::Session(KernelDevice& device, const CheckOptions& options)
    : device(device), full(options.size == Size::full), random(options.seed), only_(options.only) {
  report.seed = options.seed;
}

std::vector<DType> Session::dtypes() const {
  if (std::strcmp(device.facts().kind, "cpu") == 0) return {DType::f32, DType::f16, DType::bf16};
  return {DType::f16, DType::bf16};
}

void Session::record(const Kind& kind, double error, double tolerance, const std::string& what) {
  const std::string dtype = kind.has_dtype ? name_of(kind.dtype) : "";
  auto row = std::find_if(report.rows.begin(), report.rows.end(), [&](const CheckRow& r) {
    return r.operation == kind.operation && r.result == kind.result && r.dtype == dtype && r.head_dim == kind.head_dim;
  });
  if (row == report.rows.end()) {
    report.rows.push_back({kind.operation, kind.result, dtype, kind.head_dim, 0, 0, tolerance, true, {}});
    row = report.rows.end() - 1;
  }
  ++row->cases;
  row->error = std::isnan(error) ? infinite : std::max(row->error, error);
  if (!(error <= tolerance) && row->passed) {
    row->passed = false;
    row->first_failure = what;
  }
}

bool Session::run(const Kind& kind, const std::string& what, const std::function<Outcome()>& operation) {
  Outcome outcome = operation();
  if (outcome == nullptr) outcome = device.synchronize();
  if (outcome == nullptr) return true;
  record(kind, infinite, 0, what + ": " + outcome);
  return false;
}

bool CheckReport::passed() const {
  return std::all_of(rows.begin(), rows.end(), [](const CheckRow& row) { return row.passed; });
}

std::size_t CheckReport::cases() const {
  std::size_t sum = 0;
  for (const CheckRow& row : rows) sum += row.cases;
  return sum;
}

namespace {

struct Group {
  void (*run)(Session&);
  std::vector<const char*> operations;
};

const std::vector<Group>& groups() {
  static const std::vector<Group> all{{check_memory, {"memory"}},
                                      {check_prompt, {"dense", "a_shape"}},
                                      {check_sparse, {"sparse"}},
                                      {check_decode, {"decode"}},
                                      {check_merge, {"merge"}},
                                      {check_strip, {"strip"}},
                                      {check_select, {"select"}},
                                      {check_convert, {"convert"}},
                                      {check_blocks, {"pool", "select_blocks"}},
                                      {check_lag_score, {"lag_score"}},
                                      {check_hash, {"hash", "sort_buckets"}},
                                      {check_reduce, {"reduce"}},
                                      {check_coverage, {"coverage"}},
                                      {check_embed, {"embed"}},
                                      {check_norm, {"norm"}},
                                      {check_multiply, {"multiply"}},
                                      {check_rotate, {"rotate"}},
                                      {check_activate, {"activate"}},
                                      {check_cast, {"cast"}},
                                      {check_gather, {"gather"}},
                                      {check_count_non_finite, {"count_non_finite"}},
                                      {check_moments, {"moments"}}};
  return all;
}

}  // namespace

const std::vector<std::string>& checked_operations() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Group& group : groups()) list.insert(list.end(), group.operations.begin(), group.operations.end());
    return list;
  }();
  return names;
}

CheckReport run_checks(KernelDevice& device, const CheckOptions& options) {
  Session session(device, options);
  for (const Group& group : groups())
    if (std::any_of(group.operations.begin(), group.operations.end(), [&](const char* name) { return session.wants(name); })) group.run(session);
  return std::move(session.report);
}

}  // namespace attnscope::check_kernels
