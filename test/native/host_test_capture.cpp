// Whole captures of tiny random models through the host's own interface: what the sanitizers run over the engine.
#include <chrono>
#include <thread>

#include "capture_recorder.h"

using namespace attnscope;
using namespace capture_recorder;
using random_model::Checkpoint;
using Clock = std::chrono::steady_clock;

namespace {

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

TEST("every length from one token, at every storage type, sums to 1 and decodes") {
  const Checkpoint checkpoint(random_model::tiny());
  for (DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (std::uint32_t tokens : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 49u, 300u})
      for (std::uint32_t steps : {0u, 1u, 3u}) {
        Plan plan = checkpoint.plan(tokens, 4, 2);
        plan.vectors = dtype;
        plan.decode_steps = steps;
        plan.store.logits = true;
        Recorder sink;
        const CaptureSummary summary = capture(plan, sink);
        CHECK_EQUAL(summary.prefill_tokens, tokens);
        CHECK_EQUAL(summary.decode_steps, steps);
        CHECK_EQUAL(sink.layers_done, steps == 0 ? 2 : 4);
        CHECK_EQUAL(sink.at("steps/decode/-1/token").size(), steps);
        CHECK_EQUAL(sink.at("pages/prefill/1/page").size(), 3 * ((tokens + 15) / 16));
        CHECK_EQUAL(sink.at("kv/prefill/0/lag_k_std").size(), 3 * tokens);
        check_sums(sink, plan);
      }
}

TEST("results do not depend on the number of threads, more of them than tasks included") {
  const Checkpoint checkpoint(random_model::tiny());
  Plan plan = checkpoint.plan(1500, 8, 1);
  plan.decode_steps = 3;
  Recorder one, many;
  capture(plan, one);
  plan.threads = 19;
  capture(plan, many);
  CHECK(same(one, many));
}

TEST("odd settings: cells, sinks, pages, pools and partitions longer than the prompt") {
  const Checkpoint checkpoint(random_model::tiny());
  Plan plan = checkpoint.plan(37, 1024, 2);
  ReducePlan& r = plan.reduce;
  r.sink_tokens = r.local_tokens = r.page_tokens = r.query_pool_tokens = r.lag_sink = r.lag_size = 0xffffffffu;
  r.stats_first_row = 1000;
  Recorder sink;
  capture(plan, sink);
  check_sums(sink, plan);
  for (double mass : sink.at("rows/prefill/0/sink_mass")) CHECK_NEAR(mass, 1, 1e-4, 0);
  CHECK_EQUAL(sink.at("pages/prefill/0/page").size(), 3);
  CHECK(std::isnan(sink.at("heads/prefill/0/entropy")[0]));

  r.sink_tokens = 0, r.lag_sink = 0, r.lag_size = 1, r.page_tokens = r.query_pool_tokens = 1, r.tile_edge = r.thumb_edge = 1;
  r.cells.assign(r.cells.size(), 1);
  Recorder finest;
  capture(plan, finest);
  check_sums(finest, plan);
  for (double mass : finest.at("rows/prefill/0/sink_mass")) CHECK_EQUAL(mass, 0);
}

TEST("what a plan cannot mean is refused") {
  const Checkpoint checkpoint(random_model::tiny());
  const Plan good = checkpoint.plan(8, 1, 1);
  const std::pair<const char*, std::function<void(Plan&)>> bad[] = {
      {"no tokens", [](Plan& p) { p.tokens.clear(); }},
      {"threads 0", [](Plan& p) { p.threads = 0; }},
      {"cell 0", [](Plan& p) { p.reduce.cells[0] = 0; }},
      {"cell 3", [](Plan& p) { p.reduce.cells[0] = 3; }},
      {"odd head_dim", [](Plan& p) { p.model.head_dim = 9; }},
      {"kv heads", [](Plan& p) { p.model.kv_heads = 2; }},
      {"token outside", [](Plan& p) { p.tokens[3] = 61; }},
      {"skipped layer", [](Plan& p) { p.skip_layers = {2}; }},
      {"file of a tensor", [](Plan& p) { p.tensors[0].file = 1; }},
      {"forced", [](Plan& p) { p.forced = {1}; }},
      {"steps", [](Plan& p) { p.decode_steps = 0xffffffffu; }}};
  for (const auto& [what, damage] : bad) {
    Plan plan = good;
    damage(plan);
    Recorder sink;
    Cancellation cancellation;
    const auto result = run_capture(plan, sink, cancellation);
    if (result.ok() || result.error().code != "E_PLAN_INVALID") std::printf("  not refused: %s\n", what);
    CHECK(!result.ok() && result.error().code == "E_PLAN_INVALID");
  }
}

TEST("memory that the machine does not have is an error before any work, not the end of the process") {
  ModelPlan model = random_model::tiny();
  model.heads = model.kv_heads = 16, model.head_dim = 1024;
  const Checkpoint checkpoint(model);
  Plan plan = checkpoint.plan(8, 1 << 20, 1);
  plan.decode_steps = (1u << 20) - 8;  // 2 layers of 16,384 values a token: queries, keys, panels and values take 0.5 TB
  Recorder sink;
  Cancellation cancellation;
  const auto result = run_capture(plan, sink, cancellation);
  CHECK(!result.ok() && result.error().code == "E_OUT_OF_MEMORY");
  CHECK(sink.columns.empty());
}

TEST("cancelled at any point: the run ends in order, and soon") {
  ModelPlan model = random_model::tiny();
  model.heads = 4, model.kv_heads = 2, model.head_dim = 64, model.hidden_size = 256, model.feed_forward_size = 1024, model.vocab_size = 1000;
  const Checkpoint checkpoint(model);
  Plan plan = checkpoint.plan(1000, 8, 2);
  plan.store.logits = true;
  plan.decode_steps = 10;
  Recorder whole;
  const auto start = Clock::now();
  capture(plan, whole);
  const double total = seconds_since(start);
  double slowest = 0;
  constexpr int points = 8;
  for (int i = 0; i < points; ++i) {
    Recorder sink;
    Cancellation cancellation;
    Clock::time_point asked;
    std::thread stopper([&] {
      std::this_thread::sleep_for(std::chrono::duration<double>(total * (i + 0.5) / points));
      asked = Clock::now();
      cancellation.request();
    });
    const auto result = run_capture(plan, sink, cancellation);
    const auto ended = Clock::now();
    stopper.join();
    CHECK(result.ok());
    if (result.ok() && result.value().cancelled && ended > asked)
      slowest = std::max(slowest, std::chrono::duration<double>(ended - asked).count());
    CHECK(!sink.ragged);
  }
  std::printf("     run of %.2f s cancelled at %d points: at most %.3f s to end\n", total, points, slowest);
}

TEST("decoded tokens are known before the first of their rows, also where the run is stopped there") {
  const Checkpoint checkpoint(random_model::tiny());
  Plan plan = checkpoint.plan(40, 2, 2);
  plan.decode_steps = 3;
  for (const bool stopped : {false, true}) {
    Recorder sink;
    Cancellation cancellation;
    sink.on_batch = [&](const Batch& batch) {
      if (batch.segment != Segment::decode || batch.layer < 0) return success();
      CHECK_EQUAL(sink.at("steps/decode/-1/token").size(), 3);
      if (stopped) cancellation.request();
      return success();
    };
    const auto result = run_capture(plan, sink, cancellation);
    CHECK(result.ok());
    if (!result.ok()) continue;
    CHECK_EQUAL(result.value().cancelled, stopped);
    CHECK_EQUAL(result.value().decode_steps, 3);
    CHECK_EQUAL(sink.layers_done, stopped ? 2 : 4);
  }
}

TEST("what the sink refuses ends the run with that error") {
  const Checkpoint checkpoint(random_model::tiny());
  Plan plan = checkpoint.plan(40, 2, 2);
  plan.decode_steps = 2;
  for (const char* table : {"queryStats", "pyramid", "thumbs", "kv", "pages", "channels", "q", "v", "steps"}) {
    Recorder sink;
    sink.on_batch = [&](const Batch& b) -> Status { return std::string(b.table) == table ? Status(Error{"E_FULL", "full"}) : success(); };
    Cancellation cancellation;
    const auto result = run_capture(plan, sink, cancellation);
    CHECK(!result.ok() && result.error().code == "E_FULL");
  }
}
