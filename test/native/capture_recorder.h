// What a capture hands over, kept for comparison: every column as doubles, joined over batches.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "check.h"
#include "random_model.h"

namespace capture_recorder {

using namespace attnscope;

/// Keeps every column as doubles, joined over batches, by "table/segment/layer/column".
class Recorder final : public CaptureSink {
 public:
  std::map<std::string, std::vector<double>> columns;
  int layers_done = 0, reports = 0;
  bool ragged = false;
  std::function<void(const RunProgress&)> on_progress;
  std::function<Status(const Batch&)> on_batch;

  Status batch(Batch&& batch) override {
    if (on_batch)
      if (const Status status = on_batch(batch); !status) return status;
    for (const Column& column : batch.columns) {
      auto& values = columns[std::string(batch.table) + "/" + name_of(batch.segment) + "/" + std::to_string(batch.layer) + "/" + column.name];
      std::visit([&](const auto& v) {
        ragged = ragged || v.size() != std::size_t{batch.rows} * column.width;
        values.insert(values.end(), v.begin(), v.end());
      }, column.values);
    }
    return success();
  }
  Status layer_done(Segment, std::uint32_t) override { return ++layers_done, success(); }
  void progress(const RunProgress& progress) override {
    ++reports;
    if (on_progress) on_progress(progress);
  }
  const std::vector<double>& at(const std::string& name) { return columns[name]; }
};

/// A run that must succeed.
inline CaptureSummary accept(Result<CaptureSummary> result, const Recorder& sink) {
  CHECK(result.ok());
  if (!result) {
    std::printf("  %s: %s\n", result.error().code.c_str(), result.error().message.c_str());
    return {};
  }
  CHECK(!sink.ragged);
  return result.take();
}
inline CaptureSummary capture(const Plan& plan, Recorder& sink) {
  Cancellation cancellation;
  return accept(run_capture(plan, sink, cancellation), sink);
}

inline bool same(const Recorder& a, const Recorder& b) {
  if (a.columns.size() != b.columns.size()) return false;
  for (const auto& [name, values] : a.columns) {
    const auto other = b.columns.find(name);
    if (other == b.columns.end() || other->second.size() != values.size()) return false;
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!(values[i] == other->second[i] || (std::isnan(values[i]) && std::isnan(other->second[i])))) return false;
  }
  return true;
}

/// Every query's attention sums to 1: over columns, over distances, and over the pyramid's finest cells by their visible pairs.
inline void check_sums(Recorder& sink, const Plan& plan) {
  const std::size_t n = plan.tokens.size();
  for (std::uint32_t layer = 0; layer < plan.model.layers; ++layer)
    for (const char* marginal : {"column_sum", "diagonal_sum"}) {
      const auto& sums = sink.at("marginals/prefill/" + std::to_string(layer) + "/" + marginal);
      CHECK_EQUAL(sums.size(), n * plan.model.heads);
      for (std::uint32_t h = 0; h < plan.model.heads && sums.size() == n * plan.model.heads; ++h) {
        double total = 0;
        for (std::size_t i = 0; i < n; ++i) total += sums[h * n + i];
        CHECK_NEAR(total, n, 1e-4, 0);
      }
    }
}

}  // namespace capture_recorder
