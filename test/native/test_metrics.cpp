// Every metric against a slow fp64 reference on random traces, and the identities that must hold whatever the trace.
#include "core/replay/metrics.h"

#include "check.h"
#include "core/replay/output_error.h"
#include "core/replay/top_keys.h"
#include "replay_case.h"

using namespace attnscope;
using namespace replay_case;

namespace {

constexpr std::uint32_t sinks = 4;

/// One row in fp64, from the strip's own p (its error against the map is the strip's test).
struct RowReference {
  bool dense, covered;
  double recall, recall_no_sinks, lost, error, cosine, oracle, top32 = NAN, top128 = NAN, kept, visible, needle = NAN;
  std::vector<double> classes = std::vector<double>(kTokenClasses, NAN);
  int whole = 0, whole_pairs = 0;
};

RowReference reference_of(const Head& head, const HeadTrace& trace, std::size_t r, const SequenceInfo& info) {
  RowReference out{};
  const std::uint32_t row = trace.rows[r], first = head.visibility.first_key(row);
  const float* p = head.strip.row(r);
  const auto kept = flags(trace.kept(r), head.n);
  std::vector<double> weight(head.n);
  std::size_t next = 0;
  bool weighted = false;
  for (std::uint32_t j = 0; j < head.n; ++j)
    if (kept[j]) {
      const double w = trace.weights(r).empty() ? 0.0 : static_cast<double>(trace.weights(r)[next++]);
      weighted = weighted || w != 0;
      weight[j] = p[j] * std::exp(w);
    }
  double total = 0, mass = 0, tail = 0, kept_tail = 0, normaliser = 0;
  std::vector<double> o(head.dim), o2(head.dim), sorted, seen(kTokenClasses), held(kTokenClasses);
  for (std::uint32_t j = first; j <= row; ++j) {
    total += p[j];
    sorted.push_back(p[j]);
    out.visible += 1;
    if (j >= sinks) tail += p[j];
    for (std::uint32_t c = 0; c < head.dim; ++c) o[c] += static_cast<double>(p[j]) * head.v.row(j)[c];
    seen[info.token_class[j]] += 1;
    if (!kept[j]) continue;
    out.kept += 1;
    mass += p[j];
    normaliser += weight[j];
    if (j >= sinks) kept_tail += p[j];
    held[info.token_class[j]] += 1;
    for (std::uint32_t c = 0; c < head.dim; ++c) o2[c] += weight[j] * head.v.row(j)[c];
  }
  out.dense = trace.dense[r] != 0;
  out.covered = !out.dense && out.kept == out.visible && !weighted;
  out.recall = mass / total;
  out.recall_no_sinks = tail < 1e-6 * total ? NAN : kept_tail / tail;
  out.lost = (total - mass) / total;
  double dd = 0, oo = 0, pp = 0, op = 0;
  for (std::uint32_t c = 0; c < head.dim; ++c) {
    const double a = o[c] / total, b = normaliser > 0 ? o2[c] / normaliser : 0;
    dd += (a - b) * (a - b), oo += a * a, pp += b * b, op += a * b;
  }
  out.error = std::sqrt(dd / oo);
  out.cosine = pp > 0 ? op / std::sqrt(oo * pp) : 0;
  std::vector<std::uint32_t> order;
  for (std::uint32_t j = first; j <= row; ++j) order.push_back(j);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return p[a] > p[b]; });
  double best = 0;
  for (std::size_t i = 0; i < out.kept; ++i) best += p[order[i]];
  out.oracle = best / total;
  for (const std::size_t k : {32, 128}) {
    if (order.size() < k) continue;
    double hits = 0;
    for (std::size_t i = 0; i < k; ++i) hits += kept[order[i]];
    (k == 32 ? out.top32 : out.top128) = hits / static_cast<double>(k);
  }
  for (std::size_t c = 0; c < kTokenClasses; ++c)
    if (seen[c] > 0) out.classes[c] = held[c] / seen[c];
  double needle_seen = 0, needle_held = 0;
  for (const KeySpan& s : info.needles) {
    double here = 0, visible = 0;
    for (std::uint32_t j = s.begin; j < s.end; ++j)
      if (head.visibility.sees(row, j)) visible += 1, here += kept[j];
    needle_seen += visible, needle_held += here;
    if (visible == s.end - s.begin) out.whole_pairs += 1, out.whole += here == visible;
  }
  if (needle_seen > 0) out.needle = needle_held / needle_seen;
  return out;
}

struct Text {
  std::vector<std::uint8_t> classes;
  std::vector<KeySpan> needles;
  Text(std::mt19937& random, std::uint32_t n) {
    for (std::uint32_t i = 0; i < n; ++i) classes.push_back(static_cast<std::uint8_t>(random() % 6));  // class 6 is nowhere
    needles = {{n / 5, n / 5 + 3}, {n / 2, n / 2 + 9}};
  }
  SequenceInfo info() const { return {classes, needles, sinks}; }
};

double mean_of(std::vector<double> values) {
  std::erase_if(values, [](double x) { return std::isnan(x); });
  double sum = 0;
  for (double x : values) sum += x;
  return values.empty() ? NAN : sum / static_cast<double>(values.size());
}

double rank_of(std::vector<double> values, double share) {
  std::erase_if(values, [](double x) { return std::isnan(x); });
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  std::size_t i = 0;  // the first value that at least `share` of all do not exceed
  while (static_cast<double>(i + 1) < share * static_cast<double>(values.size()) - 1e-9) ++i;
  return values[i];
}

void compare_all(const Head& head, const HeadTrace& trace, const Text& text, Scratch& scratch) {
  const Metrics m = evaluate(head.strip, trace, head.input, 0, text.info(), 2, {}, scratch);
  std::vector<RowReference> rows, covered, all;
  for (std::size_t r = 0; r < trace.rows.size(); ++r) {
    all.push_back(reference_of(head, trace, r, text.info()));
    if (!all[r].dense) (all[r].covered ? covered : rows).push_back(all[r]);
  }
  CHECK_EQUAL(m[Metric::rows_evaluated], all.size());
  CHECK_EQUAL(m[Metric::rows_dense], all.size() - rows.size() - covered.size());
  CHECK_EQUAL(m[Metric::rows_covered], covered.size());
  if (rows.empty()) rows = covered;
  const auto column = [&](auto field) {
    std::vector<double> out;
    for (const RowReference& r : rows) out.push_back(field(r));
    return out;
  };
  const auto recall = column([](auto& r) { return r.recall; }), error = column([](auto& r) { return r.error; });
  const auto tail = column([](auto& r) { return r.recall_no_sinks; });
  CHECK_NEAR(m[Metric::recall_mean], mean_of(recall), 1e-12, 1e-12);
  CHECK_NEAR(m[Metric::recall_p5], rank_of(recall, 0.05), 1e-12, 1e-12);
  CHECK_NEAR(m[Metric::recall_no_sinks_mean], mean_of(tail), 1e-9, 1e-9);
  CHECK_NEAR(m[Metric::recall_no_sinks_p5], rank_of(tail, 0.05), 1e-9, 1e-9);
  CHECK_NEAR(m[Metric::lost_mass], mean_of(column([](auto& r) { return r.lost; })), 1e-12, 1e-12);
  CHECK_NEAR(m[Metric::error_mean], mean_of(error), 1e-5, 2e-6);
  CHECK_NEAR(m[Metric::error_p95], rank_of(error, 0.95), 1e-5, 2e-6);
  CHECK_NEAR(m[Metric::cosine_mean], mean_of(column([](auto& r) { return r.cosine; })), 1e-6, 1e-6);
  CHECK_NEAR(m[Metric::oracle_recall], mean_of(column([](auto& r) { return r.oracle; })), 1e-12, 1e-12);
  CHECK_NEAR(m[Metric::regret], mean_of(column([](auto& r) { return r.oracle - r.recall; })), 1e-11, 1e-11);
  CHECK_NEAR(m[Metric::top32_overlap], mean_of(column([](auto& r) { return r.top32; })), 1e-12, 1e-12);
  CHECK_NEAR(m[Metric::top128_overlap], mean_of(column([](auto& r) { return r.top128; })), 1e-12, 1e-12);
  CHECK_NEAR(m[Metric::kept_keys_mean], mean_of(column([](auto& r) { return r.kept; })), 1e-12, 0);
  CHECK_NEAR(m[Metric::kept_share], mean_of(column([](auto& r) { return r.kept / r.visible; })), 1e-12, 0);
  CHECK_NEAR(m[Metric::needle_kept], mean_of(column([](auto& r) { return r.needle; })), 1e-12, 0);
  double whole = 0, pairs = 0;
  for (const RowReference& r : rows) whole += r.whole, pairs += r.whole_pairs;
  CHECK_NEAR(m[Metric::needle_all_kept], pairs > 0 ? whole / pairs : NAN, 1e-12, 0);
  for (std::size_t c = 0; c < kTokenClasses; ++c)
    CHECK_NEAR(m.values[static_cast<std::size_t>(Metric::kept_special) + c], mean_of(column([&](auto& r) { return r.classes[c]; })), 1e-12, 0);
  if (rows.size() > 1) {
    double squares = 0;
    for (double x : recall) squares += (x - mean_of(recall)) * (x - mean_of(recall));
    const double n = static_cast<double>(rows.size());
    CHECK_NEAR(m[Metric::recall_se], std::sqrt(squares / (n - 1) / n), 1e-9, 1e-12);
  }
  CHECK(m[Metric::regret] >= 0);
}

}  // namespace

TEST("metrics of random traces equal the reference: windows, weights, every density") {
  std::mt19937 random(21);
  Scratch scratch;
  for (int round = 0; round < 24; ++round) {
    const std::uint32_t n = round < 20 ? 150 + random() % 300 : 900, dim = round % 2 ? 16 : 72 + 5 * (round % 3);
    Head head(n, dim, round % 4 == 3 ? 100 : 0, pick_rows(random, n, 20 + random() % 90), 31 + round, round % 5 == 0 ? 2.5f : 0.8f);
    head.compute_strip(1000);
    const Text text(random, n);
    for (const bool weighted : {false, true}) compare_all(head, random_trace(random, head, weighted), text, scratch);
  }
}

TEST("keeping everything gives recall 1 and error 0 exactly; keeping nothing gives error 1") {
  std::mt19937 random(4);
  Head head(200, 16, 0, pick_rows(random, 200, 30), 3);
  head.compute_strip(30);
  const Text text(random, 200);
  HeadTrace all, none;
  for (HeadTrace* t : {&all, &none}) {
    t->tokens = 200;
    t->rows = head.rows;
    t->dense.assign(30, 0);
    t->offset = t->forced_offset = {0};
    for (const std::uint32_t row : head.rows) {
      if (t == &all) t->spans.push_back({0, row + 1});
      t->offset.push_back(t->spans.size());
      t->forced_offset.push_back(0);
    }
  }
  Metrics m = evaluate(head.strip, all, head.input, 0, text.info(), 2, {}, head.scratch);
  CHECK_EQUAL(m[Metric::rows_covered], 30);
  CHECK_EQUAL(m[Metric::recall_mean], 1);
  CHECK_EQUAL(m[Metric::recall_no_sinks_mean], 1);
  CHECK_EQUAL(m[Metric::lost_mass], 0);
  CHECK_EQUAL(m[Metric::error_mean], 0);
  CHECK_NEAR(m[Metric::cosine_mean], 1, 1e-12, 0);
  CHECK_EQUAL(m[Metric::regret], 0);
  CHECK_EQUAL(m[Metric::needle_all_kept], 1);
  m = evaluate(head.strip, none, head.input, 0, text.info(), 2, {}, head.scratch);
  CHECK_EQUAL(m[Metric::recall_mean], 0);
  CHECK_EQUAL(m[Metric::error_mean], 1);
  CHECK_EQUAL(m[Metric::cosine_mean], 0);
  CHECK_EQUAL(m[Metric::oracle_recall], 0);
}

TEST("missed mass is the total variation distance, and o' - o the closed form of the evicted mean") {
  std::mt19937 random(12);
  Head head(180, 12, 0, pick_rows(random, 180, 40), 8);
  head.compute_strip(40);
  const HeadTrace trace = random_trace(random, head, false);
  for (std::size_t r = 0; r < head.rows.size(); ++r) {
    const RowMass mass = row_mass(head.strip, trace, r, head.visibility, sinks);
    if (mass.dense || mass.kept_keys == 0 || mass.kept_keys == mass.visible) continue;
    const auto kept = flags(trace.kept(r), 180);
    double distance = 0, m = mass.missed / mass.total;
    std::vector<double> o(12), evicted(12), renormalised(12);
    for (std::uint32_t j = 0; j <= head.rows[r]; ++j) {
      const double a = head.strip.row(r)[j] / mass.total, a2 = kept[j] ? a / (1 - m) : 0;
      distance += std::fabs(a - a2) / 2;
      for (std::size_t c = 0; c < 12; ++c) {
        o[c] += a * head.v.row(j)[c];
        renormalised[c] += a2 * head.v.row(j)[c];
        if (!kept[j]) evicted[c] += a / m * head.v.row(j)[c];
      }
    }
    CHECK_NEAR(distance, m, 1e-10, 1e-12);
    for (std::size_t c = 0; c < 12; ++c) CHECK_NEAR((o[c] - m * evicted[c]) / (1 - m), renormalised[c], 1e-6, 1e-9);
  }
}

TEST("small missed mass keeps its relative precision in the error") {
  // One key of mass about 1e-7 is dropped: summing the kept side in fp32 could not see it.
  std::mt19937 random(14);
  Head head(400, 16, 0, {399}, 5, 2.0f);
  head.compute_strip(1);
  std::vector<std::uint32_t> order(400);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return head.strip.row(0)[a] < head.strip.row(0)[b]; });
  for (const std::uint32_t dropped : order) {
    const double p = head.strip.row(0)[dropped] / head.strip.total(0);
    if (p < 1e-8) continue;
    HeadTrace trace;
    trace.tokens = 400, trace.rows = {399}, trace.dense = {0}, trace.forced_offset = {0, 0};
    for (const KeySpan s : {KeySpan{0, dropped}, KeySpan{dropped + 1, 400}})
      if (s.begin < s.end) trace.spans.push_back(s);
    trace.offset = {0, trace.spans.size()};
    double expected = 0, norm = 0;
    for (std::size_t c = 0; c < 16; ++c) {
      double o = 0;
      for (std::uint32_t j = 0; j < 400; ++j) o += head.strip.row(0)[j] / head.strip.total(0) * head.v.row(j)[c];
      expected += std::pow(p / (1 - p) * (o - head.v.row(dropped)[c]), 2), norm += o * o;
    }
    const Metrics m = evaluate(head.strip, trace, head.input, 0, {}, 2, {}, head.scratch);
    CHECK_NEAR(m[Metric::error_mean], std::sqrt(expected / norm), 1e-4, 0);
    CHECK_NEAR(m[Metric::lost_mass], p, 1e-9, 0);
    break;
  }
}

TEST("largest keys: ties go to the lowest index, sums do not depend on order") {
  std::mt19937 random(15);
  for (int round = 0; round < 200; ++round) {
    const std::uint32_t n = 1 + random() % 700, first = random() % 9, distinct = 1 + random() % 40;
    std::vector<float> p(first + n);
    for (float& x : p) x = round % 2 ? static_cast<float>(random() % distinct) / 40 : std::exp(-static_cast<float>(random() % 3000) / 100);
    TopKeys top;
    top.read(p.data(), first, first + n);
    std::vector<std::uint32_t> order(n);
    std::iota(order.begin(), order.end(), first);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return p[a] > p[b]; });
    const std::uint32_t k = random() % (n + 2);
    std::vector<std::uint32_t> expected(order.begin(), order.begin() + std::min(k, n));
    double mass = 0;
    for (const std::uint32_t j : expected) mass += p[j];
    std::sort(expected.begin(), expected.end());
    if (k > 0) CHECK(top.keys(k) == expected);
    CHECK_NEAR(top.mass(k), mass, 1e-12, 0);
  }
}

TEST("fate of keys: shares of the rows that see them, windowed and not") {
  std::mt19937 random(16);
  for (const std::uint32_t window : {0u, 50u}) {
    Head head(160, 8, window, pick_rows(random, 160, 40), 6);
    head.compute_strip(40);
    const HeadTrace trace = random_trace(random, head, false);
    const KeyFate fate = key_fate(head.strip, trace, head.visibility);
    for (std::uint32_t j = 0; j < 160; ++j) {
      double seen = 0, kept = 0, forced = 0, missed = 0;
      for (std::size_t r = 0; r < trace.rows.size(); ++r) {
        if (trace.dense[r] || !head.visibility.sees(trace.rows[r], j)) continue;
        const bool k = flags(trace.kept(r), 160)[j];
        seen += 1, kept += k, forced += flags(trace.forced_of(r), 160)[j];
        if (!k) missed += head.strip.row(r)[j];
      }
      CHECK_NEAR(fate.kept[j], seen > 0 ? kept / seen : NAN, 1e-6, 0);
      CHECK_NEAR(fate.forced[j], seen > 0 ? forced / seen : NAN, 1e-6, 0);
      CHECK_NEAR(fate.missed[j], seen > 0 ? missed / seen : NAN, 1e-6, 1e-12);
    }
  }
}

TEST("costs: one denominator, KV bytes three ways, NaN where nothing applies") {
  std::mt19937 random(17);
  Head head(200, 16, 0, pick_rows(random, 200, 30), 3);
  head.compute_strip(30);
  HeadTrace trace = random_trace(random, head, false);
  Metrics m = evaluate(head.strip, trace, head.input, 0, {}, 2, {true, false, false}, head.scratch);
  for (const Metric none : {Metric::token_sparsity, Metric::kernel_sparsity_blocks, Metric::kv_bytes, Metric::read_keys, Metric::error_mean,
                            Metric::top32_overlap, Metric::kept_word, Metric::estimation_gap, Metric::step_bytes, Metric::kernel_tiles,
                            Metric::kernel_column_tiles})
    CHECK_EQUAL(m[none], NAN);
  CHECK_EQUAL(m[Metric::kv_bytes_dense], 200 * 2 * 16 * 2);
  trace.cost.causal_cells = 20100, trace.cost.token_cells = 5025, trace.cost.attended_cells = 10050, trace.cost.kernel_cells = 4 * 4096;
  trace.cost.kernel_tiles = 3, trace.cost.kernel_column_tiles = 1;
  trace.cost.estimated_recall = 0.5, trace.cost.resident_tokens = 33;
  m = evaluate(head.strip, trace, head.input, 0, {}, 2, {}, head.scratch);
  CHECK_NEAR(m[Metric::token_sparsity], 0.75, 1e-12, 0);
  CHECK_NEAR(m[Metric::tile_sparsity], 0.5, 1e-12, 0);
  CHECK_NEAR(m[Metric::kernel_sparsity], 1 - 16384 / 20100.0, 1e-12, 0);
  CHECK_EQUAL(m[Metric::kernel_tiles], 3);
  CHECK_EQUAL(m[Metric::kernel_column_tiles], 1);
  CHECK_NEAR(m[Metric::kernel_sparsity_n2], 1 - 16384 / 40000.0, 1e-12, 0);
  CHECK_NEAR(m[Metric::kernel_sparsity_blocks], 1 - 4 / 10.0, 1e-12, 0);  // 4 row blocks: 1 + 2 + 3 + 4
  CHECK_NEAR(m[Metric::estimation_gap], 0.5 - m[Metric::recall_mean], 1e-12, 0);
  CHECK_EQUAL(m[Metric::kv_bytes], 33 * 64);
  CHECK_EQUAL(m[Metric::kv_bytes_paged], 48 * 64);
  const double held[] = {10, 33, 16};
  const KvBytes bytes = kv_bytes(held, 16, 2, 16);
  CHECK_EQUAL(bytes.ideal, 59 * 64);
  CHECK_EQUAL(bytes.rectangular, 99 * 64);
  CHECK_EQUAL(bytes.paged, (16 + 48 + 16) * 64);
}

TEST("every metric has a name, a unit and a kind of its own") {
  const auto specs = metric_specs();
  CHECK_EQUAL(specs.size(), kMetrics);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const std::string_view kind = specs[i].kind, better = specs[i].better;
    CHECK(kind == "exact" || kind == "sampled" || kind == "modelled");
    CHECK(better == "high" || better == "low" || better == "");
    for (std::size_t j = 0; j < i; ++j) CHECK(std::string_view(specs[i].name) != specs[j].name);
  }
  CHECK(std::string_view(specs[static_cast<std::size_t>(Metric::kept_special)].name) == "kept_special");
  CHECK(std::string_view(specs[static_cast<std::size_t>(Metric::link_bytes)].name) == "link_bytes");
  CHECK(std::string_view(specs.back().name) == "kernel_column_tiles");
}
