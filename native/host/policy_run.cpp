#include "host/policy_run.h"

#include <algorithm>
#include <cstring>

#include "host/failure.h"
#include "host/policy_compare.h"
#include "host/policy_model.h"

namespace attnscope {
namespace {

using Clock = std::chrono::steady_clock;

/// Tokens fed as prompt before the policy acts on queries.
std::uint32_t context_of(const PolicyRunPlan& plan) {
  const std::uint32_t prompt = plan.base.prompt_tokens(), context = plan.schedule.context;
  return context == 0 || context > prompt ? prompt : context;
}

template <class... Parts>
Error refuse_assignment(std::uint32_t layer, const Parts&... why) {
  return failure("E_POLICY_ASSIGNMENT", "layer ", layer, " ", why...);
}

/// Heads without policies, and heads given the policy "dense", stand beside any family.
bool stands_aside(const PolicyRunPlan& plan, std::int32_t id) {
  return id < 0 || std::strcmp(plan.policies[id].entry->descriptor.id, "dense") == 0;
}

Status validate_layer(const PolicyRunPlan& plan, std::uint32_t layer) {
  const ModelPlan& model = plan.base.model;
  const std::int32_t* ids = plan.assignment.data() + std::size_t(layer) * model.heads;
  std::int32_t acting = -1;
  for (std::uint32_t head = 0; head < model.heads; ++head) {
    if (stands_aside(plan, ids[head])) continue;
    if (acting < 0) acting = ids[head];
    const PolicyDescriptor &a = plan.policies[acting].entry->descriptor, &b = plan.policies[ids[head]].entry->descriptor;
    if (a.family != b.family)
      return refuse_assignment(layer, "mixes ", a.id, " and ", b.id, ", which act at different points of a run; give its heads policies of one family");
  }
  if (acting < 0 || plan.policies[acting].entry->descriptor.family != Family::retention) return success();
  for (std::uint32_t head = 0; head < model.heads; ++head) {
    const std::uint32_t first = head / plan.base.group() * plan.base.group();
    const bool same = ids[head] == ids[first] || (stands_aside(plan, ids[head]) && stands_aside(plan, ids[first]));
    if (!same)
      return refuse_assignment(layer, "gives heads ", first, " and ", head, " different retention policies, but they share a KV cache; give all ",
                               plan.base.group(), " heads of a kv head the same one");
  }
  return success();
}

/// Bytes that a run holds at once and that grow with the tokens: see working_bytes in capture.cpp.
std::uint64_t working_bytes(const PolicyRunPlan& plan) {
  const ModelPlan& m = plan.base.model;
  const std::uint64_t context = context_of(plan), total = plan.base.total_tokens(), query_width = std::uint64_t(m.heads) * m.head_dim;
  const std::uint64_t kv_width = std::uint64_t(m.kv_heads) * m.head_dim, runs = plan.compare ? 2 : 1;
  const std::uint64_t fed_apart = plan.schedule.chunk > 0 ? 2 * kv_width : 0;
  const std::uint64_t prompt = context * (m.hidden_size + query_width + fed_apart) * 4;
  const std::uint64_t cache = m.layers * total * kv_width * (2 * size_of(plan.base.vectors) + 4);  // keys, values, key panels
  const std::uint64_t expanded = plan.base.vectors == DType::f32 ? 0 : 2 * total * kv_width * 4;
  return prompt + runs * (cache + expanded);
}

Status check_memory(const PolicyRunPlan& plan) {
  auto trial = Buffer<std::uint8_t>::allocate(working_bytes(plan), "the run's activations and KV caches");
  if (!trial) return trial.error();
  asm volatile("" : : "r"(trial.value().data()) : "memory");  // an allocation nobody looks at may be optimised away
  return success();
}

/// Passes progress on; a policy run emits no tables.
class ProgressSink final : public CaptureSink {
 public:
  explicit ProgressSink(const PolicyProgress& report) : report_(report) {}
  Status batch(Batch&&) override { return success(); }
  Status layer_done(Segment, std::uint32_t) override { return success(); }
  void progress(const RunProgress& progress) override {
    if (report_) report_(progress);
  }

 private:
  const PolicyProgress& report_;
};

/// Both models step by step side by side, so that no logits need to be kept.
class Run {
 public:
  Run(const PolicyRunPlan& plan, const PolicyModel::Machine& machine, PolicyRunResult& result)
      : plan_(plan), machine_(machine), context_(context_of(plan)), result_(result), policy_(plan, context_, true, machine) {
    if (plan.compare) dense_ = std::make_unique<PolicyModel>(plan, context_, false, machine);
  }

  Status run() {
    const std::uint32_t layers = plan_.base.model.layers, runs = dense_ ? 2 : 1;
    if (dense_) ATTNSCOPE_TRY(timed(result_.summary.dense_seconds, [&] { return dense_->prefill(0, runs * layers); }));
    ATTNSCOPE_TRY(timed(result_.summary.policy_seconds, [&] { return policy_.prefill((runs - 1) * layers, runs * layers); }));
    // The last token has no successor: it is chosen or known, never run.
    const std::uint32_t rows = plan_.base.total_tokens() - context_;
    for (std::uint32_t row = 0; row < rows; ++row) {
      machine_.progress.begin(Phase::decode, row, rows, runs);
      const std::uint32_t id = add_row(context_ - 1 + row);
      if (row + 1 == rows || stops(id, row)) break;
      if (dense_) ATTNSCOPE_TRY(timed(result_.summary.dense_seconds, [&] { return dense_->step(id); }));
      machine_.progress.advance(1);
      ATTNSCOPE_TRY(timed(result_.summary.policy_seconds, [&] { return policy_.step(id); }));
    }
    return success();
  }

  void finish() {
    const ModelPlan& model = plan_.base.model;
    auto& s = result_.summary;
    const EvictingKvCache& cache = policy_.cache();
    for (std::uint32_t layer = 0; layer < model.layers; ++layer)
      for (std::uint32_t h = 0; h < model.kv_heads; ++h) {
        result_.resident_tokens.push_back(static_cast<std::uint32_t>(cache.length(layer, h)));
        s.dense_bytes += static_cast<double>(cache.appended(layer, h)) * static_cast<double>(cache.token_bytes());
      }
    s.kept_bytes = static_cast<double>(cache.tokens() * cache.token_bytes());
    s.peak_bytes = static_cast<double>(policy_.peak_tokens() * cache.token_bytes());
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
    const std::span<const float> policy = policy_.logits();
    const std::uint32_t prompt = plan_.base.prompt_tokens(), next = position + 1, policy_top1 = most_likely(policy);
    const std::uint32_t dense_top1 = dense_ ? most_likely(dense_->logits()) : policy_top1;
    const bool forced = next < prompt || !plan_.base.forced.empty();
    const std::uint32_t id = next < prompt ? plan_.base.tokens[next] : forced ? plan_.base.forced[next - prompt] : dense_top1;
    result_.position.push_back(position);
    result_.id.push_back(id);
    result_.forced.push_back(forced);
    result_.policy_top1.push_back(policy_top1);
    result_.policy_log_probability.push_back(static_cast<float>(policy[id] - log_sum_exp(policy)));
    if (!dense_) return id;
    const std::span<const float> dense = dense_->logits();
    result_.dense_top1.push_back(dense_top1);
    result_.dense_log_probability.push_back(static_cast<float>(dense[id] - log_sum_exp(dense)));
    result_.kl.push_back(static_cast<float>(divergence(dense, policy)));
    for (std::uint32_t layer = 0; layer < plan_.base.model.layers; ++layer)
      residual_error_.push_back(static_cast<float>(relative_difference(policy_.residual(layer), dense_->residual(layer))));
    return id;
  }

  bool stops(std::uint32_t id, std::uint32_t row) const {
    const bool chosen = context_ + row >= plan_.base.prompt_tokens();
    return !dense_ && chosen && std::find(plan_.stop_ids.begin(), plan_.stop_ids.end(), id) != plan_.stop_ids.end();
  }

  const PolicyRunPlan& plan_;
  const PolicyModel::Machine machine_;
  const std::uint32_t context_;
  PolicyRunResult& result_;
  PolicyModel policy_;
  std::unique_ptr<PolicyModel> dense_;
  std::vector<float> residual_error_;  // [rows][layers]
};

}  // namespace

Status validate(const PolicyRunPlan& plan) {
  ATTNSCOPE_TRY(validate(plan.base));
  const ModelPlan& model = plan.base.model;
  const std::size_t heads = std::size_t(model.layers) * model.heads;
  if (plan.assignment.size() != heads)
    return failure("E_PLAN_INVALID", "plan field assignment holds ", plan.assignment.size(), " values for ", heads, " heads");
  for (std::int32_t id : plan.assignment)
    if (id < -1 || id >= static_cast<std::int64_t>(plan.policies.size()))
      return failure("E_PLAN_INVALID", "plan field assignment names policy ", id, " of ", plan.policies.size(), "; -1 means dense");
  for (const auto& head : plan.traces)
    if (head.layer >= model.layers || head.head >= model.heads)
      return failure("E_PLAN_INVALID", "plan field traces names layer ", head.layer, ", head ", head.head, "; the model has ", model.layers, " layers of ",
                     model.heads, " heads");
  if (context_of(plan) == plan.base.total_tokens())
    return failure("E_PLAN_INVALID", "plan field decode.steps is 0 and the whole prompt is context, so no token follows; decode at least one step or shorten schedule.context");
  if (!plan.compare && !plan.base.forced.empty())
    return failure("E_PLAN_INVALID", "plan field decode.forced is given, but mode generate chooses its tokens itself; leave it empty or compare");
  for (const PolicyChoice& choice : plan.policies)
    if (choice.entry->descriptor.needs_future)
      return failure("E_POLICY_REPLAY_ONLY", "policy ", choice.entry->descriptor.id,
                     " looks at attention that is still to come, which a run cannot know; replay it over a capture");
  for (std::uint32_t layer = 0; layer < model.layers; ++layer) ATTNSCOPE_TRY(validate_layer(plan, layer));
  return success();
}

Result<PolicyRunResult> run_policy(const PolicyRunPlan& plan, Cancellation& cancellation, const PolicyProgress& report) {
  ATTNSCOPE_TRY(validate(plan));
  ATTNSCOPE_TRY(check_memory(plan));
  PhaseClock clock;
  ProgressSink sink(report);
  ProgressReporter progress(sink);
  ThreadPool pool(plan.base.threads, &cancellation, [&] { progress.heartbeat(); });
  progress.begin(Phase::load, 0, 1, 1);
  auto weights = Weights::open(plan.base);
  if (!weights) return weights.error();
  auto model = make_model(plan.base.model, weights.value(), pool);
  if (!model) return model.error();

  PolicyRunResult result;
  Run run(plan, {pool, *model.value(), sink, progress, clock}, result);
  const Status ran = run.run();
  if (!ran && !is_cancelled(ran.error())) return ran.error();
  result.cancelled = !ran.ok();
  run.finish();
  return Result<PolicyRunResult>(std::move(result));
}

}  // namespace attnscope
