#include "host/policy_drive.h"

#include <algorithm>
#include <chrono>

#include "host/policy_compare.h"
#include "host/policy_model.h"

namespace attnscope {
namespace {

using Clock = std::chrono::steady_clock;

/// Both models step by step side by side, so that no logits need to be kept.
class Run {
 public:
  Run(const PolicyRunPlan& plan, const std::function<std::unique_ptr<PolicyBackend>()>& make_backend, ThreadPool& pool, ProgressReporter& progress,
      PolicyRunResult& result)
      : plan_(plan), progress_(progress), context_(context_of(plan)), result_(result), policy_(plan, context_, true, make_backend(), pool, progress) {
    if (plan.compare) dense_ = std::make_unique<PolicyModel>(plan, context_, false, make_backend(), pool, progress);
  }

  Status run() {
    const std::uint32_t layers = plan_.base.model.layers, runs = dense_ ? 2 : 1;
    if (dense_) ATTNSCOPE_TRY(timed(result_.summary.dense_seconds, [&] { return dense_->prefill(0, runs * layers); }));
    ATTNSCOPE_TRY(timed(result_.summary.policy_seconds, [&] { return policy_.prefill((runs - 1) * layers, runs * layers); }));
    // The last token has no successor: it is chosen or known, never run.
    const std::uint32_t rows = plan_.base.total_tokens() - context_;
    for (std::uint32_t row = 0; row < rows; ++row) {
      progress_.begin(Phase::decode, row, rows, runs);
      const std::uint32_t id = add_row(context_ - 1 + row);
      if (row + 1 == rows || stops(id, row)) break;
      if (dense_) ATTNSCOPE_TRY(timed(result_.summary.dense_seconds, [&] { return dense_->step(id); }));
      progress_.advance(1);
      ATTNSCOPE_TRY(timed(result_.summary.policy_seconds, [&] { return policy_.step(id); }));
    }
    return success();
  }

  void finish() {
    const ModelPlan& model = plan_.base.model;
    auto& s = result_.summary;
    const PolicyBackend& cache = policy_.backend();
    const double token_bytes = 2.0 * model.head_dim * static_cast<double>(size_of(plan_.base.vectors));
    for (std::uint32_t layer = 0; layer < model.layers; ++layer)
      for (std::uint32_t h = 0; h < model.kv_heads; ++h) {
        result_.resident_tokens.push_back(static_cast<std::uint32_t>(cache.length(layer, h)));
        s.dense_bytes += static_cast<double>(cache.appended(layer, h)) * token_bytes;
      }
    s.kept_bytes = static_cast<double>(cache.tokens()) * token_bytes;
    s.peak_bytes = static_cast<double>(policy_.peak_tokens()) * token_bytes;
    s.prefill_cells = policy_.causal_cells();
    s.prefill_kernel_cells = policy_.kernel_cells();
    const std::size_t rows = result_.position.size();
    result_.residual_error.resize(residual_error_.size());
    for (std::size_t i = 0; i < residual_error_.size(); ++i) result_.residual_error[i % model.layers * rows + i / model.layers] = residual_error_[i];
    result_.traces = policy_.take_traces();
    summarise_rows(result_);
  }

 private:
  template <class Work>
  Status timed(double& seconds, Work work) {
    const Clock::time_point start = Clock::now();
    Status status = work();
    seconds += std::chrono::duration<double>(Clock::now() - start).count();
    return status;
  }

  /// Writes down the row of the query at `position` and returns the token that follows it.
  std::uint32_t add_row(std::uint32_t position) {
    const std::span<const float> policy = policy_.backend().logits();
    const std::uint32_t prompt = plan_.base.prompt_tokens(), next = position + 1, policy_top1 = most_likely(policy);
    const std::uint32_t dense_top1 = dense_ ? most_likely(dense_->backend().logits()) : policy_top1;
    const bool forced = next < prompt || !plan_.base.forced.empty();
    const std::uint32_t id = next < prompt ? plan_.base.tokens[next] : forced ? plan_.base.forced[next - prompt] : dense_top1;
    result_.position.push_back(position);
    result_.id.push_back(id);
    result_.forced.push_back(forced);
    result_.policy_top1.push_back(policy_top1);
    result_.policy_log_probability.push_back(static_cast<float>(policy[id] - log_sum_exp(policy)));
    if (!dense_) return id;
    const std::span<const float> dense = dense_->backend().logits();
    result_.dense_top1.push_back(dense_top1);
    result_.dense_log_probability.push_back(static_cast<float>(dense[id] - log_sum_exp(dense)));
    result_.kl.push_back(static_cast<float>(divergence(dense, policy)));
    for (std::uint32_t layer = 0; layer < plan_.base.model.layers; ++layer)
      residual_error_.push_back(static_cast<float>(relative_difference(policy_.backend().residual(layer), dense_->backend().residual(layer))));
    return id;
  }

  bool stops(std::uint32_t id, std::uint32_t row) const {
    const bool chosen = context_ + row >= plan_.base.prompt_tokens();
    return !dense_ && chosen && std::find(plan_.stop_ids.begin(), plan_.stop_ids.end(), id) != plan_.stop_ids.end();
  }

  const PolicyRunPlan& plan_;
  ProgressReporter& progress_;
  const std::uint32_t context_;
  PolicyRunResult& result_;
  PolicyModel policy_;
  std::unique_ptr<PolicyModel> dense_;
  std::vector<float> residual_error_;  // [rows][layers]
};

}  // namespace

std::uint32_t context_of(const PolicyRunPlan& plan) {
  const std::uint32_t prompt = plan.base.prompt_tokens(), context = plan.schedule.context;
  return context == 0 || context > prompt ? prompt : context;
}

Result<PolicyRunResult> drive_policy(const PolicyRunPlan& plan, const std::function<std::unique_ptr<PolicyBackend>()>& make_backend, ThreadPool& pool,
                                     ProgressReporter& progress) {
  PolicyRunResult result;
  Run run(plan, make_backend, pool, progress, result);
  const Status ran = run.run();
  if (!ran && !is_cancelled(ran.error())) return ran.error();
  result.cancelled = !ran.ok();
  run.finish();
  return Result<PolicyRunResult>(std::move(result));
}

}  // namespace attnscope
