// A session against the functions it stands on, and what it refuses.
#include "core/replay/session.h"

#include <string_view>

#include "check.h"
#include "core/policy/lsh.h"
#include "replay_case.h"

using namespace attnscope;
using namespace replay_case;

namespace {

/// Keeps every second token older than 16.
class Halves : public RetentionPolicy {
 public:
  Status append(const LayerInput&, std::span<const ResidentTokens> resident, const AppendEvent& event, std::span<std::vector<std::uint32_t>> evict) override {
    seen_future = event.future.size();
    for (std::uint32_t s = 0; s + 16 < resident[0].size(); ++s)
      if (resident[0].positions[s] % 2) evict[0].push_back(s);
    return success();
  }
  static inline std::size_t seen_future = 0;
};

struct Loaded {
  Head head;
  PolicyEntry entry;
  PolicyChoice choice{&entry, {}};
  HeadSession session;

  static SessionShape shape_of(std::uint32_t n) {
    SessionShape shape;
    shape.head_dim = 8, shape.tokens = n, shape.prompt_tokens = n, shape.scale = 0.25f;
    return shape;
  }
  explicit Loaded(std::uint32_t n) : head(n, 8, 0, {50, 60, 90, n - 1}, 4), session(shape_of(n)) {
    entry.descriptor.family = Family::retention;
    entry.descriptor.needs_future = true;
    entry.retention = [](const PolicyConfig&) -> Result<std::unique_ptr<RetentionPolicy>> { return std::unique_ptr<RetentionPolicy>(new Halves); };
    head.compute_strip(4);
  }
  /// Keys in two blocks, out of order.
  void load() {
    const std::uint32_t n = head.n;
    CHECK(session.set_keys(DType::f32, head.k.row(70), 70, n - 70).ok());
    CHECK(session.set_keys(DType::f32, head.k.row(0), 0, 70).ok());
    CHECK(session.set_values(DType::f32, head.v.row(0), 0, n).ok());
    const std::vector<float> lse(head.map.lse.begin(), head.map.lse.end());
    CHECK(session.set_queries(DType::f32, head.q.row(0), head.positions, lse).ok());
    CHECK(session.set_rows(head.rows).ok());
  }
};

template <class T>
std::string code(const Result<T>& result) { return result.ok() ? "" : result.error().code; }

}  // namespace

TEST("a run gives what replay and evaluate give; parts may come later") {
  Loaded loaded(130);
  loaded.load();
  CHECK_EQUAL(loaded.session.strip(3).value(), 1);
  CHECK_EQUAL(loaded.session.strip(10).value(), 0);
  RunOptions options{{64, 0, 0}, {true, false, false}};
  auto run = loaded.session.run(loaded.choice, options);
  CHECK(run.ok());
  const Metrics recall_only = run.value()->metrics;
  CHECK(Halves::seen_future == 130);
  const auto trace = replay(loaded.choice, loaded.head.input, 0, loaded.head.rows, options.schedule, 2);
  const Metrics expected = evaluate(loaded.head.strip, trace.value(), loaded.head.input, 0, {}, 2, {}, loaded.head.scratch);
  CHECK_EQUAL(recall_only[Metric::recall_mean], expected[Metric::recall_mean]);
  CHECK_EQUAL(recall_only[Metric::error_mean], NAN);
  const Metrics all = loaded.session.complete({true, true, true}).value()->metrics;
  for (std::size_t i = 0; i < kMetrics; ++i) CHECK_EQUAL(all.values[i], expected.values[i]);
  CHECK_EQUAL(all[Metric::rows_dense], 2);

  const auto rows = loaded.session.by_row();
  double recall = 0, error = 0;
  for (std::size_t r = 2; r < 4; ++r) recall += rows.value().recall[r] / 2.0, error += rows.value().error[r] / 2.0;
  CHECK_EQUAL(rows.value().recall[0], NAN);
  CHECK_NEAR(recall, all[Metric::recall_mean], 1e-6, 0);
  CHECK_NEAR(error, all[Metric::error_mean], 1e-6, 0);
  const auto future = loaded.session.future(64);
  for (std::uint32_t k = 0; k < 130; ++k) CHECK_NEAR(future[k], loaded.head.strip.row(2)[k] + loaded.head.strip.row(3)[k], 1e-6, 1e-12);
  CHECK(loaded.session.mask({16, 8, 0, 0}).ok());
  CHECK(loaded.session.fate().ok());
  // Prompt queries are all there, so they are pooled: means over 64 rows, the last block over 2.
  const Rows pooled = loaded.session.input().pooled_queries[0];
  CHECK_EQUAL(pooled.count, 3);
  for (std::size_t c = 0; c < 8; ++c) CHECK_NEAR(pooled.row(2)[c], (loaded.head.q.row(128)[c] + loaded.head.q.row(129)[c]) / 2, 1e-6, 1e-7);
}

TEST("cosines are those of queries after the context with centred keys") {
  Loaded loaded(130);
  loaded.load();
  const auto histogram = loaded.session.cosines(20, 9, 120, 4, 16, 64);
  CHECK(histogram.ok());
  std::vector<double> mean(8), counts(20);
  for (std::uint32_t j = 4; j < 48; ++j)
    for (std::size_t c = 0; c < 8; ++c) mean[c] += loaded.head.k.row(j)[c] / 44.0;
  double sum = 0, squares = 0, share = 0;
  for (const std::uint32_t i : {90u, 129u})
    for (std::uint32_t j = 4; j < 48; ++j) {
      double dot = 0, a = 0, b = 0;
      for (std::size_t c = 0; c < 8; ++c) {
        const double q = loaded.head.q.row(i)[c], k = loaded.head.k.row(j)[c] - mean[c];
        dot += q * k, a += q * q, b += k * k;
      }
      const double cosine = dot / std::sqrt(a * b);
      sum += cosine / 88, squares += cosine * cosine / 88, share += collision_probability(cosine, 9, 120) / 88;
      counts[static_cast<std::size_t>((cosine + 1) / 2 * 20)] += 1;
    }
  CHECK_NEAR(histogram.value().mean, sum, 1e-5, 1e-7);
  CHECK_NEAR(histogram.value().deviation, std::sqrt(squares - sum * sum), 1e-5, 0);
  CHECK_NEAR(histogram.value().expected_share, share, 1e-5, 1e-6);
  for (std::size_t b = 0; b < 20; ++b) CHECK_EQUAL(histogram.value().counts[b], counts[b]);
  CHECK(code(loaded.session.cosines(20, 9, 120, 4, 60, 64)) == "E_REPLAY_CONTEXT");
  CHECK(code(loaded.session.cosines(20, 9, 120, 4, 16, 130)) == "E_REPLAY_ROWS");
}

TEST("what is missing or out of order is refused by name") {
  Loaded loaded(130);
  HeadSession& session = loaded.session;
  const RunOptions options{{64, 0, 0}, {}};
  CHECK(code(session.strip(1)) == "E_REPLAY_ROWS");
  CHECK(code(session.run(loaded.choice, options)) == "E_REPLAY_ORDER");
  CHECK(code(session.complete({})) == "E_REPLAY_ORDER");
  CHECK(code(session.mask({4, 4, 0, 0})) == "E_REPLAY_ORDER");
  CHECK(code(session.by_row()) == "E_REPLAY_ORDER");
  CHECK(code(session.fate()) == "E_REPLAY_ORDER");
  const std::vector<std::uint32_t> unsorted{9, 3}, late{130}, stored{10, 90}, missing{10, 91};
  const std::vector<float> lse{0, 0};
  CHECK(code(session.set_rows(unsorted)) == "E_REPLAY_ROWS");
  CHECK(code(session.set_rows(late)) == "E_REPLAY_ROWS");
  CHECK(code(session.set_queries(DType::f32, loaded.head.q.row(0), unsorted, lse)) == "E_REPLAY_QUERIES");
  CHECK(code(session.set_queries(DType::f32, loaded.head.q.row(0), stored, {lse.data(), 1})) == "E_REPLAY_QUERIES");
  CHECK(code(session.set_pooled_queries(lse)) == "E_REPLAY_POOLED");
  CHECK(session.set_rows(missing).ok());
  CHECK(code(session.strip(1)) == "E_REPLAY_KEYS");
  CHECK(code(session.set_keys(DType::f32, loaded.head.k.row(0), 1, 130)) == "E_REPLAY_KEYS");
  CHECK(session.set_keys(DType::f32, loaded.head.k.row(0), 0, 129).ok());
  CHECK(code(session.strip(1)) == "E_REPLAY_KEYS");
  CHECK(session.set_keys(DType::f32, loaded.head.k.row(129), 129, 1).ok());
  CHECK(code(session.strip(1)) == "E_REPLAY_QUERIES");
  CHECK(session.set_queries(DType::f32, loaded.head.q.row(0), stored, lse).ok());
  CHECK(code(session.strip(1)) == "E_REPLAY_ROWS");
  CHECK(session.set_rows(stored).ok());
  CHECK_EQUAL(session.strip(5).value(), 0);
  CHECK(session.input().pooled_queries.empty());
  // No values: recall is there, the output error is not.
  const Metrics m = session.run(loaded.choice, options).value()->metrics;
  CHECK(m[Metric::recall_mean] > 0);
  CHECK_EQUAL(m[Metric::error_mean], NAN);
  PrefillPlan plan;
  plan.tokens = 64;
  CHECK(code(session.run_plan(plan, options)) == "E_REPLAY_PLAN");
}
