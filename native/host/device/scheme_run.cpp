#include "host/device/scheme_run.h"

#include <algorithm>
#include <chrono>

#include "host/device/device_model.h"
#include "host/device/scheme_forward.h"
#include "host/failure.h"
#include "host/policy_compare.h"

namespace attnscope {

Status validate(const Plan& plan, const SchemePlan& scheme) {
  using memory::MiniSequence;
  const memory::Scheme& s = scheme.scheme;
  if (s.mini.mode == MiniSequence::Mode::by_size && s.mini.piece_tokens == 0) return failure("E_SCHEME", "a mini-sequence of 0 tokens; pass at least 1");
  if (s.mini.mode == MiniSequence::Mode::by_count && s.mini.pieces == 0) return failure("E_SCHEME", "0 mini-sequences; pass at least 1");
  if (s.mini.mode != MiniSequence::Mode::off && s.mini.last_mlp == MiniSequence::LastMlp::last_token && s.logits.rows == memory::LogitsMode::Rows::all)
    return failure("E_SCHEME", "the last layer's MLP of the last token alone leaves no logits of other tokens; take logits of the last token");
  if (scheme.keep_logits && s.logits.rows != memory::LogitsMode::Rows::all)
    return failure("E_SCHEME", "logits of every token are asked for, and the scheme computes the last token's; take logits of all");
  if (scheme.store == SchemePlan::Store::disk && s.offload.unit == memory::Offload::Unit::none)
    return failure("E_SCHEME", "a cache on disk is an offloaded one; say whether by layer or by head");
  if (!scheme.retention) return success();
  const PolicyDescriptor& policy = scheme.retention->entry->descriptor;
  if (policy.family != Family::retention) return failure("E_SCHEME", "policy ", policy.id, " drops no keys; a scheme takes a retention policy");
  if (s.offload.unit == memory::Offload::Unit::head && plan.model.kv_heads > 1)
    return failure("E_SCHEME", "retention policies decide over the kv heads of a layer together, and this scheme offloads them one by one; offload by layer");
  return success();
}

namespace {

class SchemeRun {
 public:
  SchemeRun(KernelDevice& device, const Plan& plan, const SchemePlan& scheme, DType compute, Cancellation& cancellation,
            const std::function<void(const RunProgress&)>& progress, SchemeResult& result)
      : device_(device), plan_(plan), scheme_(scheme), compute_(compute), cancellation_(cancellation), progress_(progress), result_(result),
        memory_(device, plan.device.memory_bytes, result), cache_(plan, scheme, device, memory_, result), policies_(plan, scheme, device, memory_, cache_),
        forward_(plan, scheme, compute, device, memory_, cache_, policies_) {}
  ~SchemeRun() {
    (void)device_.synchronize();
    memory_.op = memory::Op::end, memory_.layer = -1;
  }

  Status run(const Weights& weights) {
    tell(Phase::load, 0, 1);
    ATTNSCOPE_TRY(policies_.open());
    ATTNSCOPE_TRY(timed(memory::Phase::load, [&]() -> Status {
      result_.streamed_weights = streams();
      ATTNSCOPE_TRY(forward_.open(weights, result_.streamed_weights));
      return cache_.open();
    }));
    ATTNSCOPE_TRY(timed(memory::Phase::prefill, [&] { return prefill(); }));
    if (scheme_.scheme.offload.reload) ATTNSCOPE_TRY(timed(memory::Phase::reload, [&] { return cache_.reload(); }));
    const Status decoded = timed(memory::Phase::decode, [&] { return decode(); });
    for (std::uint32_t layer = 0; layer < plan_.model.layers; ++layer)
      for (std::uint32_t h = 0; h < plan_.model.kv_heads; ++h) result_.resident_tokens.push_back(cache_.held(layer, h));
    return decoded;
  }

 private:
  void tell(Phase phase, std::uint32_t done, std::uint32_t total) const {
    if (progress_) progress_({phase, done, total, 0});
  }

  template <class Work>
  Status timed(memory::Phase phase, Work work) {
    using Clock = std::chrono::steady_clock;
    memory_.phase = phase, memory_.step = 0, memory_.layer = -1;
    const Clock::time_point start = Clock::now();
    Status status = work();
    if (status) status = check(device_.synchronize());
    result_.seconds[static_cast<std::size_t>(phase)] = std::chrono::duration<double>(Clock::now() - start).count();
    return status;
  }

  Status prefill() {
    const std::uint32_t prompt = plan_.prompt_tokens(), chunk = scheme_.scheme.chunk_tokens == 0 ? prompt : scheme_.scheme.chunk_tokens, layers = plan_.model.layers;
    const std::uint32_t calls = (prompt + chunk - 1) / chunk;
    if (scheme_.keep_logits) result_.logits.resize(std::size_t{prompt} * plan_.model.vocab_size);
    for (std::uint32_t i = 0; i < calls; ++i) {
      memory_.step = i;
      SchemeForward::Call call;
      call.first = i * chunk;
      call.ids = std::span(plan_.tokens).subspan(call.first, std::min(chunk, prompt - call.first));
      call.last = i + 1 == calls;
      if (scheme_.keep_logits) call.all_logits = result_.logits.data() + std::size_t{call.first} * plan_.model.vocab_size;
      call.before_layer = [&](std::uint32_t layer) -> Status {
        tell(Phase::prefill, i * layers + layer, calls * layers);
        return cancellation_.requested() ? Status(cancelled()) : success();
      };
      ATTNSCOPE_TRY(forward_.run(call));
    }
    result_.last_logits.assign(forward_.last_logits().begin(), forward_.last_logits().end());
    memory_.op = memory::Op::evict;
    return cache_.settle();
  }

  Status decode() {
    std::vector<float> logits = result_.last_logits;
    for (std::uint32_t step = 0; step < plan_.decode_steps; ++step) {
      memory_.step = step;
      tell(Phase::decode, step, plan_.decode_steps);
      const std::uint32_t id = plan_.forced.empty() ? most_likely(logits) : plan_.forced[step];
      SchemeForward::Call call;
      call.ids = {&id, 1};
      call.first = plan_.prompt_tokens() + step;
      call.decodes = true;
      call.last = step + 1 == plan_.decode_steps;
      call.before_layer = [&](std::uint32_t) { return cancellation_.requested() ? Status(cancelled()) : success(); };
      ATTNSCOPE_TRY(forward_.run(call));
      logits.assign(forward_.last_logits().begin(), forward_.last_logits().end());
      result_.decoded.push_back(id);
      result_.step_logits.insert(result_.step_logits.end(), logits.begin(), logits.end());
    }
    return cache_.settle();
  }

  /// Weights that would not fit beside what a prefill call holds at least come layer by layer.
  bool streams() {
    if (plan_.device.weights != DevicePlan::Weights::automatic) return plan_.device.weights == DevicePlan::Weights::streamed;
    const ModelPlan& m = plan_.model;
    const std::uint64_t prompt = plan_.prompt_tokens(), rows = scheme_.scheme.chunk_tokens == 0 ? prompt : std::min<std::uint64_t>(scheme_.scheme.chunk_tokens, prompt);
    const std::uint64_t piece = piece_rows(scheme_.scheme.mini, static_cast<std::uint32_t>(rows)), element = size_of(compute_), query_width = std::uint64_t{m.heads} * m.head_dim;
    const bool resident = scheme_.scheme.offload.unit == memory::Offload::Unit::none || scheme_.scheme.offload.reload;
    const std::uint64_t kv_width = std::uint64_t{m.kv_heads} * m.head_dim, layers = resident ? m.layers : 2;
    const std::uint64_t cache = layers * plan_.total_tokens() * 2 * kv_width * size_of(plan_.vectors), residual = rows * (m.hidden_size + m.head_dim) * sizeof(float);
    const std::uint64_t attention = rows * (m.hidden_size * element + (query_width + 2 * kv_width) * sizeof(float)) + (rows + 64) * query_width * size_of(plan_.vectors);
    const std::uint64_t mlp = piece * (m.hidden_size + 2 * std::uint64_t{m.feed_forward_size}) * element;
    const std::uint64_t logits = scheme_.scheme.logits.rows == memory::LogitsMode::Rows::last ? 0 : piece * m.vocab_size * sizeof(float);
    WeightBuffers buffers;
    const std::uint64_t weights = needs_of(list_weights(m, compute_, false, buffers)).total();
    return weights + cache + residual + std::max({attention, mlp, logits}) > memory_.device().available();
  }

  KernelDevice& device_;
  const Plan& plan_;
  const SchemePlan& scheme_;
  const DType compute_;
  Cancellation& cancellation_;
  const std::function<void(const RunProgress&)>& progress_;
  SchemeResult& result_;
  SchemeMemory memory_;
  SchemeCache cache_;
  SchemePolicies policies_;
  SchemeForward forward_;
};

}  // namespace

Result<SchemeResult> run_scheme(KernelDevice& device, const Plan& asked, const SchemePlan& scheme, Cancellation& cancellation,
                                const std::function<void(const RunProgress&)>& progress) {
  Plan plan = asked;
  plan.reduce.enabled = false;
  plan.store = {};
  ATTNSCOPE_TRY(validate(plan));
  ATTNSCOPE_TRY(validate(plan, scheme));
  const DType compute = scheme.compute.value_or(compute_of(plan, &device));
  ATTNSCOPE_TRY(check_device(plan, device, compute));
  auto weights = Weights::open(plan);
  if (!weights) return weights.error();
  SchemeResult result;
  const DeviceFacts& facts = device.facts();
  result.device = facts.name, result.driver = facts.driver, result.products = facts.products;
  result.compute = compute == DType::f32 ? "f32" : compute == DType::f16 ? "f16" : "bf16";
  {
    SchemeRun run(device, plan, scheme, compute, cancellation, progress, result);
    const Status ran = run.run(weights.value());
    if (!ran && !is_cancelled(ran.error())) return ran.error();
    result.cancelled = !ran.ok();
  }
  return Result<SchemeResult>(std::move(result));
}

}  // namespace attnscope
