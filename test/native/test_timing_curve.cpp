// Interpolation of measured times against a plain reference that works from sorted pairs, and what must hold for any curve.
#include "core/timing/curve.h"

#include <algorithm>
#include <map>
#include <random>

#include "check.h"

using namespace attnscope;

namespace {

struct Points {
  std::vector<double> work, columns, median, p10, p90;
  void add(double w, double k, double us, double spread = 0.05) {
    work.push_back(w);
    columns.push_back(k);
    median.push_back(us);
    p10.push_back(us * (1 - spread));
    p90.push_back(us * (1 + spread));
  }
  TimingPoints view() const { return {work, columns, median, p10, p90}; }
  std::size_t size() const { return work.size(); }
  Points without(double w, double k) const {
    Points out;
    for (std::size_t i = 0; i < size(); ++i)
      if (work[i] != w || columns[i] != k) out.add(work[i], columns[i], median[i]);
    return out;
  }
};

double median_of(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v.size() % 2 ? v[v.size() / 2] : (v[v.size() / 2 - 1] + v[v.size() / 2]) / 2;
}

/// Times by x, points at one x by their median.
std::map<double, double> by_x(const Points& points, double cost) {
  std::map<double, std::vector<double>> all;
  for (std::size_t i = 0; i < points.size(); ++i) all[points.work[i] + cost * points.columns[i]].push_back(points.median[i]);
  std::map<double, double> out;
  for (const auto& [x, times] : all) out[x] = median_of(times);
  return out;
}

double reference(const Points& points, double cost, double x) {
  const auto curve = by_x(points, cost);
  const double least = *std::min_element(points.median.begin(), points.median.end());
  const auto high = curve.lower_bound(x);
  if (high == curve.end()) return std::max(least, curve.rbegin()->second / curve.rbegin()->first * x);
  if (high->first == x) return high->second;
  if (high == curve.begin()) return std::max(least, high->second / high->first * x);
  const auto low = std::prev(high);
  const double a = low->second / low->first, b = high->second / high->first;
  const double share = (std::log(x) - std::log(low->first)) / (std::log(high->first) - std::log(low->first));
  const double us = x * ((1 - share) * a + share * b);
  return std::min(std::max(us, std::min(low->second, high->second)), std::max(low->second, high->second));
}

/// The cost of columns by Cramer's rule in long double, intercept included only where it is positive.
double reference_cost(const Points& points) {
  const auto solve = [&](bool intercept) {
    long double g[3][3] = {}, r[3] = {};
    for (std::size_t i = 0; i < points.size(); ++i) {
      const long double t = points.median[i], f[3] = {intercept ? 1 / t : 0, points.work[i] / t, points.columns[i] / t};
      for (int a = 0; a < 3; ++a) {
        r[a] += f[a];
        for (int b = 0; b < 3; ++b) g[a][b] += f[a] * f[b];
      }
    }
    if (!intercept) g[0][0] = 1;
    const auto det = [](long double m[3][3]) {
      return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
    };
    std::vector<long double> x(3);
    for (int c = 0; c < 3; ++c) {
      long double m[3][3];
      for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b) m[a][b] = b == c ? r[a] : g[a][b];
      x[c] = det(m) / det(g);
    }
    return x;
  };
  auto x = solve(true);
  if (x[0] < 0) x = solve(false);
  return std::clamp(static_cast<double>(x[2] / x[1]), 1.0 / 64, 64.0);
}

std::mt19937 random_bits(7);
double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_bits); }
double spread_log(double low, double high) { return std::exp(uniform(std::log(low), std::log(high))); }

/// A kernel with a start-up time, a rate that saturates, steps and noise.
Points random_curve(std::size_t n, bool columns, double noise) {
  Points out;
  const double cost = uniform(0.5, 8);
  for (std::size_t i = 0; i < n; ++i) {
    const double w = std::floor(spread_log(10, 1e6)), k = columns ? std::floor(w * uniform(0, 1)) : 0, x = w + cost * k;
    out.add(w, k, (5 + 0.02 * x * (1 + 2 / (1 + x / 1000))) * uniform(1 - noise, 1 + noise));
    if (i % 7 == 6) out.add(w, k, out.median.back() * uniform(0.98, 1.02));  // measured again
  }
  return out;
}

TimePrediction predict(const Points& points, double w, double k = 0) {
  const auto got = timing_predict(points.view(), w, k);
  CHECK(got.ok());
  return got ? got.value() : TimePrediction{};
}

}  // namespace

TEST("predictions follow the reference, with columns and without") {
  for (int round = 0; round < 60; ++round) {
    const bool columns = round % 2 == 1;
    const Points points = random_curve(static_cast<std::size_t>(4 + round % 25), columns, 0.1);
    const TimingCurve curve = timing_curve(points.view()).value();
    if (columns && points.size() > 8) CHECK_NEAR(curve.column_cost, reference_cost(points), 1e-6, 0);
    if (!columns) CHECK_EQUAL(curve.column_cost, 1);
    for (int i = 0; i < 20; ++i) {
      const double w = spread_log(1, 1e7), k = columns ? w * uniform(0, 1) : 0;
      CHECK_NEAR(predict(points, w, k).us, reference(points, curve.column_cost, w + curve.column_cost * k), 1e-9, 0);
    }
  }
}

TEST("leave-one-out errors are those of curves without the point") {
  for (int round = 0; round < 20; ++round) {
    const Points points = random_curve(12, round % 2 == 1, 0.1);
    const TimingCurve curve = timing_curve(points.view()).value();
    std::vector<double> defined;
    const auto knots = by_x(points, curve.column_cost);
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double x = points.work[i] + curve.column_cost * points.columns[i];
      if (x == knots.begin()->first || x == knots.rbegin()->first) {
        CHECK(std::isnan(curve.loo_errors[i]));
        continue;
      }
      const Points rest = points.without(points.work[i], points.columns[i]);
      const TimePrediction without = predict(rest, points.work[i], points.columns[i]);
      const double own = knots.at(x);
      if (without.kind == TimeKind::interpolated) CHECK_NEAR(curve.loo_errors[i], std::fabs(without.us - own) / own, 1e-9, 1e-12);
      if (!std::isnan(curve.loo_errors[i])) defined.push_back(curve.loo_errors[i]);
    }
    CHECK_EQUAL(curve.error_points, defined.size());
    std::sort(defined.begin(), defined.end());
    CHECK_NEAR(curve.error_median, median_of(defined), 1e-12, 0);
    CHECK_EQUAL(curve.error_worst, defined.back());
    CHECK_EQUAL(curve.error_p90, defined[static_cast<std::size_t>(std::ceil(0.9 * static_cast<double>(defined.size()))) - 1]);
  }
}

TEST("a point gives back its own median and spread; the same point twice, the median of both") {
  for (int round = 0; round < 20; ++round) {
    const Points points = random_curve(15, round % 2 == 1, 0.2);
    for (std::size_t i = 0; i < points.size(); ++i) {
      std::vector<double> same;
      for (std::size_t j = 0; j < points.size(); ++j)
        if (points.work[j] == points.work[i] && points.columns[j] == points.columns[i]) same.push_back(points.median[j]);
      const TimePrediction got = predict(points, points.work[i], points.columns[i]);
      CHECK(got.kind == TimeKind::measured);
      CHECK_EQUAL(got.us, median_of(same));
      CHECK_NEAR(got.error, 0.05, 1e-12, 0);
      CHECK(got.below >= 0 && got.below == got.above && points.work[static_cast<std::size_t>(got.below)] == points.work[i]);
    }
  }
}

TEST("times in another unit scale predictions, costs of columns and errors stay") {
  const Points points = random_curve(20, true, 0.1);
  Points scaled = points;
  for (double& us : scaled.median) us *= 1000;
  const TimingCurve a = timing_curve(points.view()).value(), b = timing_curve(scaled.view()).value();
  CHECK_NEAR(b.column_cost, a.column_cost, 1e-9, 0);
  CHECK_NEAR(b.floor_us, 1000 * a.floor_us, 1e-12, 0);
  CHECK_NEAR(b.error_median, a.error_median, 1e-6, 1e-12);
  for (int i = 0; i < 50; ++i) {
    const double w = spread_log(1, 1e7), k = w * uniform(0, 1);
    CHECK_NEAR(predict(scaled, w, k).us, 1000 * predict(points, w, k).us, 1e-8, 0);
  }
}

TEST("never below the least time, never outside of the neighbours, and named by what it rests on") {
  for (int round = 0; round < 30; ++round) {
    const Points points = random_curve(10, false, 0.3);
    const double least = *std::min_element(points.median.begin(), points.median.end());
    const double first = *std::min_element(points.work.begin(), points.work.end()), last = *std::max_element(points.work.begin(), points.work.end());
    const TimingCurve curve = timing_curve(points.view()).value();
    CHECK_EQUAL(curve.floor_us, least);
    for (int i = 0; i < 30; ++i) {
      const double w = spread_log(1, 1e7) + 0.5;
      const TimePrediction got = predict(points, w);
      CHECK(got.us >= least);
      const bool inside = w > first && w < last;
      CHECK(got.kind == (inside ? TimeKind::interpolated : TimeKind::extrapolated));
      CHECK_EQUAL(got.below < 0, w < first);
      CHECK_EQUAL(got.above < 0, w > last);
      if (!inside) {
        CHECK_EQUAL(got.error, curve.error_worst);
        continue;
      }
      const auto below = static_cast<std::size_t>(got.below), above = static_cast<std::size_t>(got.above);
      CHECK(points.work[below] < w && points.work[above] > w);
      const auto knots = by_x(points, 1);
      const double a = knots.at(points.work[below]), b = knots.at(points.work[above]);
      CHECK(got.us >= std::min(a, b) && got.us <= std::max(a, b));
      const double errors = std::fmax(curve.loo_errors[below], curve.loo_errors[above]);
      CHECK_EQUAL(got.error, std::isnan(errors) ? curve.error_median : errors);
    }
  }
}

TEST("times that grow with work give predictions that do") {
  for (int round = 0; round < 20; ++round) {
    Points points;
    double us = 3;
    for (double w = 1; w < 1e6; w *= uniform(1.1, 3)) points.add(w, 0, us += spread_log(1e-3, 100) * (round % 4 == 0 ? 0 : 1));
    double before = 0;
    for (double w = 0.3; w < 1e7; w *= 1.037) {
      const double now = predict(points, w).us;
      // Beyond the last point, time grows at its rate; between two of one time, there is nothing in between.
      CHECK(now >= before * (1 - 1e-12));
      before = now;
    }
  }
}

TEST("a rate without noise is found again: work, columns, start-up") {
  Points points;
  for (int i = 0; i < 12; ++i) {
    const double w = 100 * std::pow(2, i), k = i % 3 == 0 ? 0 : w / (1 + i % 4);
    points.add(w, k, 0.5 * w + 1.75 * k);
  }
  const TimingCurve curve = timing_curve(points.view()).value();
  CHECK_NEAR(curve.column_cost, 3.5, 1e-9, 0);
  CHECK_NEAR(curve.error_worst, 0, 0, 1e-9);
  CHECK_NEAR(predict(points, 12345, 678).us, 0.5 * 12345 + 1.75 * 678, 1e-9, 0);
  CHECK_NEAR(predict(points, 0, 1000).us, 1750, 1e-9, 0);
  for (double& us : points.median) us += 20;
  CHECK_NEAR(timing_curve(points.view()).value().column_cost, 3.5, 1e-6, 0);
}

TEST("columns that cannot be told from work cost one unit; free ones never cost nothing") {
  Points proportional, free, dear;
  for (int i = 0; i < 6; ++i) {
    const double w = 10 * std::pow(3, i);
    proportional.add(w, w / 2, w * 2);
    free.add(w, i % 2 == 0 ? w : 0, w);
    dear.add(w, i % 2 == 0 ? w / 10 : 0, w + (i % 2 == 0 ? 100 * w : 0));
  }
  CHECK_EQUAL(timing_curve(proportional.view()).value().column_cost, 1);
  CHECK_EQUAL(timing_curve(free.view()).value().column_cost, 1.0 / 64);
  CHECK_EQUAL(timing_curve(dear.view()).value().column_cost, 64);
}

TEST("one point and two") {
  Points points;
  points.add(100, 0, 50);
  TimingCurve curve = timing_curve(points.view()).value();
  CHECK_EQUAL(curve.error_points, 0);
  CHECK(std::isnan(curve.loo_errors[0]) && std::isnan(curve.error_median) && std::isnan(curve.error_p90) && std::isnan(curve.error_worst));
  TimePrediction got = predict(points, 300);
  CHECK(got.kind == TimeKind::extrapolated && got.below == 0 && got.above == -1 && std::isnan(got.error));
  CHECK_EQUAL(got.us, 150);
  CHECK_EQUAL(predict(points, 10).us, 50);
  CHECK_EQUAL(predict(points, 0).us, 50);
  CHECK(predict(points, 100).kind == TimeKind::measured);
  points.add(400, 0, 180);
  got = predict(points, 200);
  CHECK(got.kind == TimeKind::interpolated && std::isnan(got.error) && got.below == 0 && got.above == 1);
  CHECK_NEAR(got.us, 200 * (0.5 + 0.45) / 2, 1e-12, 0);
  CHECK_EQUAL(predict(points, 800).us, 360);
}

TEST("refuses what no curve is made of") {
  const auto refused = [](const Points& points) {
    const auto curve = timing_curve(points.view());
    const auto time = timing_predict(points.view(), 1, 0);
    CHECK(!curve.ok() && !time.ok());
    CHECK((curve.ok() || curve.error().code == "E_TIMING_POINTS") && (time.ok() || time.error().code == "E_TIMING_POINTS"));
  };
  refused({});
  for (const auto& [w, k, us] : {std::array{0.0, 0.0, 1.0}, {-1, 3, 1}, {1, -1, 1}, {1, 0, 0}, {1, 0, -5}, {1, 0, double(NAN)}, {double(NAN), 0, 1}, {double(INFINITY), 0, 1}, {1, 0, double(INFINITY)}}) {
    Points points;
    points.add(1, 0, 1);
    points.add(w, k, us);
    refused(points);
  }
  Points points;
  points.add(1, 0, 1);
  points.columns.push_back(0);
  refused(points);
  points.columns.pop_back();
  for (const double w : {-1.0, double(NAN), double(INFINITY)}) CHECK(!timing_predict(points.view(), w, 0).ok());
  points.p10[0] = points.p90[0] = NAN;
  CHECK(std::isnan(predict(points, 1).error));
}
