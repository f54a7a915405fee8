// A test program: TEST("what holds") { CHECK...; }, one program a file. Prints the first failures of a test, not all.
#pragma once
#include <cmath>
#include <cstdio>
#include <functional>
#include <vector>

namespace check {

struct Test {
  const char* name;
  std::function<void()> run;
};
inline std::vector<Test> tests;
inline int failures = 0, failures_of_test = 0;

inline int add(const char* name, std::function<void()> run) {
  tests.push_back({name, std::move(run)});
  return 0;
}

inline void fail(const char* file, int line, const char* what, double got, double expected) {
  ++failures;
  if (++failures_of_test <= 5) std::printf("  %s:%d: %s: got %.9g, expected %.9g\n", file, line, what, got, expected);
}

inline bool near(double got, double expected, double relative, double absolute) {
  if (std::isnan(expected)) return std::isnan(got);
  if (std::isinf(expected)) return got == expected;
  return std::fabs(got - expected) <= absolute + relative * std::fabs(expected);
}

/// Infinite where the lengths differ.
inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::fmax(largest, std::fabs(double(a[i]) - double(b[i])));
  return largest;
}

}  // namespace check

#define CHECK_JOIN2(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN2(a, b)
#define TEST(name)                                                                                     \
  static void CHECK_JOIN(test_, __LINE__)();                                                           \
  static const int CHECK_JOIN(registered_, __LINE__) = check::add(name, CHECK_JOIN(test_, __LINE__));  \
  static void CHECK_JOIN(test_, __LINE__)()

#define CHECK(condition) \
  do { if (!(condition)) check::fail(__FILE__, __LINE__, #condition, 0, 1); } while (false)
#define CHECK_EQUAL(got, expected)                                                                    \
  do {                                                                                                \
    const double g_ = static_cast<double>(got), e_ = static_cast<double>(expected);                   \
    if (!check::near(g_, e_, 0, 0)) check::fail(__FILE__, __LINE__, #got, g_, e_);                    \
  } while (false)
/// |got - expected| <= absolute + relative * |expected|; NaN equals NaN alone.
#define CHECK_NEAR(got, expected, relative, absolute)                                                 \
  do {                                                                                                \
    const double g_ = static_cast<double>(got), e_ = static_cast<double>(expected);                   \
    if (!check::near(g_, e_, relative, absolute)) check::fail(__FILE__, __LINE__, #got, g_, e_);      \
  } while (false)

int main() {
  for (const auto& test : check::tests) {
    check::failures_of_test = 0;
    test.run();
    std::printf("%s %s\n", check::failures_of_test == 0 ? "ok  " : "FAIL", test.name);
  }
  return check::failures == 0 ? 0 : 1;
}
