// The drivers of retention and retrieval, with policies small enough to be predicted by hand.
#include "check.h"
#include "core/replay/drivers.h"
#include "replay_case.h"

using namespace attnscope;
using namespace replay_case;

namespace {

/// Keeps the first `sinks` and every multiple of 3 of what is older than the last `recent` positions.
class Thirds : public RetentionPolicy {
 public:
  Thirds(bool before) : before_(before) {}
  Status append(const LayerInput&, std::span<const ResidentTokens> resident, const AppendEvent& event, std::span<std::vector<std::uint32_t>> evict) override {
    const auto positions = resident[1].positions;
    appended.push_back(event);
    if (positions.size() < event.added) return Error{"E_TEST", "fewer resident than added"};
    for (std::uint32_t s = 0; s < positions.size(); ++s)
      if (gone(positions[s], positions.back())) evict[1].push_back(s);
    return success();
  }
  bool evicts_before_attention() const override { return before_; }
  void forced(const ResidentTokens& resident, std::vector<KeySpan>& spans) const override {
    spans.push_back({0, static_cast<std::uint32_t>(std::min<std::size_t>(2, resident.size()))});
  }
  double transient_tokens() const override { return 5; }
  static bool gone(std::uint32_t position, std::uint32_t last) { return position >= 2 && position % 3 != 0 && position + 10 <= last; }
  std::vector<AppendEvent> appended;

 private:
  bool before_;
};

/// Two heads over two kv heads; head 1 is replayed, head 0 has no data.
struct TwoHeads {
  Head head;
  Rows keys[2];
  QueryRows queries[2];
  LayerInput input;
  TwoHeads(std::uint32_t n, std::vector<std::uint32_t> rows, std::uint32_t window = 0) : head(n, 4, window, std::move(rows), 2), input(head.input) {
    keys[1] = head.key_rows;
    queries[1] = head.query_rows;
    input.heads = input.kv_heads = 2;
    input.keys = keys;
    input.queries = queries;
  }
};

/// Kept sets by simulating which positions are in the cache, one flag a position.
std::vector<std::vector<std::uint8_t>> simulate(std::uint32_t n, Visibility visibility, const Schedule& s, bool before, double& peak) {
  std::vector<std::vector<std::uint8_t>> kept(n);
  std::vector<std::uint8_t> cache(n);
  peak = 0;
  for (std::uint32_t begin = 0; begin < n;) {
    std::uint32_t end = begin + 1;
    if (begin < s.context) end = s.chunk == 0 ? s.context : std::min(s.context, begin + (begin == 0 && s.first_chunk ? s.first_chunk : s.chunk));
    for (std::uint32_t i = begin; i < end; ++i) cache[i] = 1;
    const auto untouched = cache;
    bool evicts = false;
    for (std::uint32_t j = 0; j < end; ++j)
      if (cache[j] && Thirds::gone(j, end - 1)) cache[j] = 0, evicts = true;
    peak = std::max(peak, std::accumulate(untouched.begin(), untouched.end(), 0.0) + (evicts ? 5 : 0));
    for (std::uint32_t i = begin; i < end; ++i) {
      kept[i] = s.chunk == 0 && i < s.context ? std::vector<std::uint8_t>(n, 1) : before ? cache : untouched;
      for (std::uint32_t j = 0; j < n; ++j) kept[i][j] = kept[i][j] && visibility.sees(i, j);
    }
    begin = end;
  }
  return kept;
}

/// Reads sinks [0, 3), the last 4 and every fifth key with a weight; alone on rows divisible by 7.
class Fifths : public RetrievalPolicy {
 public:
  Status build(const LayerInput&, std::uint32_t kv_head, std::uint32_t context) override {
    CHECK_EQUAL(kv_head, 1);
    known_ = context;
    return success();
  }
  void insert(const LayerInput&, std::uint32_t, TokenRange range) override {
    CHECK_EQUAL(range.begin, known_);
    known_ = range.end;
  }
  void query(const LayerInput& input, std::uint32_t head, std::uint32_t position, const float* q, Selection& out) override {
    CHECK_EQUAL(known_, position + 1);
    CHECK(q == input.queries[head].rows.row(position));
    out.dense = position % 7 == 0;
    out.fixed = {{0, 3}, {position - 3, position + 1}};
    for (std::uint32_t k = 5; k + 3 < position; k += 5) {
      out.keys.push_back(k);
      out.log_weight.push_back(static_cast<float>(k));
    }
    out.scanned = 10, out.bytes = {1, 2, 3};
  }
  double index_bytes() const override { return 77; }

 private:
  std::uint32_t known_ = 0;
};

}  // namespace

TEST("retention: kept sets, forced keys and peaks of every schedule equal a simulation") {
  std::mt19937 random(3);
  for (int round = 0; round < 40; ++round) {
    const std::uint32_t n = 60 + random() % 60, window = round % 4 == 0 ? 25 : 0;
    TwoHeads two(n, pick_rows(random, n, n / 2), window);
    Schedule s;
    s.context = 20 + random() % 30;
    s.chunk = round % 3 == 0 ? 0 : 1 + random() % 20;
    s.first_chunk = round % 2 ? 1 + random() % 25 : 0;
    Thirds policy(round % 5 == 0);
    double peak = 0;
    const auto expected = simulate(n, {window}, s, round % 5 == 0, peak);
    auto result = replay_retention(policy, two.input, 1, two.head.rows, s, {});
    CHECK(result.ok());
    const HeadTrace& trace = result.value();
    CHECK_EQUAL(trace.rows.size(), two.head.rows.size());
    for (std::size_t r = 0; r < trace.rows.size(); ++r) {
      const std::uint32_t i = trace.rows[r];
      CHECK(flags(trace.kept(r), n) == expected[i]);
      CHECK_EQUAL(trace.dense[r], s.chunk == 0 && i < s.context);
      auto forced = flags(trace.forced_of(r), n);
      for (std::uint32_t j = 0; j < n; ++j) CHECK_EQUAL(forced[j], !trace.dense[r] && j < 2 && expected[i][j]);
    }
    double held = 0;
    for (std::uint32_t j = 0; j < n; ++j) held += !Thirds::gone(j, n - 1);
    CHECK_EQUAL(trace.cost.resident_tokens, held);
    CHECK_EQUAL(trace.cost.peak_resident, peak);
    std::uint32_t fed = 0, ends = 0;
    for (const AppendEvent& e : policy.appended) fed += e.added, ends += e.prefill_ends;
    CHECK_EQUAL(fed, n);
    CHECK_EQUAL(ends, 1);
    CHECK(policy.appended.front().first_chunk && !policy.appended.back().prefill);
  }
}

TEST("retrieval: fixed and single keys merge in order, weights follow, rows see only their window") {
  for (const std::uint32_t window : {0u, 30u}) {
    std::vector<std::uint32_t> rows;
    for (std::uint32_t i = 5; i < 80; i += 3) rows.push_back(i);
    TwoHeads two(80, rows, window);
    Fifths policy;
    auto result = replay_retrieval(policy, two.input, 1, rows, 40);
    CHECK(result.ok());
    const HeadTrace& trace = result.value();
    double read = 0, asked = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::uint32_t i = rows[r], first = Visibility{window}.first_key(i);
      const bool dense = i < 40 || i % 7 == 0;
      CHECK_EQUAL(trace.dense[r], dense);
      if (dense) continue;
      const auto kept = flags(trace.kept(r), 80), forced = flags(trace.forced_of(r), 80);
      std::size_t w = 0;
      for (std::uint32_t j = 0; j < 80; ++j) {
        const bool fixed = j >= first && j <= i && (j < 3 || j + 3 >= i), single = j >= std::max(first, 5u) && j % 5 == 0 && j + 3 < i;
        CHECK_EQUAL(kept[j], fixed || single);
        CHECK_EQUAL(forced[j], fixed);
        if (kept[j]) CHECK_EQUAL(trace.weights(r)[w++], single ? j : 0);
      }
      CHECK_EQUAL(w, trace.weights(r).size());
      read += static_cast<double>(w), asked += 1;
    }
    CHECK_NEAR(trace.cost.read_keys, read / asked, 1e-12, 0);
    CHECK_EQUAL(trace.cost.scanned, 10);
    CHECK_EQUAL(trace.cost.device_bytes + trace.cost.host_bytes, 3);
    CHECK_EQUAL(trace.cost.link_bytes, 3);
    CHECK_EQUAL(trace.cost.draws, NAN);
    CHECK_EQUAL(trace.cost.index_bytes, 77);
  }
}

TEST("what cannot be replayed is refused by name") {
  PolicyEntry entry;
  entry.descriptor.family = Family::retention;
  entry.retention = [](const PolicyConfig&) -> Result<std::unique_ptr<RetentionPolicy>> { return std::unique_ptr<RetentionPolicy>(new Thirds(false)); };
  const PolicyChoice choice{&entry, {}};
  TwoHeads two(50, {10, 20, 30});
  const auto code = [&](std::vector<std::uint32_t> rows, Schedule s, std::uint32_t head = 1) {
    auto result = replay(choice, two.input, head, rows, s, 2);
    return result.ok() ? std::string() : result.error().code;
  };
  CHECK(code({10, 20, 30}, {20, 0, 0}).empty());
  CHECK(code({10, 20, 30}, {0, 0, 0}) == "E_REPLAY_CONTEXT");
  CHECK(code({10, 20, 30}, {51, 0, 0}) == "E_REPLAY_CONTEXT");
  CHECK(code({10, 20, 30}, {31, 0, 0}) == "E_REPLAY_ROWS");
  CHECK(code({10, 20, 30}, {50, 16, 0}).empty());
  CHECK(code({}, {20, 0, 0}) == "E_REPLAY_ROWS");
  CHECK(code({20, 10}, {5, 0, 0}) == "E_REPLAY_ROWS");
  CHECK(code({20, 50}, {5, 0, 0}) == "E_REPLAY_ROWS");
  CHECK(code({10, 20, 30}, {20, 0, 0}, 0) == "E_REPLAY_KEYS");
}
