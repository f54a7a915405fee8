// Policies inside tiny random models: what keeps everything changes nothing, three engines with one mask give one result,
// and what is kept live is what a replay of the same vectors keeps.
#include "host/policy_run.h"

#include <cstring>
#include <numeric>

#include "check.h"
#include "core/replay/spans.h"
#include "policy_cases.h"

using namespace attnscope;
using check::largest_difference;
using namespace policy_cases;
using random_model::Checkpoint;

namespace {

PolicyRunResult run(const PolicyRunPlan& plan) {
  Cancellation cancellation;
  auto result = run_policy(plan, cancellation, {});
  CHECK(result.ok());
  if (result) return result.take();
  std::printf("  %s: %s\n", result.error().code.c_str(), result.error().message.c_str());
  return {};
}

std::string refusal(const PolicyRunPlan& plan) {
  Cancellation cancellation;
  const auto result = run_policy(plan, cancellation, {});
  return result.ok() ? "" : result.error().code;
}

// ---- policies of the test's own ----

/// Reads the first 3 and the last 20 keys, one half as fixed spans, the other as keys.
class Window final : public RetrievalPolicy {
 public:
  Status build(const LayerInput&, std::uint32_t, std::uint32_t) override { return success(); }
  void query(const LayerInput&, std::uint32_t, std::uint32_t position, const float*, Selection& out) override {
    const std::uint32_t first = position + 1 > 20 ? std::max(3u, position + 1 - 20) : 3;
    out.fixed.push_back({0, std::min(3u, position + 1)});
    for (std::uint32_t k = first; k <= position; ++k)
      if (k + 10 < position) out.keys.push_back(k);
    if (first <= position) out.fixed.push_back({std::max(first, position < 10 ? 0 : position - 10), position + 1});
  }
};

PolicyChoice window() {
  PolicyEntry& entry = entry_of("window", Family::retrieval);
  entry.retrieval = [](const PolicyConfig&) -> Result<std::unique_ptr<RetrievalPolicy>> { return std::unique_ptr<RetrievalPolicy>(new Window); };
  return {&entry, {}};
}

// ---- layer 0 of a capture, for replays ----

/// Keeps q, k and v of layer 0.
class Vectors final : public CaptureSink {
 public:
  std::vector<std::vector<float>> q, k, v;  // by head, [tokens][dim]

  Vectors(const ModelPlan& model, DType dtype) : q(model.heads), k(model.kv_heads), v(model.kv_heads), dtype_(dtype) {}

  Status batch(Batch&& batch) override {
    const bool query = std::strcmp(batch.table, "q") == 0;
    if (batch.layer != 0 || (!query && std::strcmp(batch.table, "k") != 0 && std::strcmp(batch.table, "v") != 0)) return success();
    const auto& head = std::get<std::vector<std::uint16_t>>(batch.columns[0].values);
    std::vector<float> values;
    if (dtype_ == DType::f32) values = std::get<std::vector<float>>(batch.columns[2].values);
    else {
      const auto& bits = std::get<std::vector<std::uint16_t>>(batch.columns[2].values);
      values.resize(bits.size());
      to_float(dtype_, bits.data(), bits.size(), values.data());
    }
    auto& to = (query ? q : batch.table[0] == 'k' ? k : v)[head[0]];
    to.insert(to.end(), values.begin(), values.end());
    return success();
  }
  Status layer_done(Segment, std::uint32_t) override { return success(); }
  void progress(const RunProgress&) override {}

 private:
  DType dtype_;
};

/// Replays the plan's policy over layer 0 of a capture along the same tokens.
Result<HeadTrace> replay_layer0(const PolicyRunPlan& plan, const Vectors& vectors, std::uint32_t head, std::span<const std::uint32_t> rows, std::uint32_t context) {
  const ModelPlan& model = plan.base.model;
  const std::size_t dim = model.head_dim, tokens = vectors.k[0].size() / dim;
  std::vector<Rows> keys, values;
  std::vector<std::uint32_t> positions(tokens);
  std::iota(positions.begin(), positions.end(), 0u);
  for (std::uint32_t h = 0; h < model.kv_heads; ++h) {
    keys.push_back({vectors.k[h].data(), tokens, dim, dim});
    values.push_back({vectors.v[h].data(), tokens, dim, dim});
  }
  std::vector<QueryRows> queries;
  for (std::uint32_t h = 0; h < model.heads; ++h) queries.push_back({positions, {vectors.q[h].data(), tokens, dim, dim}});
  LayerInput input;
  input.layers = model.layers, input.heads = model.heads, input.kv_heads = model.kv_heads, input.head_dim = model.head_dim;
  input.tokens = static_cast<std::uint32_t>(tokens), input.prompt_tokens = context, input.scale = model.attention_scale;
  input.keys = keys, input.values = values, input.queries = queries;
  Schedule schedule = plan.schedule;
  schedule.context = context;
  return replay(plan.policies[0], input, head, rows, schedule, static_cast<double>(size_of(plan.base.vectors)));
}

bool same_spans(std::span<const KeySpan> a, std::span<const KeySpan> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](KeySpan x, KeySpan y) { return x.begin == y.begin && x.end == y.end; });
}

}  // namespace

TEST("policies that keep everything give the dense logits") {
  const Checkpoint checkpoint(random_model::tiny());
  const char* texts[] = {"dense", "a-shape:n_init=1,n_local=400", "vertical-slash:v=400,s=400", "block-sparse", "lagkv-official:lag=200", "streaming-llm:recent=400",
                         "topk-exact:budget=share,rho=1", "random:tokens=400"};
  double worst = 0, worst_kl = 0;
  for (const char* text : texts)
    for (DType dtype : {DType::f32, DType::bf16})
      for (std::uint32_t context : {0u, 130u}) {
        if (!find_policy(std::string(text).substr(0, std::string(text).find(':')))) continue;
        PolicyRunPlan plan = plan_of(checkpoint, choice(text), 300, 12, dtype);
        plan.schedule.context = context;
        const PolicyRunResult result = run(plan);
        CHECK_EQUAL(result.position.size(), context == 0 ? 12 : 182);
        const double difference = largest_difference(result.policy_log_probability, result.dense_log_probability);
        worst = std::max(worst, difference);
        for (float kl : result.kl) worst_kl = std::max(worst_kl, double(kl));
        CHECK(difference <= 1e-5);
        CHECK(result.summary.kl_mean < 1e-9);
        CHECK_EQUAL(result.summary.top1_agreement, 1);
        CHECK_NEAR(result.summary.perplexity_ratio, 1, 1e-5, 0);
        for (float error : result.residual_error) CHECK(error < 1e-4);
        CHECK_EQUAL(result.summary.kept_bytes, result.summary.dense_bytes);
        if (difference > 1e-5) std::printf("  %s: %g\n", text, difference);
      }
  std::printf("     largest difference of a log-probability %.3g, largest KL %.3g nats\n", worst, worst_kl);
}

TEST("one mask through three engines: A-shape, a cache fed token by token, a selection") {
  const Checkpoint checkpoint(random_model::tiny());
  const std::uint32_t n = 200;
  PolicyRunPlan prefill = plan_of(checkpoint, choice("a-shape:n_init=3,n_local=20"), n, 1);
  PolicyRunPlan cache = plan_of(checkpoint, choice("streaming-llm:sink=3,recent=20"), n, 1);
  cache.schedule.context = 20;  // everything that far is seen whole by all three
  PolicyRunPlan selection = plan_of(checkpoint, window(), n, 1);
  selection.schedule.context = 20;
  PolicyRunPlan both[] = {cache, selection};
  const PolicyRunResult a = run(prefill);
  CHECK(a.summary.kl_mean > 1e-4);  // the mask matters
  for (const PolicyRunPlan& plan : both) {
    const PolicyRunResult b = run(plan);
    CHECK_EQUAL(b.position.back(), n - 1);
    CHECK_NEAR(b.policy_log_probability.back(), a.policy_log_probability.back(), 0, 2e-5);
    CHECK_NEAR(b.kl.back(), a.kl.back(), 1e-3, 1e-6);
    for (std::uint32_t layer = 0; layer < 2; ++layer)
      CHECK_NEAR(b.residual_error[(layer + 1) * b.position.size() - 1], a.residual_error[layer], 1e-3, 1e-6);
  }
}

TEST("a prompt fed in chunks attends to what the chunks before left, and to itself") {
  // Chunks of one token, shrunk before they are attended to, are the steps of the test above.
  const Checkpoint checkpoint(random_model::tiny());
  PolicyRunPlan steps = plan_of(checkpoint, retention<EveryThird, true>("third-before"), 150, 2);
  PolicyRunPlan chunks = steps;
  steps.schedule.context = 1;
  chunks.schedule.chunk = 1;
  const PolicyRunResult a = run(steps), b = run(chunks);
  CHECK(a.summary.kl_mean > 1e-5);
  CHECK_NEAR(b.policy_log_probability[0], a.policy_log_probability[149], 0, 1e-5);
  CHECK_NEAR(b.policy_log_probability[1], a.policy_log_probability[150], 0, 1e-5);
  CHECK(a.resident_tokens == b.resident_tokens);
  CHECK_EQUAL(std::accumulate(b.resident_tokens.begin(), b.resident_tokens.end(), 0u) * 2 * 10 * 4, b.summary.kept_bytes);
  // What is dropped after the attention is still seen by it: another result.
  PolicyRunPlan after = plan_of(checkpoint, retention<EveryThird, false>("third-after"), 150, 2);
  after.schedule.chunk = 1;
  CHECK(std::fabs(run(after).policy_log_probability[0] - b.policy_log_probability[0]) > 1e-6);
}

TEST("live kept sets of layer 0 are those of a replay over the captured vectors") {
  const Checkpoint checkpoint(random_model::tiny());
  struct Case {
    const char* text;
    std::uint32_t context, chunk, first_chunk;
  };
  const Case cases[] = {{"a-shape:n_init=5,n_local=30", 0, 0, 0}, {"vertical-slash:v=40,s=60", 0, 0, 0}, {"block-sparse:top_k=3", 0, 0, 0},
                        {"lagkv-official:sink=4,lag=16,ratio=0.25", 0, 0, 0}, {"lagkv-official:sink=4,lag=16,ratio=0.25", 140, 0, 0},
                        {"lagkv-official:sink=4,lag=16,ratio=0.25", 0, 16, 36}, {"lagkv-official:sink=4,lag=16,ratio=0.25,use_then_compress=0", 100, 10, 0},
                        {"lagkv-kvpress:lag=16,compression_ratio=0.7", 0, 0, 0}, {"streaming-llm:recent=40", 90, 0, 0}, {"streaming-llm:recent=40", 90, 33, 0},
                        {"random:tokens=50", 80, 0, 0}, {"topk-exact:k=17", 60, 0, 0}, {"magicpig-authors:dense_layers=none,K=4,L=20", 120, 0, 0},
                        {"magicpig-paper:dense_layers=none,K=4,L=20", 120, 0, 0}, {"oracle-sampling:rho=0.2", 100, 0, 0}};
  for (DType dtype : {DType::bf16, DType::f32}) {
    const std::uint32_t n = 200, steps = 30;
    Plan capture = checkpoint.plan(n, 1024, 2);
    capture.vectors = dtype;
    capture.decode_steps = steps;
    for (std::uint32_t i = 0; i < steps; ++i) capture.forced.push_back(i * 7 % 61);
    capture.store.full_query_heads.assign(capture.store.full_query_heads.size(), 1);
    Vectors vectors(capture.model, dtype);
    Cancellation cancellation;
    CHECK(run_capture(capture, vectors, cancellation).ok());
    std::size_t compared = 0;
    for (const Case& c : cases) {
      PolicyRunPlan plan = plan_of(checkpoint, choice(c.text), n, steps, dtype);
      plan.base.forced = capture.forced;
      plan.schedule = {c.context, c.chunk, c.first_chunk};
      plan.compare = true;
      plan.traces = {{0, 0}, {0, 4}, {0, 8}};
      const PolicyRunResult live = run(plan);
      CHECK_EQUAL(live.traces.size(), 3);
      for (const auto& each : live.traces) {
        const HeadTrace& trace = each.trace;
        CHECK(!trace.rows.empty());
        const auto expected = replay_layer0(plan, vectors, each.head, trace.rows, c.context == 0 ? n : c.context);
        if (!expected) std::printf("  %s: %s\n", c.text, expected.error().message.c_str());
        CHECK(expected.ok());
        if (!expected) continue;
        const HeadTrace& other = expected.value();
        CHECK(trace.rows == other.rows);
        CHECK(trace.dense == other.dense);
        bool equal = true, forced = true;
        for (std::size_t r = 0; r < trace.rows.size() && r < other.rows.size(); ++r) {
          equal = equal && same_spans(trace.kept(r), other.kept(r));
          forced = forced && same_spans(trace.forced_of(r), other.forced_of(r));
          ++compared;
        }
        CHECK(equal);
        CHECK(forced);
        const double weights = largest_difference(trace.log_weight, other.log_weight);
        if (weights > 1e-5) std::printf("  %s, head %u: log-weights differ by %g\n", c.text, each.head, weights);
        CHECK(weights <= 1e-5);
        if (!equal || !forced) std::printf("  %s, head %u: kept sets differ\n", c.text, each.head);
      }
    }
    std::printf("     %zu rows of %zu policies compared\n", compared, std::size(cases));
  }
}

TEST("resident tokens and bytes are those of the published size formula") {
  const Checkpoint checkpoint(random_model::tiny());
  PolicyRunPlan plan = plan_of(checkpoint, choice("lagkv-official:sink=16,lag=32,ratio=0.25"), 500, 20, DType::f16);
  const PolicyRunResult result = run(plan);
  // The last chosen token is never fed. 519 tokens: q = floor(503 / 32) = 15, t = 23: 16 + 8 * 14 + 32 + 23.
  for (std::uint32_t tokens : result.resident_tokens) CHECK_EQUAL(tokens, 16 + 8 * 14 + 32 + 23);
  CHECK_EQUAL(result.summary.kept_bytes, 6.0 * 183 * 2 * 10 * 2);
  CHECK_EQUAL(result.summary.dense_bytes, 6.0 * 519 * 2 * 10 * 2);
  CHECK(result.summary.peak_bytes > result.summary.kept_bytes);
}

TEST("results do not depend on the number of threads; heads may have policies of their own") {
  const Checkpoint checkpoint(random_model::tiny());
  PolicyRunPlan plan = plan_of(checkpoint, choice("a-shape:n_init=4,n_local=70"), 700, 6, DType::bf16);
  plan.policies.push_back(choice("vertical-slash:v=30,s=100"));
  plan.policies.push_back(choice("streaming-llm:recent=60"));
  plan.policies.push_back(choice("topk-exact:k=20"));
  for (std::uint32_t head = 0; head < 9; ++head) plan.assignment[head] = head % 3 - 1;
  for (bool retention : {true, false}) {
    for (std::uint32_t head = 0; head < 9; ++head) plan.assignment[9 + head] = retention ? (head < 3 ? -1 : 2) : head % 2 ? 3 : -1;
    plan.base.threads = 1;
    const PolicyRunResult one = run(plan);
    plan.base.threads = 5;
    const PolicyRunResult five = run(plan);
    CHECK(one.policy_log_probability == five.policy_log_probability);
    CHECK(one.kl == five.kl && one.residual_error == five.residual_error && one.id == five.id);
    CHECK(one.summary.kl_mean > 0);
    CHECK(one.summary.prefill_kernel_cells < 18.0 * 66 * 4096);
    CHECK_EQUAL(one.summary.prefill_cells, 18.0 * 700 * 701 / 2);
    const std::vector<std::uint32_t> held = retention ? std::vector<std::uint32_t>{705, 705, 705, 705, 64, 64} : std::vector<std::uint32_t>(6, 705);
    CHECK(one.resident_tokens == held);
  }
}

TEST("generating follows the policy's own choices and ends at a stop id") {
  const Checkpoint checkpoint(random_model::tiny());
  PolicyRunPlan plan = plan_of(checkpoint, choice("streaming-llm:recent=30"), 120, 15);
  plan.compare = false;
  const PolicyRunResult free = run(plan);
  CHECK_EQUAL(free.id.size(), 15);
  CHECK(free.id == free.policy_top1);
  CHECK(free.kl.empty() && free.dense_top1.empty() && free.residual_error.empty());
  plan.stop_ids = {free.id[6]};
  const PolicyRunResult stopped = run(plan);
  const auto first = std::find(free.id.begin(), free.id.end(), free.id[6]) - free.id.begin();
  CHECK_EQUAL(stopped.id.size(), first + 1);
  CHECK_EQUAL(stopped.id.back(), free.id[6]);
}

TEST("a cache that loses everything attends to nothing, and no NaN comes of it") {
  const Checkpoint checkpoint(random_model::tiny());
  PolicyRunPlan plan = plan_of(checkpoint, retention<DropAll>("drop-all"), 40, 5);
  for (std::uint32_t chunk : {0u, 7u}) {
    plan.schedule.chunk = chunk;
    const PolicyRunResult result = run(plan);
    CHECK_EQUAL(result.summary.kept_bytes, 0);
    for (float kl : result.kl) CHECK(std::isfinite(kl));
  }
}

TEST("what cannot run is refused by name") {
  const Checkpoint checkpoint(random_model::tiny());
  const PolicyRunPlan good = plan_of(checkpoint, choice("streaming-llm:recent=30"), 40, 3);
  CHECK(refusal(good) == "");
  PolicyRunPlan bad = good;
  bad.assignment[1] = -1;
  CHECK(refusal(bad) == "E_POLICY_ASSIGNMENT");  // half a kv head's group
  bad = good;
  bad.policies.push_back(choice("topk-exact"));
  for (std::uint32_t head = 0; head < 3; ++head) bad.assignment[head] = 1;
  CHECK(refusal(bad) == "E_POLICY_ASSIGNMENT");  // two families in a layer
  bad = good;
  bad.policies.push_back(choice("dense"));
  for (std::uint32_t head = 0; head < 3; ++head) bad.assignment[head] = head % 2 ? 1 : -1;
  CHECK(refusal(bad) == "");                     // dense stands beside any
  bad = good;
  bad.policies[0] = choice("oracle-mass");
  CHECK(refusal(bad) == "E_POLICY_REPLAY_ONLY");
  bad = good;
  bad.assignment.pop_back();
  CHECK(refusal(bad) == "E_PLAN_INVALID");
  bad = good;
  bad.assignment[17] = 1;
  CHECK(refusal(bad) == "E_PLAN_INVALID");
  bad = good;
  bad.traces = {{2, 0}};
  CHECK(refusal(bad) == "E_PLAN_INVALID");
  bad = good;
  bad.base.decode_steps = 0;
  CHECK(refusal(bad) == "E_PLAN_INVALID");
  bad.schedule.context = 39;
  CHECK(refusal(bad) == "");
  bad = good;
  bad.compare = false;
  bad.base.forced = {1, 2, 3};
  CHECK(refusal(bad) == "E_PLAN_INVALID");
  bad = good;
  bad.policies[0] = retention<Faulty>("faulty");
  CHECK(refusal(bad) == "E_POLICY_EVICT");
}

TEST("cancelled while decoding: the rows so far, whole; cancelled before: none") {
  const Checkpoint checkpoint(random_model::tiny());
  PolicyRunPlan plan = plan_of(checkpoint, choice("streaming-llm:recent=30"), 60, 200);
  plan.traces = {{1, 2}};
  for (std::uint32_t at : {0u, 7u}) {
    Cancellation cancellation;
    std::uint32_t reports = 0;
    auto result = run_policy(plan, cancellation, [&](const RunProgress& progress) {
      ++reports;
      CHECK(progress.done < progress.total && progress.fraction >= 0 && progress.fraction <= 1);
      if (at == 0 ? progress.phase == Phase::prefill : progress.phase == Phase::decode && progress.done >= at) cancellation.request();
    });
    CHECK(result.ok());
    if (!result) continue;
    const PolicyRunResult r = result.take();
    CHECK(r.cancelled);
    CHECK(reports > 1);
    CHECK(at == 0 ? r.position.empty() : r.position.size() >= 7 && r.position.size() < 200);
    CHECK_EQUAL(r.residual_error.size(), 2 * r.position.size());
    CHECK_EQUAL(r.kl.size(), r.position.size());
    CHECK(at != 0 || std::isnan(r.summary.kl_mean));
  }
}
