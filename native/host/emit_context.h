// What parts that turn results into tables need of a run, wherever it computes.
#pragma once
#include "core/views.h"
#include "host/cancellation.h"
#include "host/capture_sink.h"
#include "host/phase_clock.h"
#include "host/plan.h"
#include "host/progress.h"
#include "host/thread_pool.h"

namespace attnscope {

struct EmitContext {
  const Plan& plan;
  ThreadPool& pool;
  CaptureSink& sink;
  ProgressReporter& progress;
  PhaseClock& clock;

  std::size_t query_width() const { return std::size_t(plan.model.heads) * plan.model.head_dim; }
  std::size_t kv_width() const { return std::size_t(plan.model.kv_heads) * plan.model.head_dim; }

  /// Work of a row's projections, and of all its matrix products in a layer, in units of one (query, key) pair of one head:
  /// 4 * head_dim flops.
  std::uint64_t projection_work() const {
    return plan.model.hidden_size * (query_width() + 2 * kv_width()) / (2 * plan.model.head_dim);
  }
  std::uint64_t row_work() const {
    const ModelPlan& m = plan.model;
    return projection_work() + m.hidden_size * (query_width() + 3 * std::uint64_t(m.feed_forward_size)) / (2 * m.head_dim);
  }
};

/// One head's rows inside rows that hold all heads side by side.
inline Rows head_rows(Rows all, std::size_t head, std::size_t dim) { return {all.data + head * dim, all.count, dim, all.stride}; }
inline MutableRows head_rows(MutableRows all, std::size_t head, std::size_t dim) {
  return {all.data + head * dim, all.count, dim, all.stride};
}

}  // namespace attnscope
