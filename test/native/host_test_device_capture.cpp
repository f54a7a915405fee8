// The runner on a device, on the CPU's: in fp32 against the CPU runner, in 16 bits against itself and against what its own vectors say.
#include <chrono>
#include <thread>

#include "capture_recorder.h"
#include "core/attention.h"
#include "host/device/device_capture.h"
#include "host/kernels/cpu_device.h"

using namespace attnscope;
using namespace capture_recorder;
using random_model::Checkpoint;

namespace {

CaptureSummary capture_on_cpu(const Plan& plan, Recorder& sink, const DeviceRunOptions& options = {}) {
  const auto device = open_cpu_device(2);
  Cancellation cancellation;
  return accept(run_capture_on(*device, plan, sink, cancellation, options), sink);
}

constexpr DeviceRunOptions kFloats{.compute = DType::f32, .block_rows = 0, .group_bytes = 0};

/// The largest |a - b| of every column in units of its largest |value|, by table/column.
std::map<std::string, double> differences(const Recorder& got, const Recorder& expected) {
  std::map<std::string, double> worst;
  CHECK_EQUAL(got.columns.size(), expected.columns.size());
  for (const auto& [name, values] : expected.columns) {
    const auto found = got.columns.find(name);
    if (found == got.columns.end() || found->second.size() != values.size()) {
      std::printf("  %s: %zu values instead of %zu\n", name.c_str(), found == got.columns.end() ? 0 : found->second.size(), values.size());
      CHECK(false);
      continue;
    }
    double error = 0, size = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double a = found->second[i], b = values[i];
      if (std::isnan(a) || std::isnan(b)) {
        if (std::isnan(a) != std::isnan(b)) error = INFINITY;
        continue;
      }
      error = std::max(error, std::fabs(a - b)), size = std::max(size, std::fabs(b));
    }
    double& of_column = worst[name.substr(0, name.find('/')) + name.substr(name.rfind('/'))];
    of_column = std::max(of_column, error == 0 ? 0 : error / size);
  }
  return worst;
}

/// Integers that jump where two values lie within rounding of each other: a key of two nearly equal ones, a bin's last key.
bool jumps(const std::string& column) { return column.find("top1_key") != column.npos || column.find("coverage") != column.npos; }

void check_differences(const Recorder& got, const Recorder& expected, double tolerance, const char* what) {
  double worst = 0;
  std::string where = "none";
  for (const auto& [column, error] : differences(got, expected)) {
    if (jumps(column)) continue;
    if (error > worst) worst = error, where = column;
    if (!(error <= tolerance)) std::printf("  %s: %s differs by %.2e\n", what, column.c_str(), error);
    CHECK(error <= tolerance);
  }
  std::printf("     %s: largest difference %.1e (%s)\n", what, worst, where.c_str());
}

/// How many of the integers that may jump are the same.
double equal_share(const Recorder& got, const Recorder& expected) {
  double equal = 0, all = 0;
  for (const auto& [name, values] : expected.columns) {
    if (!jumps(name) || name.find("rows/") != 0) continue;
    const auto& other = got.columns.at(name);
    for (std::size_t i = 0; i < values.size(); ++i) equal += values[i] == other[i], ++all;
  }
  return equal / all;
}

/// A plan that takes every path: cells that differ within groups of a kv head, heads that store every query, decoding.
Plan rich_plan(const Checkpoint& checkpoint, std::uint32_t tokens, std::uint32_t steps, DType vectors) {
  Plan plan = checkpoint.plan(tokens, 4, 2);
  plan.vectors = vectors;
  plan.decode_steps = steps;
  plan.store.logits = true;
  plan.store.query_rows.clear();
  for (std::uint32_t row = 0; row < tokens; row += 1 + row / 3) plan.store.query_rows.push_back(row);
  for (std::size_t head = 0; head < plan.reduce.cells.size(); ++head) plan.reduce.cells[head] = head % 7 < 4 ? 4 : head % 7 == 5 ? 32 : 8;
  return plan;
}

}  // namespace

TEST("fp32 on the CPU's device: the tables of the CPU runner, to rounding") {
  const Checkpoint checkpoint(random_model::tiny());
  for (std::uint32_t tokens : {1u, 2u, 63u, 64u, 65u, 300u})
    for (std::uint32_t steps : {0u, 3u, 70u}) {
      if (steps == 70 && tokens != 65) continue;
      const Plan plan = rich_plan(checkpoint, tokens, steps, DType::f32);
      Recorder expected, got;
      capture(plan, expected);
      const CaptureSummary summary = capture_on_cpu(plan, got, kFloats);
      CHECK_EQUAL(summary.prefill_tokens, tokens);
      CHECK_EQUAL(summary.decode_steps, steps);
      CHECK_EQUAL(got.layers_done, expected.layers_done);
      CHECK(summary.compute == "f32" && !summary.streamed_weights && summary.peak_device_bytes > 0);
      const std::string what = std::to_string(tokens) + " tokens, " + std::to_string(steps) + " steps";
      check_differences(got, expected, 1e-5, what.c_str());
      CHECK(equal_share(got, expected) > 0.99);
      check_sums(got, plan);
    }
}

TEST("fp32, other settings: levels, pools and pages of odd sizes, no sinks, layers left out, one head's cell finer than the prompt") {
  const Checkpoint checkpoint(random_model::tiny());
  const std::pair<const char*, std::function<void(Plan&)>> settings[] = {
      {"no vectors", [](Plan& p) { p.store.vectors = false; }},
      {"pool of 1", [](Plan& p) { p.reduce.query_pool_tokens = 1; }},
      {"pool of 128", [](Plan& p) { p.reduce.query_pool_tokens = 128; }},
      {"pool and pages of everything", [](Plan& p) { p.reduce.query_pool_tokens = p.reduce.page_tokens = 0xffffffffu; }},
      {"pages of 7, partitions of 1", [](Plan& p) { p.reduce.page_tokens = 7, p.reduce.lag_sink = 0, p.reduce.lag_size = 1; }},
      {"no sinks", [](Plan& p) { p.reduce.sink_tokens = 0, p.reduce.local_tokens = 1; }},
      {"all sinks", [](Plan& p) { p.reduce.sink_tokens = p.reduce.local_tokens = 0xffffffffu; }},
      {"every query", [](Plan& p) { std::fill(p.store.full_query_heads.begin(), p.store.full_query_heads.end(), 1); }},
      {"no stored rows", [](Plan& p) { p.store.query_rows.clear(); }},
      {"first layer left out", [](Plan& p) { p.skip_layers = {0}; }},
      {"middle layers left out", [](Plan& p) { p.skip_layers = {1, 3}; }},
      {"all layers left out", [](Plan& p) { p.skip_layers = {0, 1, 2, 3, 4}; }},
      {"nothing reduced", [](Plan& p) { p.reduce.enabled = false; }},
      {"cells of 1", [](Plan& p) { std::fill(p.reduce.cells.begin(), p.reduce.cells.end(), 1); }},
      {"cells of 1024", [](Plan& p) { std::fill(p.reduce.cells.begin(), p.reduce.cells.end(), 1024); }},
      {"forced", [](Plan& p) { p.forced = {3, 1}; }}};
  ModelPlan model = random_model::tiny();
  model.layers = 5, model.tied_embeddings = true;
  const Checkpoint deeper(model);
  for (const auto& [what, change] : settings) {
    Plan plan = rich_plan(deeper, 130, 2, DType::f32);
    change(plan);
    Recorder expected, got;
    capture(plan, expected);
    capture_on_cpu(plan, got, kFloats);
    CHECK_EQUAL(got.layers_done, expected.layers_done);
    check_differences(got, expected, 1e-5, what);
  }
}

TEST("jobs of one head, blocks of 64 rows and any number of threads give the same bits") {
  const Checkpoint checkpoint(random_model::tiny());
  for (DType vectors : {DType::f32, DType::bf16}) {
    Plan plan = rich_plan(checkpoint, 300, 3, vectors);
    Recorder whole, pieces, threads;
    capture_on_cpu(plan, whole);
    capture_on_cpu(plan, pieces, {.compute = std::nullopt, .block_rows = 64, .group_bytes = 1});
    CHECK(same(whole, pieces));
    plan.threads = 7;
    capture_on_cpu(plan, threads);
    CHECK(same(whole, threads));
  }
}

TEST("streamed weights give the bits of resident ones") {
  for (std::uint32_t layers : {1u, 2u, 3u, 6u}) {
    ModelPlan model = random_model::tiny();
    model.layers = layers;
    const Checkpoint checkpoint(model);
    Plan plan = rich_plan(checkpoint, 70, 4, DType::f16);
    Recorder resident, streamed;
    plan.device.weights = DevicePlan::Weights::resident;
    CHECK(!capture_on_cpu(plan, resident).streamed_weights);
    plan.device.weights = DevicePlan::Weights::streamed;
    CHECK(capture_on_cpu(plan, streamed).streamed_weights);
    CHECK(same(resident, streamed));
  }
}

TEST("streamed weights are read ahead no longer than their files are there, also where a run is stopped in its first layer") {
  ModelPlan model = random_model::tiny();
  model.layers = 3, model.hidden_size = 256, model.feed_forward_size = 4096;  // large enough for the reading to be under way when the run ends
  const Checkpoint checkpoint(model);
  Plan plan = checkpoint.plan(2, 8, 2);
  plan.device.weights = DevicePlan::Weights::streamed;
  const auto device = open_cpu_device(2);
  for (int i = 0; i < 5; ++i) {
    Recorder sink;
    Cancellation cancellation;
    cancellation.request();
    const auto result = run_capture_on(*device, plan, sink, cancellation, kFloats);
    CHECK(result.ok() && result.value().cancelled);
    CHECK_EQUAL(sink.layers_done, 0);
  }
}

TEST("16 bits: row statistics are those of the stored vectors, and the forward pass stays near fp32") {
  const Checkpoint checkpoint(random_model::tiny());
  for (const auto& [vectors, name, tolerance] : {std::tuple{DType::bf16, "bf16", 0.03}, std::tuple{DType::f16, "f16", 0.03}}) {
    Plan plan = rich_plan(checkpoint, 200, 0, vectors);
    std::fill(plan.store.full_query_heads.begin(), plan.store.full_query_heads.end(), 1);
    Recorder floats, got;
    capture(plan, floats);  // the CPU runner: products in fp32, vectors rounded alike
    CHECK(capture_on_cpu(plan, got).compute == "bf16");
    check_sums(got, plan);
    const std::size_t n = plan.tokens.size(), dim = plan.model.head_dim;
    double worst_lse = 0, worst_entropy = 0;
    for (std::uint32_t layer = 0; layer < plan.model.layers; ++layer) {
      const auto vectors_of = [&](const char* which) {
        const auto& bits = got.at(std::string(which) + "/prefill/" + std::to_string(layer) + "/" + which);
        std::vector<std::uint16_t> raw(bits.begin(), bits.end());
        std::vector<float> values(raw.size());
        to_float(plan.vectors, raw.data(), raw.size(), values.data());
        return values;
      };
      const std::vector<float> q = vectors_of("q"), k = vectors_of("k");
      const auto& lse = got.at("rows/prefill/" + std::to_string(layer) + "/lse");
      const auto& entropy = got.at("rows/prefill/" + std::to_string(layer) + "/entropy");
      for (std::size_t h = 0; h < plan.model.heads; ++h)
        for (std::size_t i = 0; i < n; ++i) {
          double sum = 0;
          std::vector<double> scores(i + 1);
          for (std::size_t j = 0; j <= i; ++j) {
            for (std::size_t c = 0; c < dim; ++c) scores[j] += double(q[(h * n + i) * dim + c]) * k[(h / plan.group() * n + j) * dim + c];
            scores[j] *= plan.model.attention_scale;
            sum += std::exp(scores[j]);
          }
          double h_of_row = 0;
          for (double score : scores) h_of_row -= std::exp(score) / sum * (score - std::log(sum));
          worst_lse = std::max(worst_lse, std::fabs(lse[h * n + i] - std::log(sum)));
          worst_entropy = std::max(worst_entropy, std::fabs(entropy[h * n + i] - h_of_row));
        }
    }
    std::printf("     %s: log-sum-exp differs by %.1e, entropy by %.1e from fp64 over the stored vectors\n", name, worst_lse, worst_entropy);
    CHECK(worst_lse < 1e-5);
    CHECK(worst_entropy < 1e-5);
    double worst = 0;
    std::string where;
    for (const auto& [column, error] : differences(got, floats)) {
      // Bit patterns, maxima and single keys follow no tolerance.
      if (jumps(column) || column == "q/q" || column == "k/k" || column == "v/v" || column.find("lag_") != column.npos || column.find("share") != column.npos) continue;
      if (error > worst) worst = error, where = column;
      CHECK(error <= tolerance);
    }
    std::printf("     %s: largest difference from fp32 products %.1e (%s)\n", name, worst, where.c_str());
  }
}

TEST("what a plan needs is what it takes, by category") {
  ModelPlan model = random_model::tiny();
  model.layers = 4;
  const Checkpoint checkpoint(model);
  const auto device = open_cpu_device(2);
  for (DevicePlan::Weights weights : {DevicePlan::Weights::automatic, DevicePlan::Weights::resident, DevicePlan::Weights::streamed})
    for (std::uint32_t steps : {0u, 5u})
      for (bool rich : {false, true}) {
        Plan plan = rich ? rich_plan(checkpoint, 150, steps, DType::bf16) : checkpoint.plan(90, 8, 1);
        plan.decode_steps = steps;
        plan.device.weights = weights;
        if (!rich) plan.store.vectors = false;
        const DeviceRunOptions options{.compute = std::nullopt, .block_rows = 64, .group_bytes = rich ? std::uint64_t{1} << 16 : 0};
        const DeviceNeeds needs = device_needs(plan, options, device.get());
        Recorder sink;
        const CaptureSummary summary = capture_on_cpu(plan, sink, options);
        CHECK_EQUAL(summary.peak_device_bytes, needs.total());
        CHECK_EQUAL(summary.peak_pinned_bytes, needs.pinned_bytes);
        CHECK_EQUAL(summary.streamed_weights, needs.streamed_weights);
        CHECK_EQUAL(summary.device_bytes_at_peak.size(), kMemoryCategories);
        for (std::size_t i = 0; i < summary.device_bytes_at_peak.size(); ++i) CHECK_EQUAL(summary.device_bytes_at_peak[i].second, needs.bytes[i]);
      }
}

TEST("a model of 8B with 128K tokens at level replay takes less than 80 GB, with room for its decoding") {
  Plan plan;
  ModelPlan& m = plan.model;
  m.family = "llama";
  m.layers = 32, m.heads = 32, m.kv_heads = 8, m.head_dim = 128, m.hidden_size = 4096, m.feed_forward_size = 14336, m.vocab_size = 128256;
  plan.tokens.assign(131072, 1);
  plan.decode_steps = 512;
  plan.vectors = DType::bf16;
  plan.reduce.cells.assign(1024, 1024);
  plan.reduce.query_pool_tokens = 64;
  plan.store.vectors = true;
  plan.store.full_query_heads.assign(1024, 0);
  for (std::uint32_t row = 0; row < 1024; ++row) plan.store.query_rows.push_back(row * 128);
  const DeviceNeeds needs = device_needs(plan, {}, nullptr, std::uint64_t{80} * 1000 * 1000 * 1000);
  for (std::size_t i = 0; i < kMemoryCategories; ++i) std::printf("     %-12s %6.2f GB\n", name_of(static_cast<MemoryCategory>(i)), double(needs.bytes[i]) / 1e9);
  std::printf("     together     %6.2f GB, pinned on the host %.2f GB\n", double(needs.total()) / 1e9, double(needs.pinned_bytes) / 1e9);
  CHECK(!needs.streamed_weights);
  CHECK(needs.total() < std::uint64_t{60} * 1000 * 1000 * 1000);
  CHECK(needs.bytes[0] > 16'000'000'000 && needs.bytes[0] < 16'200'000'000);  // 8.03e9 parameters of two bytes
  CHECK(needs.bytes[1] == std::uint64_t{2} * 32 * (131072 + 512) * 1024 * 2);
}

TEST("too little memory: streamed where that helps, else an error before any work that names what does not fit and what would help") {
  ModelPlan model = random_model::tiny();
  model.layers = 8;
  const Checkpoint checkpoint(model);
  const auto device = open_cpu_device(2);
  Plan plan = checkpoint.plan(64, 8, 1);
  plan.device.weights = DevicePlan::Weights::streamed;
  const std::uint64_t enough = device_needs(plan, {}, device.get()).total();
  plan.device.weights = DevicePlan::Weights::automatic;
  plan.device.memory_bytes = enough;
  Recorder fits;
  const CaptureSummary summary = capture_on_cpu(plan, fits);
  CHECK(summary.streamed_weights && summary.peak_device_bytes <= enough);
  CHECK_EQUAL(fits.layers_done, 8);

  std::map<std::string, int> named;
  for (std::uint64_t limit : {std::uint64_t{1}, std::uint64_t{30000}, enough / 4, enough / 2, enough * 3 / 4, enough - 1}) {
    plan.device.memory_bytes = limit;
    Recorder sink;
    Cancellation cancellation;
    const auto result = run_capture_on(*device, plan, sink, cancellation);
    CHECK(!result.ok() && result.error().code == "E_DEVICE_MEMORY" && sink.columns.empty());
    if (result.ok()) continue;
    const std::string& said = result.error().message;
    CHECK(said.find("--") != said.npos && said.find("needs") != said.npos && said.find("the limit of") != said.npos);
    ++named[said.substr(0, said.find(" needs"))];
  }
  CHECK(named.size() >= 3);
}

TEST("a damaged weight is named, and layers before it were handed over") {
  ModelPlan model = random_model::tiny();
  model.layers = 4;
  const Checkpoint checkpoint(model);
  const Plan plan = checkpoint.plan(100, 8, 1);
  for (const auto& [tensor, layers_before] : {std::pair{"model.layers.2.mlp.up_proj.weight", 2}, {"model.layers.0.self_attn.k_proj.weight", 0}, {"model.norm.weight", 4}}) {
    const auto found = std::find_if(plan.tensors.begin(), plan.tensors.end(), [&](const TensorPlan& t) { return t.name == tensor; });
    std::FILE* file = std::fopen(plan.files[0].c_str(), "r+b");
    std::uint16_t before = 0, nan = 0x7fc0;
    std::fseek(file, static_cast<long>(found->offset + 6), SEEK_SET);
    CHECK_EQUAL(std::fread(&before, 2, 1, file), 1);
    const auto write = [&](std::uint16_t bits) {
      std::fseek(file, static_cast<long>(found->offset + 6), SEEK_SET);
      std::fwrite(&bits, 2, 1, file);
      std::fflush(file);
    };
    write(nan);
    const auto device = open_cpu_device(2);
    Recorder sink;
    Cancellation cancellation;
    const auto result = run_capture_on(*device, plan, sink, cancellation);
    write(before);
    std::fclose(file);
    CHECK(!result.ok() && result.error().code == "E_MODEL_NOT_FINITE");
    if (!result.ok()) CHECK(result.error().message.find(tensor) != std::string::npos);
    CHECK_EQUAL(sink.layers_done, layers_before);
  }
}

TEST("values that f16 cannot hold are refused with the other precision as advice") {
  ModelPlan model = random_model::tiny();
  const Checkpoint checkpoint(model);
  Plan plan = checkpoint.plan(20, 8, 1);
  // All weights of k a million: bf16 holds them, f16 does not hold the keys.
  const auto found = std::find_if(plan.tensors.begin(), plan.tensors.end(), [&](const TensorPlan& t) { return t.name == "model.layers.1.self_attn.k_proj.weight"; });
  std::FILE* file = std::fopen(plan.files[0].c_str(), "r+b");
  std::fseek(file, static_cast<long>(found->offset), SEEK_SET);
  const std::vector<std::uint16_t> large(found->bytes / 2, 0x4974);
  std::fwrite(large.data(), 2, large.size(), file);
  std::fclose(file);
  const auto device = open_cpu_device(2);
  for (DType vectors : {DType::f16, DType::bf16}) {
    plan.vectors = vectors;
    Recorder sink;
    Cancellation cancellation;
    const auto result = run_capture_on(*device, plan, sink, cancellation);
    CHECK_EQUAL(result.ok(), vectors == DType::bf16);
    if (!result.ok()) CHECK(result.error().code == "E_VECTORS_OVERFLOW" && result.error().message.find("layer 1") != std::string::npos && result.error().message.find("--vectors bf16") != std::string::npos);
  }
}

TEST("cancelled at any point: the run ends in order; what was decoded is kept") {
  ModelPlan model = random_model::tiny();
  model.layers = 3, model.heads = 4, model.kv_heads = 2, model.head_dim = 64, model.hidden_size = 256, model.feed_forward_size = 512, model.vocab_size = 500;
  const Checkpoint checkpoint(model);
  Plan plan = checkpoint.plan(700, 8, 2);
  plan.store.logits = true;
  plan.decode_steps = 6;
  const auto device = open_cpu_device(2);
  Recorder whole;
  capture_on_cpu(plan, whole);
  int cancelled = 0;
  for (int at = 1; at < whole.reports; at += 1 + whole.reports / 12) {
    Recorder sink;
    Cancellation cancellation;
    bool decoded = false, in_rows = false;  // stopped where rows of what was decoded are reduced: layers after that have none
    sink.on_progress = [&](const RunProgress& progress) {
      decoded = decoded || progress.phase == Phase::decode;
      if (sink.reports != at) return;
      cancellation.request();
      in_rows = decoded && progress.phase == Phase::reduce;
    };
    const auto result = run_capture_on(*device, plan, sink, cancellation);
    CHECK(result.ok());
    if (!result.ok()) continue;
    const CaptureSummary& summary = result.value();
    cancelled += summary.cancelled;
    CHECK_EQUAL(sink.at("steps/decode/-1/token").size(), summary.decode_steps);
    if (in_rows) {
      CHECK(summary.decode_steps == plan.decode_steps && sink.layers_done >= static_cast<int>(model.layers));
    } else if (summary.decode_steps > 0) {
      CHECK_EQUAL(sink.layers_done, 2 * model.layers);
      CHECK_EQUAL(sink.at("kv/decode/2/k_norm").size(), model.kv_heads * summary.decode_steps);
    }
  }
  CHECK(cancelled > 3);
}

TEST("decoded tokens are known before the first of their rows, also where the run is stopped there") {
  const Checkpoint checkpoint(random_model::tiny());
  Plan plan = checkpoint.plan(70, 8, 2);
  plan.decode_steps = 3;
  const auto device = open_cpu_device(2);
  for (const bool stopped : {false, true}) {
    Recorder sink;
    Cancellation cancellation;
    sink.on_batch = [&](const Batch& batch) {
      if (batch.segment != Segment::decode || batch.layer < 0) return success();
      CHECK_EQUAL(sink.at("steps/decode/-1/token").size(), 3);
      if (stopped) cancellation.request();
      return success();
    };
    const auto result = run_capture_on(*device, plan, sink, cancellation);
    CHECK(result.ok());
    if (!result.ok()) continue;
    CHECK_EQUAL(result.value().cancelled, stopped);
    CHECK_EQUAL(result.value().decode_steps, 3);
    CHECK_EQUAL(sink.layers_done, stopped ? 2 : 4);
  }
}

TEST("progress: layers and steps in order, fractions that grow") {
  const Checkpoint checkpoint(random_model::tiny());
  Plan plan = checkpoint.plan(200, 8, 1);
  plan.decode_steps = 2;
  Recorder sink;
  std::vector<RunProgress> items;
  sink.on_progress = [&](const RunProgress& p) {
    CHECK(p.fraction >= 0 && p.fraction <= 1 && p.done < p.total);
    if (items.empty() || items.back().phase != p.phase || items.back().done != p.done) items.push_back(p);
    CHECK(items.back().fraction <= p.fraction);
    items.back() = p;
  };
  capture_on_cpu(plan, sink);
  const std::pair<Phase, std::uint32_t> expected[] = {{Phase::load, 0}, {Phase::prefill, 0}, {Phase::reduce, 0}, {Phase::prefill, 1}, {Phase::reduce, 1},
                                                      {Phase::decode, 0}, {Phase::decode, 1}, {Phase::reduce, 0}, {Phase::reduce, 1}};
  CHECK_EQUAL(items.size(), std::size(expected));
  for (std::size_t i = 0; i < std::min(items.size(), std::size(expected)); ++i) CHECK(items[i].phase == expected[i].first && items[i].done == expected[i].second);
}

TEST("what the sink refuses ends the run with that error") {
  const Checkpoint checkpoint(random_model::tiny());
  Plan plan = checkpoint.plan(40, 2, 2);
  plan.decode_steps = 2;
  const auto device = open_cpu_device(2);
  for (const char* table : {"queryStats", "pyramid", "thumbs", "kv", "pages", "channels", "q", "v", "qPooled", "steps"}) {
    Recorder sink;
    sink.on_batch = [&](const Batch& b) -> Status { return std::string(b.table) == table ? Status(Error{"E_FULL", "full"}) : success(); };
    Cancellation cancellation;
    const auto result = run_capture_on(*device, plan, sink, cancellation);
    CHECK(!result.ok() && result.error().code == "E_FULL");
  }
}

TEST("devices that a plan names") {
  const Checkpoint checkpoint(random_model::tiny());
  for (const auto& [name, vectors, code] : {std::tuple{"gpu", DType::bf16, "E_PLAN_INVALID"}, {"cuda:", DType::bf16, "E_PLAN_INVALID"}, {"cuda:1x", DType::bf16, "E_PLAN_INVALID"},
                                            {"cuda", DType::f32, "E_DEVICE_DTYPE"}, {"cuda:0", DType::f32, "E_DEVICE_DTYPE"}}) {
    Plan plan = checkpoint.plan(8, 1, 1);
    plan.device.name = name;
    plan.vectors = vectors;
    Recorder sink;
    Cancellation cancellation;
    const auto result = run_capture(plan, sink, cancellation);
    CHECK(!result.ok() && result.error().code == code);
  }
}
