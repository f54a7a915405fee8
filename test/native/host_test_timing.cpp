// The timing harness on a device that only counts what it is asked, and a tiny run on the real CPU kernels.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <span>

#include "check.h"
#include "core/policy/plan_builder.h"
#include "core/policy/synthetic_indices.h"
#include "host/device/open_device.h"
#include "host/timing/bundle.h"
#include "host/timing/captured_files.h"
#include "host/timing/run_timings.h"
#include "host/timing/statistics.h"
#include "host/timing/timing_options.h"

using namespace attnscope;

namespace {

/// Memory is real, time is what the test says, kernels do nothing but count themselves; conversion is the engine's own.
class CountingDevice final : public KernelDevice {
 public:
  std::map<std::string, int> calls;
  std::size_t held = 0, most = 0;
  double call_us = 10;
  int flushes = 0, timers = 0;
  std::function<void()> on_timer;
  const char* refuses = nullptr;  // operation that answers with an error
  bool dies = false;              // and after it nothing answers
  std::vector<DecodeArgs> decoded;  // of single heads

  const DeviceFacts& facts() override { return facts_; }
  void* allocate(std::size_t bytes) override {
    auto* memory = static_cast<std::size_t*>(std::calloc(1, bytes + 16));
    *memory = bytes;
    most = std::max(most, held += bytes);
    return memory + 2;
  }
  void release(void* memory) override {
    auto* at = static_cast<std::size_t*>(memory) - 2;
    held -= *at;
    std::free(at);
  }
  void* allocate_host(std::size_t bytes) override { return std::malloc(bytes); }
  void release_host(void* memory) override { std::free(memory); }
  Outcome upload(void* to, const void* from, std::size_t bytes) override { return std::memcpy(to, from, bytes), nullptr; }
  Outcome download(void* to, const void* from, std::size_t bytes) override { return std::memcpy(to, from, bytes), nullptr; }
  Outcome copy(void* to, const void* from, std::size_t bytes) override { return std::memcpy(to, from, bytes), nullptr; }
  Outcome fill(void* to, std::uint8_t byte, std::size_t bytes) override { return std::memset(to, byte, bytes), nullptr; }
  std::uint64_t free_bytes() override { return facts_.memory_bytes - held; }
  Outcome upload_in(Queue, void* to, const void* from, std::size_t bytes) override { return upload(to, from, bytes); }
  Outcome download_in(Queue, void* to, const void* from, std::size_t bytes) override { return download(to, from, bytes); }
  Event create_event() override { return this; }
  void release_event(Event) override {}
  Outcome record(Event, Queue) override { return nullptr; }
  Outcome wait(Queue, Event) override { return nullptr; }
  Outcome await(Event) override { return synchronize(); }
  Outcome synchronize() override { return dead_ ? "E_CUDA_FAILED an illegal memory access was encountered" : nullptr; }
  Outcome start_timer() override {
    ++timers;
    if (on_timer) on_timer();
    return nullptr;
  }
  Outcome stop_timer(double* us) override { return *us = call_us, nullptr; }
  Outcome flush_cache() override { return ++flushes, nullptr; }

  Outcome dense(const AttentionArgs&) override { return count("dense"); }
  Outcome a_shape(const AttentionArgs&, std::uint32_t, std::uint32_t) override { return count("a-shape"); }
  Outcome sparse(const AttentionArgs& args, const SparseIndex&) override { return count(args.heads == 1 ? "sparse, one head" : "sparse"); }
  Outcome decode(const DecodeArgs& args) override {
    check_workspace(args);
    if (args.heads == 1) decoded.push_back(args);
    return count(args.list == nullptr ? "decode" : "decode-list");
  }
  Outcome merge(const MergeArgs&) override { return count("merge"); }
  Outcome strip(const StripArgs& args) override { return check_workspace(args), count("strip"); }
  Outcome select(const SelectArgs& args) override {
    check_workspace(args);
    for (std::uint32_t r = 0; r < args.rows; ++r)
      for (std::uint32_t i = 0; i < args.count; ++i) args.index[std::size_t{r} * args.count + i] = args.descending ? args.count - 1 - i : i;
    return count("select");
  }
  Outcome convert(const ConvertArgs& args) override {
    check_workspace(args);
    const std::size_t blocks = (args.tokens + 63) / 64;
    for (std::uint32_t h = 0; h < args.heads; ++h) {
      const std::uint32_t *columns = args.column + std::size_t{h} * args.columns, *distances = args.distance + std::size_t{h} * args.distances;
      const PrefillPlan plan = plan_from_vertical_slash(args.tokens, {columns, columns + args.columns}, {distances, distances + args.distances});
      std::copy(plan.tile_offset.begin(), plan.tile_offset.end(), args.out.tile_offset + h * (blocks + 1));
      std::copy(plan.column_offset.begin(), plan.column_offset.end(), args.out.column_offset + h * (blocks + 1));
      CHECK(plan.tile.size() <= args.out.tile_capacity && plan.column.size() <= args.out.column_capacity);
    }
    return count("convert");
  }
  Outcome pool(const PoolArgs&) override { return count("pool"); }
  Outcome select_blocks(const BlockSelectArgs& args) override {
    check_workspace(args);
    const std::uint32_t blocks = (args.tokens + 63) / 64;
    for (std::uint32_t h = 0; h < args.heads; ++h)
      for (std::uint32_t m = 0; m < blocks; ++m) args.out.tile_offset[h * (blocks + 1) + m + 1] = args.out.tile_offset[h * (blocks + 1) + m] + std::min(args.top_k, m + 1);
    return count("select_blocks");
  }
  Outcome lag_score(const LagArgs&) override { return count("lag_score"); }
  Outcome hash(const HashArgs&) override { return count("hash"); }
  Outcome sort_buckets(const BucketArgs&) override { return count("sort_buckets"); }
  Outcome reduce(const ReduceArgs&) override { return count("reduce"); }
  Outcome embed(const EmbedArgs&) override { return count("embed"); }
  Outcome norm(const NormArgs&) override { return count("norm"); }
  Outcome multiply(const MultiplyArgs&) override { return count("multiply"); }
  Outcome rotate(const RotateArgs&) override { return count("rotate"); }
  Outcome activate(const ActivateArgs&) override { return count("activate"); }
  Outcome cast(const CastArgs&) override { return count("cast"); }
  Outcome gather(const GatherArgs&) override { return count("gather"); }
  Outcome count_non_finite(const NonFiniteArgs&) override { return count("count_non_finite"); }
  Outcome moments(const MomentsArgs&) override { return count("moments"); }
  Outcome coverage(const CoverageArgs&) override { return count("coverage"); }
  std::size_t workspace_bytes(const DecodeArgs& args) override { return parts_of(args.heads); }
  std::size_t workspace_bytes(const StripArgs& args) override { return parts_of(args.heads); }
  std::size_t workspace_bytes(const SelectArgs& args) override { return parts_of(args.rows); }
  std::size_t workspace_bytes(const ConvertArgs& args) override { return parts_of(args.heads); }
  std::size_t workspace_bytes(const BlockSelectArgs& args) override { return parts_of(args.heads); }
  std::size_t workspace_bytes(const MultiplyArgs& args) override { return parts_of(args.rows); }
  std::size_t shared_bytes(const CoverageArgs&) override { return 0; }

 private:
  /// A device cuts a single head into more parts than it cuts many into.
  static std::size_t parts_of(std::uint32_t heads) { return heads == 1 ? 1000 : 64; }
  template <class Args>
  void check_workspace(const Args& args) {
    CHECK(args.workspace != nullptr && static_cast<const std::size_t*>(args.workspace)[-2] >= workspace_bytes(args));
  }
  Outcome count(const std::string& operation) {
    ++calls[operation];
    if (refuses == nullptr || operation != refuses) return nullptr;
    dead_ = dies;
    return "E_KERNEL_SHAPE this shape has no kernel";
  }
  bool dead_ = false;
  DeviceFacts facts_{"cuda", "counter", "driver 1", std::uint64_t{1} << 30, 132, 90, 1755, 1 << 20};
};

class Recorder final : public TimingSink {
 public:
  std::vector<TimingRow> rows;
  std::vector<TimingSkip> skips;
  std::uint32_t done = 0, total = 0, groups = 0;
  std::size_t kept = 0;  // rows when a group was last done
  Status row(const TimingRow& row) override { return rows.push_back(row), success(); }
  void skipped(const TimingSkip& skip) override { skips.push_back(skip); }
  void progress(std::uint32_t d, std::uint32_t t, const std::string&) override { done = d, total = t; }
  Status group_done() override { return ++groups, kept = rows.size(), success(); }

  std::vector<TimingRow> of(std::string_view op, std::string_view phase) const {
    std::vector<TimingRow> found;
    for (const TimingRow& row : rows)
      if (row.op == op && row.phase == phase) found.push_back(row);
    return found;
  }
};

TimingPlan plan_of(std::vector<std::pair<std::string, std::string>> options) {
  const std::pair<const char*, const char*> defaults[] = {{"heads", "4/2x16"}, {"lengths", "200"}, {"repeats", "5"}, {"warmups", "1"}, {"runs", "1,16,one"},
                                                          {"policy", "a-shape:n_init=8,n_local=32;vertical-slash:v=30,s=60;block-sparse:top_k=2"}, {"copies", "4K"}, {"shares", "10"}};
  for (const auto& [name, value] : defaults)
    if (std::none_of(options.begin(), options.end(), [&, n = name](const auto& option) { return option.first == n; })) options.emplace_back(name, value);
  auto plan = read_timing_plan(options);
  if (!plan) std::printf("  %s: %s\n", plan.error().code.c_str(), plan.error().message.c_str());
  CHECK(plan.ok());
  return plan.ok() ? plan.take() : TimingPlan{};
}

std::string refusal(std::vector<std::pair<std::string, std::string>> options) {
  const auto plan = read_timing_plan(options);
  return plan.ok() ? "" : plan.error().code;
}

}  // namespace

TEST("quantiles are values that occurred, by nearest rank") {
  std::vector<double> thirty;
  for (int i = 30; i >= 1; --i) thirty.push_back(i);
  const TimeStatistics s = time_statistics(thirty);
  CHECK_EQUAL(s.count, 30);
  CHECK_EQUAL(s.median, 15);
  CHECK_EQUAL(s.p10, 3);
  CHECK_EQUAL(s.p90, 27);
  CHECK_EQUAL(s.min, 1);
  CHECK_EQUAL(s.mean, 15.5);
  const TimeStatistics one = time_statistics({7});
  CHECK_EQUAL(one.median, 7);
  CHECK_EQUAL(one.p10, 7);
  CHECK_EQUAL(one.p90, 7);
  CHECK(std::isnan(time_statistics({}).median));
}

TEST("draws hold as many distances as asked, the forced ones, and runs of the length asked") {
  for (const std::uint32_t length : {1u, 16u, 256u, ~0u}) {
    for (const std::uint32_t forced : {0u, 100u}) {
      std::vector<std::uint32_t> drawn = draw_runs(20000, 1500, length, forced, seeded::Stream("test", {length, forced}));
      std::sort(drawn.begin(), drawn.end());
      CHECK_EQUAL(drawn.size(), 1500);
      CHECK_EQUAL(std::set<std::uint32_t>(drawn.begin(), drawn.end()).size(), 1500);
      CHECK(drawn.back() < 20000);
      for (std::uint32_t i = 0; i < forced; ++i) CHECK_EQUAL(drawn[i], i);
      std::size_t runs = 1;
      for (std::size_t i = 1; i < drawn.size(); ++i) runs += drawn[i] != drawn[i - 1] + 1;
      // Forced ones are a run, the last is cut, neighbours may merge.
      const double expected = length >= 1500 ? 1 : (1500.0 - forced) / length;
      CHECK(double(runs) <= expected + 2);
      CHECK(double(runs) >= 0.85 * expected);
    }
  }
  CHECK_EQUAL(draw_runs(64, 64, 16, 0, seeded::Stream("all", {})).size(), 64);
}

TEST("every operation and phase is measured, with its work, and nothing stays allocated") {
  CountingDevice device;
  Recorder recorder;
  const TimingPlan plan = plan_of({});
  const auto outcome = run_timings(device, plan, recorder, Cancellation());
  CHECK(outcome.ok() && outcome.value() == TimingOutcome::complete);
  CHECK_EQUAL(device.held, 0);
  CHECK_EQUAL(recorder.done, recorder.total);
  CHECK(recorder.groups >= 1);
  for (const TimingSkip& skip : recorder.skips) CHECK(skip.op == "lagkv");  // 200 tokens hold no partition
  std::map<std::string, int> rows;
  for (const TimingRow& row : recorder.rows) {
    ++rows[row.op + "/" + row.phase + "/" + row.batching];
    CHECK(row.work + row.column_work > 0);
    CHECK(!row.work_unit.empty());
    CHECK_EQUAL(row.median_us, 10);
    CHECK_EQUAL(row.count, 5);
    CHECK_EQUAL(row.threads, 0);
    CHECK_EQUAL(row.clock_mhz, 1755);
    CHECK(row.device == "counter" && row.driver == "driver 1" && row.dtype == "f32");
    CHECK(row.date.size() == 20 && row.source.starts_with("attnscope "));
  }
  const std::pair<const char*, int> expected[] = {
      {"dense/attention/batched", 1}, {"dense/attention/per head", 1}, {"a-shape/attention/batched", 1}, {"a-shape/attention/per head", 1}, {"vertical-slash/estimate/batched", 1}, {"vertical-slash/select/per head", 1},
      {"vertical-slash/convert/batched", 3}, {"vertical-slash/convert/per head", 1}, {"vertical-slash/attention/batched", 3}, {"vertical-slash/attention/per head", 1},
      {"block-sparse/estimate/batched", 1}, {"block-sparse/select/batched", 1}, {"block-sparse/attention/per head", 1}, {"decode/attention/batched", 1}, {"decode/attention/per head", 1}, {"decode-list/attention/batched", 2}, {"decode-list/attention/per head", 2},
      {"simhash/hash/batched", 1}, {"simhash/sort/batched", 1}, {"reduce/reduce/batched", 1}, {"merge/merge/batched", 4}, {"copy/h2d/batched", 1}, {"copy/d2d/batched", 1}};
  for (const auto& [name, count] : expected) {
    if (rows[name] != count) std::printf("  %s\n", name);
    CHECK_EQUAL(rows[name], count);
  }
  // What depends on no length comes first: a budget that runs out leaves the longest lengths out, not these.
  CHECK(recorder.rows.front().op == "merge" && recorder.rows[4].op == "copy" && recorder.rows[6].phase == "d2d" && recorder.rows[7].op == "dense");
  CHECK_EQUAL(recorder.kept, recorder.rows.size());
  // Head by head is as many launches as heads.
  CHECK_EQUAL(device.calls["sparse, one head"], 2 * 4 * 6);
  CHECK(device.flushes >= int(recorder.rows.size()) * 6);
}

TEST("tiles and columns of synthetic indices are those of the engine's conversion") {
  CountingDevice device;
  Recorder recorder;
  const TimingPlan plan = plan_of({{"ops", "vertical-slash"}, {"lengths", "700"}, {"runs", "16"}, {"seed", "3"}, {"batching", "batched"}});
  CHECK(run_timings(device, plan, recorder, Cancellation()).ok());
  double tiles = 0, column_tiles = 0;
  for (std::uint64_t head = 0; head < 4; ++head) {
    const PrefillPlan one = plan_from_vertical_slash(700, draw_runs(700, 30, 1, 30, seeded::Stream("timing columns", {3, 700, head})),
                                                     draw_runs(700, 60, 16, 60, seeded::Stream("timing distances", {3, 700, head})));
    tiles += double(one.tile.size());
    for (std::uint32_t m = 0; m < one.row_blocks(); ++m) column_tiles += std::ceil(double(one.column_offset[m + 1] - one.column_offset[m]) / 64);
  }
  const auto rows = recorder.of("vertical-slash", "attention");
  CHECK_EQUAL(rows.size(), 1);
  for (const TimingRow& row : rows) {
    CHECK_EQUAL(row.work, tiles);
    CHECK_EQUAL(row.column_work, column_tiles);
    CHECK_NEAR(row.sparsity, 1 - (tiles + column_tiles) * 4096 / (4 * 700 * 701 / 2.0), 1e-12, 0);
    CHECK(row.indices == "synthetic, runs of 16" && row.policy == "vertical-slash:v=30,s=60");
  }
}

TEST("both sides of an edge, each length once") {
  const TimingPlan plan = plan_of({{"lengths", "1K,2K"}, {"edges", "1K"}});
  const std::vector<std::uint32_t> expected = {1023, 1024, 1025, 2048};
  CHECK(all_lengths(plan) == expected);
  CHECK(plan_of({{"lengths", "1K"}}).edges.empty());
}

TEST("a preset scaled to every length, and budgets that come to the same counted once") {
  const TimingPlan plan = plan_of({{"policy", "vertical-slash:preset=default@N;vertical-slash;vertical-slash:v=1000"}});
  CHECK_EQUAL(policies_at(plan, "vertical-slash", 32768).size(), 2);
  CHECK_EQUAL(policies_at(plan, "vertical-slash", 32768)[0].config.count(0), 250);
  CHECK_EQUAL(policies_at(plan, "a-shape", 32768).size(), 0);
}

TEST("what does not fit the memory is left out with its reason, and the rest is measured") {
  CountingDevice device;
  Recorder recorder;
  // Tensors of 200 tokens take 150 KB, those of 4,096 3 MB.
  const TimingPlan plan = plan_of({{"ops", "dense,decode"}, {"lengths", "200,4096"}, {"memory", "1M"}});
  CHECK(run_timings(device, plan, recorder, Cancellation()).ok());
  CHECK_EQUAL(recorder.rows.size(), 4);
  CHECK_EQUAL(recorder.skips.size(), 2);
  for (const TimingSkip& skip : recorder.skips) CHECK(skip.tokens == 4096 && skip.reason.find("GB") != std::string::npos);
  CHECK(device.most <= 1 << 20);
}

TEST("an operation that the device refuses is left out") {
  CountingDevice device;
  device.refuses = "dense";
  Recorder recorder;
  CHECK(run_timings(device, plan_of({{"ops", "dense,decode"}, {"batching", "batched"}}), recorder, Cancellation()).ok());
  CHECK_EQUAL(recorder.rows.size(), 1);
  CHECK(recorder.skips.size() == 1 && recorder.skips[0].reason.find("E_KERNEL_SHAPE") != std::string::npos);
}

TEST("a device that stops answering ends the run, and what was measured before is handed on") {
  CountingDevice device;
  device.refuses = "decode";
  device.dies = true;
  Recorder recorder;
  const auto outcome = run_timings(device, plan_of({{"ops", "dense,decode,reduce"}, {"lengths", "200,300"}}), recorder, Cancellation());
  CHECK(!outcome.ok() && outcome.error().code == "E_TIMING_DEVICE");
  CHECK_EQUAL(recorder.rows.size(), 2);
  CHECK_EQUAL(recorder.kept, 2);
  CHECK_EQUAL(device.held, 0);
}

TEST("decode head by head: every head with its own query, the keys of its kv head, and its list") {
  for (const bool listed : {false, true}) {
    CountingDevice device;
    Recorder recorder;
    CHECK(run_timings(device, plan_of({{"ops", listed ? "decode-list" : "decode"}, {"batching", "per-head"}}), recorder, Cancellation()).ok());
    CHECK_EQUAL(recorder.rows.size(), listed ? 2 : 1);
    for (std::size_t row = 0; row < recorder.rows.size(); ++row) {
      // The last of its six repetitions. 4 heads over 2 kv heads of 200 keys x 16.
      const auto all = std::span(device.decoded).subspan(6 * 4 * (row + 1) - 4, 4);
      for (std::size_t head = 0; head < 4; ++head) {
        const DecodeArgs &one = all[head], &first = all[0];
        const auto floats = [](const HeadTensor& tensor) { return static_cast<const float*>(tensor.data); };
        CHECK_EQUAL(floats(one.q) - floats(first.q), std::ptrdiff_t(head) * 200 * 16);
        CHECK_EQUAL(floats(one.k) - floats(first.k), std::ptrdiff_t(head / 2) * 200 * 16);
        CHECK_EQUAL(floats(one.v) - floats(first.v), std::ptrdiff_t(head / 2) * 200 * 16);
        CHECK_EQUAL(one.out - first.out, std::ptrdiff_t(head) * 16);
        CHECK_EQUAL(one.lse - first.lse, std::ptrdiff_t(head));
        CHECK_EQUAL(one.kv_heads, 1);
        if (!listed) continue;
        const std::ptrdiff_t list = row == 0 ? head / 2 : head;  // a list a kv head, then a list a head
        CHECK_EQUAL(one.lists, 1);
        CHECK_EQUAL(one.list - first.list, list * 20);
        CHECK_EQUAL(one.list_count - first.list_count, list);
      }
    }
  }
}

TEST("slow operations: fewer repetitions but never below five, none where five take too long") {
  CountingDevice device;
  Recorder recorder;
  device.call_us = 0.5e6;
  const auto run = [&](const char* patience) {
    CHECK(run_timings(device, plan_of({{"ops", "dense"}, {"batching", "batched"}, {"cell-seconds", "1e-9"}, {"patience", patience}, {"repeats", "30"}}), recorder, Cancellation()).ok());
  };
  run("3");
  CHECK(recorder.rows.empty() && recorder.skips.size() == 1);
  device.call_us = 1e-4;
  run("3");
  CHECK(recorder.rows.size() == 1 && recorder.rows[0].count == 5 && recorder.rows[0].note.find("fewer repetitions") != std::string::npos);
  // Five of 0.3 ns are 1.5 times the seconds of a measurement.
  device.call_us = 3e-4;
  run("1.4");
  CHECK(recorder.rows.size() == 1 && recorder.skips.size() == 2);
  run("1.6");
  CHECK(recorder.rows.size() == 2);
}

TEST("cancelled between two repetitions: rows done are kept") {
  CountingDevice device;
  Recorder recorder;
  Cancellation cancellation;
  const TimingPlan plan = plan_of({{"lengths", "200,300"}});
  device.on_timer = [&] { if (recorder.rows.size() == 12) cancellation.request(); };
  const auto outcome = run_timings(device, plan, recorder, cancellation);
  CHECK(outcome.ok() && outcome.value() == TimingOutcome::cancelled);
  CHECK_EQUAL(recorder.rows.size(), 12);
  CHECK_EQUAL(recorder.kept, 12);
  CHECK_EQUAL(device.held, 0);
}

TEST("a used-up budget leaves the rest out") {
  CountingDevice device;
  Recorder recorder;
  CHECK(run_timings(device, plan_of({{"budget-seconds", "1e-9"}}), recorder, Cancellation()).ok());
  CHECK(recorder.rows.empty());
  CHECK(recorder.skips.size() > 5);
}

TEST("options that make no sense are refused") {
  CHECK(refusal({{"lengths", "1Q"}}) == "E_TIMING_OPTION");
  CHECK(refusal({{"heads", "8x64"}}) == "E_TIMING_OPTION");
  CHECK(refusal({{"preset", "fast"}}) == "E_TIMING_OPTION");
  CHECK(refusal({{"colour", "red"}}) == "E_TIMING_OPTION");
  CHECK(refusal({{"device", "tpu"}}) == "E_TIMING_OPTION");
  CHECK(refusal({{"lengths", "0"}}) == "E_TIMING_PLAN");
  CHECK(refusal({{"heads", "3/2x64"}}) == "E_TIMING_PLAN");
  CHECK(refusal({{"ops", "dense,sparse"}}) == "E_TIMING_PLAN");
  CHECK(refusal({{"policy", "lagkv-kvpress"}}) == "E_TIMING_PLAN");
  CHECK(refusal({{"policy", "vertical"}}) == "E_POLICY_UNKNOWN");
  CHECK(refusal({{"policy", "a-shape:preset=none@N"}}) == "E_POLICY_PRESET");
  CHECK(refusal({{"repeats", "4"}}) == "E_TIMING_PLAN");
  CHECK(refusal({{"shares", "200"}}) == "E_TIMING_PLAN");
  CHECK(refusal({{"patience", "0"}}) == "E_TIMING_PLAN");
  for (const char* preset : {"cpu", "gpu", "quick"}) CHECK(refusal({{"preset", preset}}).empty());
}

TEST("captured vectors give the indices, and nothing else is measured on them") {
  CountingDevice device;
  Recorder recorder;
  TimingPlan plan = plan_of({});
  plan.synthetic = false;
  plan.captured.push_back({"demo", {2, 1, 8}, 100, std::vector<float>(2 * 100 * 8, 1), std::vector<float>(100 * 8, 1), std::vector<float>(100 * 8, 1)});
  CHECK(run_timings(device, plan, recorder, Cancellation()).ok());
  CHECK_EQUAL(recorder.of("vertical-slash", "attention").size(), 2);
  CHECK_EQUAL(recorder.of("block-sparse", "attention").size(), 2);
  for (const TimingRow& row : recorder.rows) {
    CHECK(row.op == "vertical-slash" || row.op == "block-sparse");
    CHECK(row.heads == 2 && row.kv_heads == 1 && row.tokens == 100);
    if (row.phase == "attention") CHECK(row.indices == "captured");
  }
  plan.captured[0].q.pop_back();
  CHECK(!validate(plan).ok());
}

TEST("captured vectors from files: values in their places, and what does not fit is refused") {
  const auto folder = std::filesystem::temp_directory_path() / ("attnscope-captured-" + std::to_string(std::hash<std::string>()(__TIME__)));
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const std::string& bytes) { std::ofstream(folder / name, std::ios::binary) << bytes; };
  std::vector<float> values(3 * (4 + 2 * 2) * 5);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  write("a.f32", std::string(reinterpret_cast<const char*>(values.data()), 4 * values.size()));
  write("layers.txt", "a.f32 4 2 5 3 demo, layer 1\n");
  const auto layers = read_captured_files(folder.string());
  CHECK(layers.ok() && layers.value().size() == 1);
  for (const CapturedLayer& layer : layers.value()) {
    CHECK(layer.name == "demo, layer 1" && layer.tokens == 3 && layer.q.size() == 60 && layer.v.size() == 30);
    CHECK_EQUAL(layer.k[0], 60);
    CHECK_EQUAL(layer.v[29], 119);
  }
  const auto code = [&] {
    const auto refused = read_captured_files(folder.string());
    return refused.ok() ? "" : refused.error().code;
  };
  for (const char* line : {"a.f32 4 2 5 4 longer\n", "b.f32 4 2 5 3 missing\n", "../a.f32 4 2 5 3 elsewhere\n", "a.f32 4 2\n", "\n"}) {
    write("layers.txt", line);
    CHECK(code() == "E_TIMING_CAPTURED");
  }
  std::filesystem::remove_all(folder);
  CHECK(code() == "E_TIMING_CAPTURED");
}

TEST("a bundle: whole rows after every write, texts by code, a folder in use is left alone") {
  const std::string folder = (std::filesystem::temp_directory_path() / ("attnscope-bundle-" + std::to_string(std::hash<std::string>()(__TIME__)))).string();
  std::filesystem::remove_all(folder);
  DeviceFacts facts;
  facts.name = "a \"quoted\" name";
  auto bundle = TimingBundle::create(folder, facts);
  CHECK(bundle.ok());
  TimingRow row;
  row.op = "dense", row.tokens = 70000, row.median_us = 1.5;
  bundle.value().add(row);
  row.op = "copy";
  bundle.value().add(row);
  CHECK(bundle.value().write(false).ok());
  row.op = "dense";
  bundle.value().add(row);
  CHECK(bundle.value().write(true).ok());
  const auto read = [&](const char* name) {
    std::ifstream file(folder + "/" + name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  CHECK(read("op.txt") == "dense\ncopy\n");
  const std::string codes = read("op.u32");
  CHECK(codes == std::string("\0\0\0\0\1\0\0\0\0\0\0\0", 12));
  CHECK_EQUAL(read("median_us.f64").size(), 24);
  const std::string index = read("index.json");
  CHECK(index.find("\"rows\":3") != std::string::npos && index.find("\"status\":\"complete\"") != std::string::npos && index.find("a \\\"quoted\\\" name") != std::string::npos);
  const auto again = TimingBundle::create(folder, facts);
  CHECK(!again.ok() && again.error().code == "E_BUNDLE_EXISTS");
  std::filesystem::remove_all(folder);
}

TEST("a bundle that could not be written stays as it was") {
  const std::string folder = (std::filesystem::temp_directory_path() / ("attnscope-broken-" + std::to_string(std::hash<std::string>()(__TIME__)))).string();
  std::filesystem::remove_all(folder);
  auto bundle = TimingBundle::create(folder, DeviceFacts());
  CHECK(bundle.ok());
  bundle.value().add(TimingRow());
  CHECK(bundle.value().write(false).ok());
  // A folder where a column's file was: columns before it grow, those after it do not.
  const std::string column = folder + "/median_us.f64";
  std::filesystem::rename(column, column + ".away");
  std::filesystem::create_directory(column);
  bundle.value().add(TimingRow());
  CHECK(!bundle.value().write(false).ok());
  std::filesystem::remove(column);
  std::filesystem::rename(column + ".away", column);
  // Trying again would write some columns twice.
  const Status again = bundle.value().write(true);
  CHECK(!again.ok() && again.error().code == "E_WRITE_FAILED");
  CHECK_EQUAL(bundle.value().rows(), 1);
  std::ifstream index(folder + "/index.json");
  CHECK(std::string(std::istreambuf_iterator<char>(index), {}).find("\"rows\":1,") != std::string::npos);
  std::filesystem::remove_all(folder);
}

TEST("a tiny run on the CPU's own kernels, two lengths, every operation") {
  const TimingPlan plan = plan_of({{"preset", "quick"}, {"heads", "4/2x20"}, {"lengths", "65,330"}, {"threads", "2"}, {"flush", "off"}});
  const auto device = open_device(plan.device, plan.threads);
  CHECK(device.ok());
  Recorder recorder;
  CHECK(run_timings(*device.value(), plan, recorder, Cancellation()).ok());
  CHECK_EQUAL(recorder.skips.size(), 1);
  for (const TimingSkip& skip : recorder.skips) CHECK(skip.op == "lagkv" && skip.tokens == 65);
  std::set<std::string> ops;
  for (const TimingRow& row : recorder.rows) {
    ops.insert(row.op);
    CHECK(row.min_us > 0 && row.min_us <= row.p10_us && row.p10_us <= row.median_us && row.median_us <= row.p90_us);
    CHECK_EQUAL(row.threads, 2);
    CHECK_EQUAL(row.flushed, 0);
  }
  CHECK_EQUAL(ops.size(), timing_ops().size());
  // One kind of memory, one kind of copy.
  CHECK_EQUAL(recorder.of("copy", "d2d").size(), 1);
  for (const char* phase : {"h2d", "d2h"}) CHECK(recorder.of("copy", phase).empty());
  for (const TimingRow& row : recorder.of("copy", "d2d")) CHECK(row.note == "memory to memory");
  // The budget keeps 60 of 330 distances: fewer blocks than dense, more than the diagonal.
  for (const TimingRow& row : recorder.of("vertical-slash", "attention"))
    if (row.tokens == 330) CHECK(row.work > 4 * 6 && row.work + row.column_work <= 4 * 21 + 4 * 6);
}
