// A whole capture on the CUDA sources under emulation, against the same runner on the CPU's device: the same precisions, other orders of
// addition.
#include "capture_recorder.h"
#include "emulated_device.h"
#include "host/device/device_capture.h"
#include "host/kernels/cpu_device.h"

using namespace attnscope;
using namespace capture_recorder;

namespace {

/// 32-bit words of what a capture stores in 16 bits.
std::vector<float> values_of(const std::string& column, const std::vector<double>& stored, DType dtype) {
  std::vector<float> values(stored.begin(), stored.end());
  const std::string name = column.substr(column.rfind('/'));
  if ((name != "/q" && name != "/k" && name != "/v") || column.starts_with("qPooled")) return values;
  const std::vector<std::uint16_t> bits(stored.begin(), stored.end());
  to_float(dtype, bits.data(), bits.size(), values.data());
  return values;
}

/// Root mean square of the difference in units of that of the values: a value on the edge between two 16-bit numbers may fall on
/// either side.
double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    error += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    size += double(b[i]) * b[i];
  }
  return error == 0 ? 0 : std::sqrt(error / size);
}

}  // namespace

TEST("blocks of coverage that a GPU has no room for: refused before any work, other runs are not") {
  ModelPlan model = random_model::tiny();
  model.head_dim = 128;
  const random_model::Checkpoint checkpoint(model);
  Plan plan = checkpoint.plan(5593, 64, 2);
  plan.store.vectors = false;
  plan.device.memory_bytes = 1;  // what is not refused for its blocks is as soon as it asks for memory
  const auto refused = [&](KernelDevice& device) {
    Recorder sink;
    Cancellation cancellation;
    const auto result = run_capture_on(device, plan, sink, cancellation);
    CHECK(!result.ok() && sink.columns.empty());
    return result.ok() ? Error{} : result.error();
  };
  // Compute capability 8.6 and 8.9: 99 KiB hold the histograms of 5,592 tokens.
  const auto small = open_emulated_device(99 * 1024);
  const Error error = refused(*small);
  CHECK(error.code == "E_KERNEL_SHARED" && error.message.find("101 KiB") != std::string::npos && error.message.find("99") != std::string::npos);
  CHECK(refused(*open_emulated_device()).code == "E_DEVICE_MEMORY");
  plan.tokens.pop_back();
  CHECK(refused(*small).code == "E_DEVICE_MEMORY");
  plan.tokens.push_back(1);
  plan.reduce.enabled = false;
  CHECK(refused(*small).code == "E_DEVICE_MEMORY");
}

TEST("a tiny model's capture: every table as on the CPU's device") {
  struct Case {
    DType vectors;
    DevicePlan::Weights weights;
    std::uint32_t tokens, layers;
    std::uint64_t group_bytes;
    std::vector<std::uint32_t> skipped;
  };
  // The second has more layers and jobs than there are places for their results, with a layer left out between.
  for (const Case& c : {Case{DType::bf16, DevicePlan::Weights::resident, 70, 2, 0, {}}, Case{DType::f16, DevicePlan::Weights::streamed, 20, 5, 1, {1}}}) {
    ModelPlan model = random_model::tiny();
    model.layers = c.layers, model.heads = 4, model.kv_heads = 2, model.head_dim = 16, model.hidden_size = 40, model.feed_forward_size = 56, model.vocab_size = 50;
    const random_model::Checkpoint checkpoint(model);
    Plan plan = checkpoint.plan(c.tokens, 8, 1);
    plan.vectors = c.vectors;
    plan.decode_steps = 2;
    plan.forced = {7, 9};  // a greedy choice between two nearly equal tokens would end the comparison
    plan.store.logits = true;
    plan.store.query_rows = {0, 5, c.tokens - 1};
    plan.reduce.cells[2] = 64;
    plan.device.weights = c.weights;
    plan.skip_layers = c.skipped;
    const auto cpu = open_cpu_device(1), emulated = open_emulated_device();
    const DeviceRunOptions options{.compute = std::nullopt, .block_rows = 64, .group_bytes = c.group_bytes};
    Recorder expected, got;
    Cancellation cancellation;
    capture_recorder::accept(run_capture_on(*cpu, plan, expected, cancellation, options), expected);
    const CaptureSummary summary = capture_recorder::accept(run_capture_on(*emulated, plan, got, cancellation, options), got);
    CHECK_EQUAL(summary.decode_steps, 2);
    CHECK_EQUAL(summary.peak_device_bytes, device_needs(plan, options, emulated.get()).total());
    CHECK_EQUAL(got.layers_done, 2 * c.layers - c.skipped.size());
    CHECK_EQUAL(got.columns.size(), expected.columns.size());
    if (c.skipped.empty()) check_sums(got, plan);
    double worst = 0, worst_first = 0;
    std::string where, where_first;
    for (const auto& [name, values] : expected.columns) {
      const auto& other = got.columns[name];
      CHECK_EQUAL(other.size(), values.size());
      if (other.size() != values.size() || name.find("top1") != name.npos) continue;
      const double error = difference(values_of(name, other, c.vectors), values_of(name, values, c.vectors));
      // Tensor cores multiply V by probabilities of 16 bits: what follows the first attention differs by that. What comes before differs
      // where a sum in another order is rounded to the neighbour; counts of keys by one where a value lies on the edge of a bin.
      const bool counts_keys = name.find("coverage") != name.npos, first = name.find("/prefill/0/") != name.npos;
      if (!counts_keys && error > worst) worst = error, where = name;
      if (!counts_keys && first && error > worst_first) worst_first = error, where_first = name;
      CHECK(error < (counts_keys ? 0.03 : first ? 5e-4 : 0.02));
    }
    std::printf("     %s, %u tokens: largest difference %.1e (%s), in the first layer %.1e (%s)\n", c.vectors == DType::bf16 ? "bf16" : "f16", c.tokens, worst, where.c_str(),
                worst_first, where_first.c_str());
  }
}
