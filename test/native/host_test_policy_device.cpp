// Policies inside a model on a device: the CPU device in fp32 beside the CPU runner, 16-bit precisions beside it within their rounding, and
// what a device must say when it cannot.
#include "host/device/policy_device.h"

#include <algorithm>

#include "check.h"
#include "host/kernels/cpu_device.h"
#include "policy_cases.h"

using namespace attnscope;
using check::largest_difference;
using namespace policy_cases;
using random_model::Checkpoint;

namespace {

/// Along given ids, with traces of heads of both layers.
PolicyRunPlan forced_plan(const Checkpoint& checkpoint, PolicyChoice policy, std::uint32_t tokens, std::uint32_t steps, DType vectors) {
  PolicyRunPlan plan = plan_of(checkpoint, std::move(policy), tokens, steps, vectors);
  for (std::uint32_t i = 0; i < steps; ++i) plan.base.forced.push_back(i * 7 % 61);
  plan.traces = {{0, 0}, {0, 8}, {1, 4}};
  return plan;
}

Result<PolicyRunResult> try_on_device(const PolicyRunPlan& plan, const DeviceRunOptions& options, const PolicyProgress& progress = {}) {
  const auto device = open_cpu_device(2);
  Cancellation cancellation;
  return run_policy_on(*device, plan, cancellation, progress, options);
}

PolicyRunResult taken(Result<PolicyRunResult> result, const char* where) {
  CHECK(result.ok());
  if (result) return result.take();
  std::printf("  %s: %s: %s\n", where, result.error().code.c_str(), result.error().message.c_str());
  return {};
}

PolicyRunResult on_cpu(const PolicyRunPlan& plan) {
  Cancellation cancellation;
  return taken(run_policy(plan, cancellation, {}), "CPU");
}

DeviceRunOptions computing_in(DType compute, std::uint32_t block_rows = 64) {
  DeviceRunOptions options;
  options.compute = compute;
  options.block_rows = block_rows;
  return options;
}

bool same_spans(std::span<const KeySpan> a, std::span<const KeySpan> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](KeySpan x, KeySpan y) { return x.begin == y.begin && x.end == y.end; });
}

/// Rows of all traces, and how many of them keep other keys.
std::pair<std::size_t, std::size_t> compare_traces(const PolicyRunResult& a, const PolicyRunResult& b) {
  std::size_t rows = 0, other = 0;
  CHECK_EQUAL(a.traces.size(), b.traces.size());
  for (std::size_t t = 0; t < std::min(a.traces.size(), b.traces.size()); ++t) {
    const HeadTrace &x = a.traces[t].trace, &y = b.traces[t].trace;
    CHECK(x.rows == y.rows);
    for (std::size_t r = 0; r < std::min(x.rows.size(), y.rows.size()); ++r)
      ++rows, other += !same_spans(x.kept(r), y.kept(r)) || !same_spans(x.forced_of(r), y.forced_of(r));
  }
  return {rows, other};
}

// ---- policies of the test's own ----

/// A window over every other tile only.
class HalfWindow final : public PrefillPolicy {
 public:
  Status plan(const LayerInput& input, std::uint32_t, PrefillPlan& plan) const override {
    plan.tokens = input.prompt_tokens;
    plan.windowed = true, plan.sink = 4, plan.local = 20;
    plan.tile_offset = {0}, plan.column_offset.assign(plan.row_blocks() + 1, 0);
    for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
      plan.tile.push_back(m / 2 * 64);
      plan.tile_offset.push_back(plan.tile.size());
    }
    return success();
  }
};

template <class Policy>
PolicyChoice prefill(const char* id) {
  PolicyEntry& entry = entry_of(id, Family::prefill);
  entry.prefill = [](const PolicyConfig&) -> Result<std::unique_ptr<PrefillPolicy>> { return std::unique_ptr<PrefillPolicy>(new Policy); };
  return {&entry, {}};
}

struct Case {
  const char* text;
  std::uint32_t context, chunk, first_chunk;
};
constexpr Case kCases[] = {{"dense", 0, 0, 0}, {"a-shape:n_init=5,n_local=30", 0, 0, 0}, {"a-shape:n_init=70,n_local=90", 150, 0, 0}, {"vertical-slash:v=40,s=60", 0, 0, 0},
                           {"block-sparse:top_k=2", 0, 0, 0}, {"lagkv-official:sink=4,lag=16,ratio=0.25", 0, 0, 0}, {"lagkv-official:sink=4,lag=16,ratio=0.25", 140, 0, 0},
                           {"lagkv-official:sink=4,lag=16,ratio=0.25", 0, 16, 36}, {"lagkv-official:sink=4,lag=16,ratio=0.25,use_then_compress=0", 100, 10, 0},
                           {"lagkv-official:sink=4,lag=16,ratio=0.25,use_then_compress=0", 0, 77, 0}, {"lagkv-kvpress:lag=16,compression_ratio=0.7", 0, 0, 0},
                           {"streaming-llm:recent=40", 90, 0, 0}, {"streaming-llm:recent=40", 0, 33, 0}, {"streaming-llm:recent=20", 0, 100, 7}, {"keydiff-budget", 0, 64, 0},
                           {"random:tokens=50", 80, 0, 0}, {"topk-exact:k=17", 60, 0, 0}, {"magicpig-authors:dense_layers=0-1,K=4,L=20", 120, 0, 0},
                           {"magicpig-paper:dense_layers=none,K=4,L=20", 120, 0, 0}, {"oracle-sampling:rho=0.2", 1, 0, 0}};

}  // namespace

TEST("fp32 on the CPU device is the CPU runner, policy by policy") {
  const Checkpoint checkpoint(random_model::tiny());
  double worst = 0, worst_residual = 0;
  std::size_t rows = 0, other_rows = 0;
  for (const Case& c : kCases) {
    PolicyRunPlan plan = forced_plan(checkpoint, choice(c.text), 200, 8, DType::f32);
    plan.schedule = {c.context, c.chunk, c.first_chunk};
    const PolicyRunResult cpu = on_cpu(plan), device = taken(try_on_device(plan, computing_in(DType::f32)), c.text);
    CHECK(cpu.position == device.position && cpu.id == device.id && cpu.forced == device.forced);
    CHECK(cpu.resident_tokens == device.resident_tokens);
    for (auto field : {&PolicyRunResult::Summary::kept_bytes, &PolicyRunResult::Summary::dense_bytes, &PolicyRunResult::Summary::peak_bytes,
                       &PolicyRunResult::Summary::prefill_cells, &PolicyRunResult::Summary::prefill_kernel_cells})
      CHECK_EQUAL(device.summary.*field, cpu.summary.*field);
    const double difference = std::max({largest_difference(cpu.policy_log_probability, device.policy_log_probability),
                                        largest_difference(cpu.dense_log_probability, device.dense_log_probability), largest_difference(cpu.kl, device.kl)});
    const double residual = largest_difference(cpu.residual_error, device.residual_error);
    const auto [compared, differing] = compare_traces(cpu, device);
    CHECK(difference <= 2e-5 && residual <= 2e-5);
    CHECK_EQUAL(differing, 0);
    if (difference > 2e-5 || residual > 2e-5 || differing > 0) std::printf("  %s context %u chunk %u: %g, residual %g, %zu of %zu rows\n", c.text, c.context, c.chunk, difference, residual, differing, compared);
    worst = std::max(worst, difference), worst_residual = std::max(worst_residual, residual);
    rows += compared, other_rows += differing;
  }
  std::printf("     largest difference of a log-probability or KL %.3g, of a residual error %.3g; %zu of %zu rows keep other keys\n", worst, worst_residual, other_rows, rows);
}

TEST("heads of one layer under different policies, caches with holes of their own, rows that lost their own key") {
  const Checkpoint checkpoint(random_model::tiny());
  double worst = 0;
  const auto compare = [&](const PolicyRunPlan& plan, const char* what, std::uint32_t block_rows = 64) {
    const PolicyRunResult cpu = on_cpu(plan), device = taken(try_on_device(plan, computing_in(DType::f32, block_rows)), what);
    const double difference = std::max({largest_difference(cpu.policy_log_probability, device.policy_log_probability), largest_difference(cpu.kl, device.kl),
                                        largest_difference(cpu.residual_error, device.residual_error)});
    CHECK(cpu.summary.kl_mean > 1e-6);  // the policies matter
    CHECK(difference < 2e-5);
    CHECK(cpu.resident_tokens == device.resident_tokens);
    CHECK_EQUAL(compare_traces(cpu, device).second, 0);
    if (difference >= 2e-5) std::printf("  %s: %g\n", what, difference);
    worst = std::max(worst, difference);
  };
  PolicyRunPlan mixed = forced_plan(checkpoint, choice("a-shape:n_init=4,n_local=70"), 300, 6, DType::f32);
  mixed.policies = {choice("a-shape:n_init=4,n_local=70"), choice("vertical-slash:v=30,s=100"), choice("a-shape:n_init=40,n_local=20"), choice("block-sparse:top_k=2"),
                    choice("topk-exact:k=20"), choice("magicpig-paper:dense_layers=none,K=4,L=20"), choice("streaming-llm:recent=60")};
  const int prefill[] = {0, 0, 0, 1, -1, 1, 2, 3, 3};
  for (int layer_1 = 0; layer_1 < 2; ++layer_1) {
    const int retrieval[] = {4, 4, 4, -1, 4, 5, -1, -1, -1}, retention[] = {-1, -1, -1, 6, 6, 6, -1, -1, -1};
    for (int h = 0; h < 9; ++h) mixed.assignment[h] = prefill[h], mixed.assignment[9 + h] = layer_1 == 0 ? retrieval[h] : retention[h];
    for (const std::uint32_t context : {0u, 131u}) {
      mixed.schedule = {context, context == 0 ? 0u : 50u, 0};
      for (const std::uint32_t block_rows : {64u, 192u, 4096u}) compare(mixed, "mixed", block_rows);
    }
  }
  const struct { PolicyChoice policy; const char* what; } own[] = {{retention<EveryThird, true, true>("third-before"), "third-before"},
                                                                   {retention<EveryThird, false, true>("third-after"), "third-after"},
                                                                   {retention<DropAll>("drop-all"), "drop-all"}};
  for (const auto& each : own)
    for (const Schedule& schedule : {Schedule{0, 0, 0}, Schedule{0, 1, 0}, Schedule{0, 90, 5}, Schedule{100, 64, 0}, Schedule{0, 150, 0}}) {
      PolicyRunPlan plan = forced_plan(checkpoint, each.policy, 150, 5, DType::f32);
      plan.schedule = schedule;
      compare(plan, each.what);
    }
  std::printf("     largest difference %.3g\n", worst);
}

TEST("policies that keep everything give the dense logits") {
  const Checkpoint checkpoint(random_model::tiny());
  double worst = 0;
  for (const char* text : {"dense", "a-shape:n_init=1,n_local=400", "vertical-slash:v=400,s=400", "block-sparse", "lagkv-official:lag=200", "streaming-llm:recent=400",
                           "topk-exact:budget=share,rho=1", "random:tokens=400"})
    for (const DType dtype : {DType::f32, DType::bf16})
      for (const std::uint32_t chunk : {0u, 70u}) {
        PolicyRunPlan plan = forced_plan(checkpoint, choice(text), 300, 6, dtype);
        plan.schedule = {130, chunk, 0};
        const PolicyRunResult result = taken(try_on_device(plan, computing_in(dtype)), text);
        const double difference = largest_difference(result.policy_log_probability, result.dense_log_probability);
        // In 16 bits another order of sums rounds another way now and then, and each layer starts from what the last one rounded.
        CHECK(difference <= (dtype == DType::f32 ? 1e-5 : 3e-2));
        CHECK(result.summary.kl_mean < (dtype == DType::f32 ? 1e-9 : 1e-4));
        CHECK_EQUAL(result.summary.kept_bytes, result.summary.dense_bytes);
        if (dtype == DType::bf16) worst = std::max(worst, difference);
      }
  std::printf("     largest difference of a log-probability in bf16 %.3g\n", worst);
}

TEST("16-bit precisions beside the CPU runner, which computes in fp32 from the same rounded vectors") {
  const Checkpoint checkpoint(random_model::tiny());
  for (const DType dtype : {DType::bf16, DType::f16}) {
    double worst = 0, worst_dense = 0;
    // What a policy of scores keeps hangs on the last bit: these decide by position, or draw by it.
    for (const char* text : {"a-shape:n_init=5,n_local=30", "streaming-llm:recent=40", "random:tokens=50"})
      for (const std::uint32_t chunk : {0u, 48u}) {
        PolicyRunPlan plan = forced_plan(checkpoint, choice(text), 200, 8, dtype);
        plan.schedule = {100, chunk, 0};
        const PolicyRunResult cpu = on_cpu(plan), device = taken(try_on_device(plan, computing_in(dtype)), text);
        worst = std::max(worst, largest_difference(cpu.policy_log_probability, device.policy_log_probability));
        worst_dense = std::max(worst_dense, largest_difference(cpu.dense_log_probability, device.dense_log_probability));
        CHECK(cpu.resident_tokens == device.resident_tokens);
        CHECK_NEAR(device.summary.kl_mean, cpu.summary.kl_mean, 0.05, 1e-4);
      }
    // Activations are rounded some ten times a layer, to 2^-9 and 2^-12 of their size.
    const double tolerance = dtype == DType::bf16 ? 8e-2 : 1e-2;
    CHECK(worst <= tolerance && worst_dense <= tolerance);
    CHECK(worst > 0);
    std::printf("     %s: largest difference of a log-probability %.3g, of the dense runs %.3g\n", dtype == DType::bf16 ? "bf16" : "f16", worst, worst_dense);
  }
}

TEST("streamed weights give the bits of resident ones; what the device holds is told") {
  const Checkpoint checkpoint(random_model::tiny());
  for (const char* text : {"streaming-llm:recent=40", "topk-exact:k=17", "vertical-slash:v=40,s=60"}) {
    PolicyRunPlan plan = forced_plan(checkpoint, choice(text), 150, 6, DType::bf16);
    plan.schedule = {90, 0, 0};
    plan.base.device.weights = DevicePlan::Weights::resident;
    const PolicyRunResult resident = taken(try_on_device(plan, computing_in(DType::bf16)), text);
    plan.base.device.weights = DevicePlan::Weights::streamed;
    const PolicyRunResult streamed = taken(try_on_device(plan, computing_in(DType::bf16)), text);
    CHECK(resident.policy_log_probability == streamed.policy_log_probability && resident.kl == streamed.kl && resident.residual_error == streamed.residual_error);
    CHECK(resident.device && streamed.device);
    if (!resident.device || !streamed.device) continue;
    CHECK(!resident.device->streamed_weights && streamed.device->streamed_weights);
    CHECK(resident.device->compute == "bf16" && !resident.device->name.empty());
    std::uint64_t sum = 0;
    for (const auto& [category, bytes] : resident.device->bytes_at_peak) sum += bytes;
    CHECK_EQUAL(sum, resident.device->peak_bytes);
  }
}

TEST("generating on a device follows the policy's own choices and ends at a stop id") {
  const Checkpoint checkpoint(random_model::tiny());
  PolicyRunPlan plan = forced_plan(checkpoint, choice("streaming-llm:recent=30"), 120, 15, DType::f32);
  plan.base.forced.clear();
  plan.compare = false;
  const PolicyRunResult cpu = on_cpu(plan), device = taken(try_on_device(plan, computing_in(DType::f32)), "generate");
  CHECK(cpu.id == device.id);
  CHECK(device.kl.empty() && device.dense_top1.empty());
  plan.stop_ids = {cpu.id[6]};
  const auto first = std::find(cpu.id.begin(), cpu.id.end(), cpu.id[6]) - cpu.id.begin();
  CHECK_EQUAL(taken(try_on_device(plan, computing_in(DType::f32)), "stop").id.size(), first + 1);
}

TEST("too little device memory is an error that names what did not fit and the way out") {
  const Checkpoint checkpoint(random_model::tiny());
  PolicyRunPlan plan = forced_plan(checkpoint, choice("lagkv-official:sink=4,lag=16,ratio=0.25"), 400, 4, DType::bf16);
  const PolicyRunResult whole = taken(try_on_device(plan, computing_in(DType::bf16)), "whole");
  CHECK(whole.device.has_value());
  const std::uint64_t peak = whole.device ? whole.device->peak_bytes : 0;
  plan.base.device.weights = DevicePlan::Weights::resident;
  plan.base.device.memory_bytes = peak;
  CHECK(try_on_device(plan, computing_in(DType::bf16)).ok());
  std::size_t refused = 0;
  for (std::uint64_t bytes = peak - 1; bytes > peak / 8; bytes -= peak / 8) {
    plan.base.device.memory_bytes = bytes;
    const auto result = try_on_device(plan, computing_in(DType::bf16));
    CHECK(!result.ok());
    if (result) continue;
    ++refused;
    CHECK(result.error().code == "E_DEVICE_MEMORY");
    CHECK(result.error().message.find("--") != std::string::npos);
  }
  CHECK(refused > 4);
}

TEST("what a device cannot run, and faults of policies, are refused by name") {
  const Checkpoint checkpoint(random_model::tiny());
  const auto code = [&](const PolicyRunPlan& plan) {
    const auto result = try_on_device(plan, computing_in(DType::f32));
    return result.ok() ? std::string() : result.error().code;
  };
  PolicyRunPlan plan = forced_plan(checkpoint, prefill<HalfWindow>("half-window"), 150, 2, DType::f32);
  CHECK(code(plan) == "E_DEVICE_PLAN");
  plan.policies[0] = retention<Faulty>("faulty");
  CHECK(code(plan) == "E_POLICY_EVICT");
  plan.policies[0] = choice("oracle-mass");
  CHECK(code(plan) == "E_POLICY_REPLAY_ONLY");
  plan = forced_plan(checkpoint, choice("dense"), 60, 2, DType::f32);
  plan.base.device.name = "gpu";
  Cancellation cancellation;
  CHECK(!run_policy(plan, cancellation, {}).ok());
}

TEST("cancelled while decoding: the rows so far, whole; cancelled before: none") {
  const Checkpoint checkpoint(random_model::tiny());
  PolicyRunPlan plan = forced_plan(checkpoint, choice("streaming-llm:recent=30"), 60, 200, DType::bf16);
  for (const std::uint32_t at : {0u, 7u}) {
    Cancellation cancellation;
    std::uint32_t reports = 0;
    const auto device = open_cpu_device(2);
    const PolicyRunResult r = taken(run_policy_on(*device, plan, cancellation, [&](const RunProgress& progress) {
      ++reports;
      CHECK(progress.done < progress.total && progress.fraction >= 0 && progress.fraction <= 1);
      if (at == 0 ? progress.phase == Phase::prefill : progress.phase == Phase::decode && progress.done >= at) cancellation.request();
    }, computing_in(DType::bf16)), "cancelled");
    CHECK(r.cancelled);
    CHECK(reports > 1);
    CHECK(at == 0 ? r.position.empty() : r.position.size() >= 7 && r.position.size() < 200);
    CHECK_EQUAL(r.residual_error.size(), 2 * r.position.size());
    CHECK_EQUAL(r.kl.size(), r.position.size());
  }
}
