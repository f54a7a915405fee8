// Times at lengths, and counts of policies, against values worked out by hand.
#include "core/timing/length.h"

#include <cmath>

#include "check.h"
#include "core/policy/vertical_slash.h"
#include "core/timing/kernel_counts.h"

using namespace attnscope;

namespace {

/// Work quadratic in the length, column work linear, 2 us a unit of both; in no order.
struct Quadratic {
  std::vector<double> lengths = {4096, 1024, 2048, 2049}, work, columns, us, p10, p90;
  Quadratic() {
    for (const double n : lengths) {
      work.push_back(n * n / 1e4);
      columns.push_back(n / 64);
      us.push_back(2 * (work.back() + columns.back()));
      p10.push_back(us.back() * 0.9);
      p90.push_back(us.back() * 1.3);
    }
  }
  TimingPoints points() const { return {work, columns, us, p10, p90}; }
  TimePrediction at(double tokens) const { return timing_at_length(points(), lengths, tokens).value(); }
};

}  // namespace

TEST("a measured length is its own time and spread; between two work is a power of the length") {
  const Quadratic q;
  const TimePrediction exact = q.at(2048);
  CHECK_EQUAL(exact.us, q.us[2]);
  CHECK(exact.kind == TimeKind::measured);
  CHECK_NEAR(exact.error, 0.2, 1e-12, 0);
  CHECK_EQUAL(exact.below, 2);
  CHECK_EQUAL(exact.above, 2);
  const TimePrediction between = q.at(3000);
  CHECK(between.kind == TimeKind::interpolated);
  CHECK_EQUAL(between.below, 3);
  CHECK_EQUAL(between.above, 0);
  const TimePrediction asked = timing_predict(q.points(), 900, 3000.0 / 64).value();
  CHECK_NEAR(between.us, asked.us, 1e-9, 0);
  CHECK_NEAR(between.us, 2 * (900 + 3000.0 / 64), 1e-9, 0);
}

TEST("beyond the ends work goes on as between lengths that are no sides of one edge") {
  const Quadratic q;
  for (const auto& [tokens, below, above] : {std::tuple{8192.0, 0, -1}, {512.0, -1, 1}}) {
    const TimePrediction out = q.at(tokens);
    CHECK(out.kind == TimeKind::extrapolated);
    CHECK_EQUAL(out.below, below);
    CHECK_EQUAL(out.above, above);
    CHECK_NEAR(out.us, timing_predict(q.points(), tokens * tokens / 1e4, tokens / 64).value().us, 1e-9, 0);
  }
  // 2048 and 2049 alone are two sides of an edge: no direction to go on in. Between them there is.
  const std::vector<double> lengths = {2048, 2050}, work = {10, 12}, none = {0, 0}, us = {20, 24};
  const TimingPoints edge{work, none, us, us, us};
  CHECK(std::isnan(timing_at_length(edge, lengths, 4096).value().us));
  CHECK(std::isnan(timing_at_length(edge, lengths, 1024).value().us));
  CHECK_NEAR(timing_at_length(edge, lengths, 2049).value().us, 2 * std::sqrt(120.0), 1e-4, 0);
  const TimingPoints one{std::span(work).first(1), std::span(none).first(1), std::span(us).first(1), std::span(us).first(1), std::span(us).first(1)};
  CHECK(std::isnan(timing_at_length(one, std::span(lengths).first(1), 4096).value().us));
  CHECK_EQUAL(timing_at_length(one, std::span(lengths).first(1), 2048).value().us, 20);
}

TEST("lengths that are none are refused") {
  const Quadratic q;
  const double nan = std::nan("");
  for (const double tokens : {0.0, -1.0, nan}) CHECK(!timing_at_length(q.points(), q.lengths, tokens).ok());
  CHECK(!timing_at_length(q.points(), std::span(q.lengths).first(3), 1000).ok());
  std::vector<double> lengths = q.lengths;
  lengths[1] = nan;
  CHECK(!timing_at_length(q.points(), lengths, 1000).ok());
  CHECK(timing_at_length(q.points(), lengths, 1000).error().code == "E_TIMING_POINTS");
}

TEST("vertical-slash keeps what its plan holds, and its kernels are counted by it") {
  struct Case {
    const char* policy;
    std::uint32_t tokens, columns, distances, forced_columns, forced_distances;
  };
  for (const Case& c : {Case{"vertical-slash:v=1000,s=6096", 8192, 1000, 6096, 30, 100}, {"vertical-slash:v=10,s=20,force_v=30,force_s=100", 8192, 30, 50, 30, 50},
                        {"vertical-slash:v=10,s=60,force_v=4", 8192, 10, 60, 4, 60}, {"vertical-slash:v=1000,s=6096", 40, 40, 40, 30, 40}, {"vertical-slash", 0, 0, 0, 0, 0}}) {
    const auto choice = parse_policy(c.policy);
    const vertical_slash::Kept kept = vertical_slash::kept(choice.value().config, c.tokens);
    CHECK_EQUAL(kept.columns, c.columns);
    CHECK_EQUAL(kept.distances, c.distances);
    CHECK_EQUAL(kept.forced_columns, c.forced_columns);
    CHECK_EQUAL(kept.forced_distances, c.forced_distances);
    const KernelCounts counts = kernel_counts(choice.value(), "vertical-slash", c.tokens);
    CHECK_EQUAL(counts.columns, c.columns);
    CHECK_EQUAL(counts.distances, c.distances);
  }
  const auto dense = parse_policy("dense");
  CHECK_EQUAL(kernel_counts(dense.value(), "vertical-slash", 100).columns, 0);
}
