// Policies inside a model on a device: the CPU device in fp32 beside the CPU runner, 16-bit precisions beside it within their rounding, and
// what a device must say when it cannot.
#include "host/device/policy_device.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "check.h"
#include "host/kernels/cpu_device.h"
#include "random_model.h"

using namespace attnscope;
using random_model::Checkpoint;

namespace {

PolicyChoice choice(const char* text) {
  auto parsed = parse_policy(text);
  if (parsed) return parsed.take();
  std::printf("%s: %s\n", text, parsed.error().message.c_str());
  std::exit(1);
}

/// One policy in every head.
PolicyRunPlan plan_of(const Checkpoint& checkpoint, PolicyChoice policy, std::uint32_t tokens, std::uint32_t steps, DType vectors) {
  PolicyRunPlan plan;
  plan.base = checkpoint.plan(tokens, 1024, 2);
  plan.base.reduce.enabled = false;
  plan.base.store = {};
  plan.base.vectors = vectors;
  plan.base.decode_steps = steps;
  for (std::uint32_t i = 0; i < steps; ++i) plan.base.forced.push_back(i * 7 % 61);
  plan.policies = {std::move(policy)};
  plan.assignment.assign(std::size_t(plan.base.model.layers) * plan.base.model.heads, 0);
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

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) largest = std::max(largest, std::fabs(double(a[i]) - double(b[i])));
  return largest;
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
    PolicyRunPlan plan = plan_of(checkpoint, choice(c.text), 200, 8, DType::f32);
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
    if (difference > 2e-5 || residual > 2e-5 || differing > 0) std::printf("  %s context %u chunk %u: %g, residual %g, %zu of %zu rows\n", c.text, c.context, c.chunk, difference, residual, differing, compared);
    worst = std::max(worst, difference), worst_residual = std::max(worst_residual, residual);
    rows += compared, other_rows += differing;
  }
  std::printf("     largest difference of a log-probability or KL %.3g, of a residual error %.3g; %zu of %zu rows keep other keys\n", worst, worst_residual, other_rows, rows);
}
