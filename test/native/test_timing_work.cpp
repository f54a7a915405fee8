// Work of every kernel against counts made one by one, and against the plans of the policy engine.
#include "core/timing/work.h"

#include <random>

#include "check.h"
#include "core/policy/plan_builder.h"
#include "core/policy/policy.h"

using namespace attnscope;

namespace {

/// Blocks of one head by looking at every pair of rows and keys.
double blocks_by_pairs(std::uint32_t tokens, std::uint32_t queries, std::uint32_t sink, std::uint32_t local) {
  double blocks = 0;
  const std::uint32_t first = tokens - queries;
  for (std::uint32_t begin = first; begin < tokens; begin += 64) {
    std::vector<bool> hit(tokens / 64 + 1);
    for (std::uint32_t i = begin; i < std::min(begin + 64, tokens); ++i)
      for (std::uint32_t j = 0; j <= i; ++j)
        if (j < sink || i - j < local) hit[j / 64] = true;
    for (const bool h : hit) blocks += h;
  }
  return blocks;
}

/// Tiles of the plan that the policy makes of a prompt of one head.
double planned_tiles(const std::string& policy, std::uint32_t tokens) {
  const auto choice = parse_policy(policy);
  const auto engine = choice.value().entry->prefill(choice.value().config);
  LayerInput input;
  Memo memo;
  input.head_dim = 16;
  input.tokens = input.prompt_tokens = tokens;
  input.memo = &memo;
  PrefillPlan plan;
  CHECK(engine.value()->plan(input, 0, plan).ok());
  CHECK_EQUAL(plan.column.size(), 0);
  return static_cast<double>(plan.tile.size());
}

KernelShape shape(const char* op, const char* phase, double tokens) {
  return {.op = op, .phase = phase, .tokens = tokens, .heads = 8, .kv_heads = 2, .head_dim = 96, .bytes_per_element = 2};
}

void check_work(const KernelShape& s, double work, const char* unit, double flops, double bytes, double column_work = 0) {
  const auto got = kernel_work(s);
  CHECK(got.ok());
  if (!got) return;
  CHECK_EQUAL(got.value().work, work);
  CHECK_EQUAL(got.value().column_work, column_work);
  CHECK(std::string(got.value().unit) == unit);
  CHECK_EQUAL(got.value().flops, flops);
  CHECK_EQUAL(got.value().bytes, bytes);
}

}  // namespace

TEST("dense and a-shape blocks are those that hold a pair, ragged ends and last queries included") {
  std::mt19937 random(1);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (int round = 0; round < 200; ++round) {
    const std::uint32_t tokens = 1 + below(700), first = round % 2 == 0 ? 0 : 64 * below((tokens - 1) / 64 + 1), queries = tokens - first;
    const std::uint32_t sink = 1 + below(round % 3 == 0 ? 800 : 200), local = 1 + below(round % 5 == 0 ? 800 : 200);
    CHECK_EQUAL(causal_blocks(tokens, queries), blocks_by_pairs(tokens, queries, tokens, 1));
    CHECK_EQUAL(a_shape_blocks(tokens, queries, sink, local), blocks_by_pairs(tokens, queries, sink, local));
  }
  // Both sides of every edge that the closed form has.
  for (const std::uint32_t tokens : {1u, 63u, 64u, 65u, 127u, 128u, 129u, 449u})
    for (const std::uint32_t sink : {1u, 63u, 64u, 65u, 128u, 129u, 600u})
      for (const std::uint32_t local : {1u, 2u, 64u, 65u, 66u, 128u, 129u, 130u, 600u})
        CHECK_EQUAL(a_shape_blocks(tokens, tokens, sink, local), blocks_by_pairs(tokens, tokens, sink, local));
}

TEST("dense and a-shape work is what the policies plan") {
  for (const std::uint32_t tokens : {1u, 64u, 65u, 500u, 4096u, 10001u}) {
    KernelShape s = shape("dense", "attention", tokens);
    CHECK_EQUAL(kernel_work(s).value().work, 8 * planned_tiles("dense", tokens));
    for (const auto& [sink, local] : {std::pair{1, 1}, {64, 64}, {65, 127}, {128, 3968}, {1024, 4096}, {20000, 1}, {1, 20000}}) {
      s = shape("a-shape", "attention", tokens);
      s.columns = sink;
      s.distances = local;
      CHECK_EQUAL(kernel_work(s).value().work, 8 * planned_tiles("a-shape:n_init=" + std::to_string(sink) + ",n_local=" + std::to_string(local), tokens));
    }
  }
  // One million tokens at once, where nothing is counted one by one.
  CHECK_EQUAL(causal_blocks(1 << 20, 1 << 20), 16384.0 * 16385 / 2);
}

TEST("a bound counts visible pairs alone, and of sparse lists no more than they must hold") {
  std::mt19937 random(2);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (int round = 0; round < 100; ++round) {
    const std::uint32_t tokens = 1 + below(500), first = round % 2 == 0 ? 0 : 64 * below((tokens - 1) / 64 + 1), queries = tokens - first;
    const std::uint32_t sink = below(200), local = 1 + below(200);
    double causal = 0, windowed = 0;
    for (std::uint32_t i = first; i < tokens; ++i)
      for (std::uint32_t j = 0; j <= i; ++j) causal += 1, windowed += j < sink || i - j < local;
    CHECK_EQUAL(causal_pairs(tokens, queries), causal);
    CHECK_EQUAL(a_shape_pairs(tokens, queries, sink, local), windowed);
    KernelShape s = shape("dense", "attention", tokens);
    s.queries = queries;
    const KernelWork dense = kernel_work(s).value();
    CHECK_EQUAL(dense.least_flops, 4.0 * 96 * 8 * causal);
    CHECK(dense.least_flops <= dense.flops && dense.least_bytes == dense.bytes);
    s.op = "a-shape", s.columns = sink, s.distances = local;
    const KernelWork ashape = kernel_work(s).value();
    CHECK_EQUAL(ashape.least_flops, 4.0 * 96 * 8 * windowed);
    CHECK(ashape.least_flops <= ashape.flops && ashape.least_bytes <= ashape.bytes);
    // Cut by a window, or counted without its parameters: every row sees itself.
    s.tiles = 8;
    if (ashape.work > 8) CHECK_EQUAL(kernel_work(s).value().least_flops, 4.0 * 96 * std::min(8.0 * 4096, 8.0 * queries));
    s.columns = s.distances = 0, s.tiles = ashape.work;
    CHECK_EQUAL(kernel_work(s).value().least_flops, 4.0 * 96 * 8 * queries);
    s = shape("reduce", "reduce", tokens);
    CHECK_EQUAL(kernel_work(s).value().least_flops, 2.0 * 96 * 8 * causal_pairs(tokens, tokens));
  }
  // Plans of random columns and distances: pairs that they hold, counted one by one.
  for (int round = 0; round < 60; ++round) {
    const std::uint32_t tokens = 65 + below(900);
    std::vector<std::uint32_t> columns, distances;
    for (std::uint32_t i = 0; i < tokens; ++i)
      if (below(10) == 0) columns.push_back(i);
    for (std::uint32_t t = tokens; t-- > 0;)
      if (below(round % 2 == 0 ? 40 : 8) == 0) distances.push_back(t);
    const PrefillPlan plan = plan_from_vertical_slash(tokens, columns, distances, {});
    double pairs = 0, column_tiles = 0;
    for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
      const auto visible = [&](std::uint32_t key) { for (std::uint32_t i = 64 * m; i < std::min(tokens, 64 * m + 64); ++i) pairs += key <= i; };
      for (std::uint32_t t = plan.tile_offset[m]; t < plan.tile_offset[m + 1]; ++t)
        for (std::uint32_t key = plan.tile[t]; key < plan.tile[t] + 64; ++key) visible(key);
      for (std::uint32_t c = plan.column_offset[m]; c < plan.column_offset[m + 1]; ++c) visible(plan.column[c]);
      column_tiles += std::ceil((plan.column_offset[m + 1] - plan.column_offset[m]) / 64.0);
    }
    KernelShape s = shape("vertical-slash", "attention", tokens);
    s.tiles = 8 * static_cast<double>(plan.tile.size()), s.column_tiles = 8 * column_tiles;
    const KernelWork work = kernel_work(s).value();
    CHECK(work.least_flops <= 4.0 * 96 * 8 * pairs);
    CHECK(work.least_bytes < work.bytes);
  }
  // A whole causal plan in aligned tiles is bound by exactly its pairs.
  KernelShape s = shape("block-sparse", "attention", 640);
  s.tiles = 8 * 55;
  CHECK_EQUAL(kernel_work(s).value().least_flops, 4.0 * 96 * 8 * causal_pairs(640, 640));
  s = shape("vertical-slash", "attention", 64 * 1000);
  s.tiles = 8 * 1000 * 100;
  CHECK(kernel_work(s).value().least_flops > 0.97 * kernel_work(s).value().flops);
}

TEST("another shape takes as much longer as it multiplies, or moves where few products are made of a byte") {
  CHECK_EQUAL(work_ratio(1000, 10, 3000, 70), 3);
  CHECK_EQUAL(work_ratio(40, 10, 120, 70), 7);
  CHECK_EQUAL(work_ratio(NAN, 10, NAN, 70), 7);
  for (const auto& [dim, compiled] : {std::pair{1, 64}, {64, 64}, {65, 96}, {97, 128}, {128, 128}, {256, 256}}) CHECK_EQUAL(compiled_dim(dim), compiled);
}

TEST("attention over a prompt: products of whole blocks, everything moved once") {
  // 130 tokens: 3 blocks, 6 causal. Q and out 8 heads, K and V 2 heads, 96 channels of 2 bytes; LSE 4 bytes.
  const double q = 8 * 130 * 96 * 2, k = 2 * 130 * 96 * 2, lse = 8 * 130 * 4;
  KernelShape s = shape("dense", "attention", 130);
  check_work(s, 48, "64 x 64 blocks", 4.0 * 96 * 4096 * 48, 2 * q + 2 * k + lse);
  s.queries = 2;  // the ragged last block alone
  check_work(s, 24, "64 x 64 blocks", 4.0 * 96 * 4096 * 24, 2 * (8 * 2 * 96 * 2) + 2 * k + 8 * 2 * 4);
  for (const char* op : {"vertical-slash", "block-sparse"}) {
    s = shape(op, "attention", 130);
    s.tiles = 30;
    s.column_tiles = 7;
    check_work(s, 30, "64 x 64 blocks", 4.0 * 96 * 4096 * 37, 2 * q + 2 * k + lse + 4 * (30 + 7 * 64), 7);
  }
  s = shape("a-shape", "attention", 130);
  s.tiles = 31;  // as counted by a plan
  check_work(s, 31, "64 x 64 blocks", 4.0 * 96 * 4096 * 31, 2 * q + 2 * k + lse);
}

TEST("index building, decoding and the rest") {
  // The strip sees 64 rows of 130 tokens but for its corner.
  double pairs = 0;
  for (int i = 130 - 64; i < 130; ++i) pairs += i + 1;
  check_work(shape("vertical-slash", "estimate", 130), 8 * pairs, "pairs", 2 * 96 * 8 * pairs, 8 * 64 * 96 * 2 + 2 * 130 * 96 * 2 + 2 * 4 * 8 * 130);
  check_work(shape("vertical-slash", "estimate", 3), 8 * 6, "pairs", 2 * 96 * 8 * 6, 8 * 3 * 96 * 2 + 2 * 3 * 96 * 2 + 2 * 4 * 8 * 3);
  KernelShape s = shape("vertical-slash", "select", 130);
  s.columns = 10;
  s.distances = 20;
  check_work(s, 2 * 8 * 130, "scores", NAN, 4 * 2 * 8 * 130 + 4 * 8 * 30);
  s.phase = "convert";
  check_work(s, 8 * 3 * 30, "entries", NAN, 4 * 8 * 30 + 8 * 8 * 4);
  s.tiles = 40;
  s.column_tiles = 6;
  check_work(s, 8 * 3 * 30, "entries", NAN, 4 * 8 * 30 + 4 * (40 + 6 * 64) + 8 * 8 * 4, 40);
  const double pooled = 10 * (130 * 96 * 2 + 3 * 96 * 4);
  check_work(shape("block-sparse", "estimate", 130), pooled, "bytes", 10 * 130 * 96, pooled);
  s = shape("block-sparse", "select", 640);  // 10 blocks, 55 causal; rows keep 1, 2, 3, 3, ...
  s.top_k = 3;
  check_work(s, 8 * 55, "scores", 2 * 96 * 8 * 55, 4 * 96 * 10 * 10 + 4 * 8 * 27 + 4 * 8 * 11);
  check_work(shape("decode", "attention", 130), 8 * 130, "keys", 4 * 96 * 8 * 130, 2 * 2 * 130 * 96 * 2 + 8 * 96 * 2 + 8 * 97 * 4);
  s = shape("decode-list", "attention", 130);
  s.keys = 50;
  check_work(s, 8 * 50, "keys", 4 * 96 * 8 * 50, 2 * 2 * 50 * 96 * 2 + 4 * 2 * 50 + 8 * 96 * 2 + 8 * 97 * 4, 2 * 50);
  s.columns = 8;  // a list a query head
  check_work(s, 8 * 50, "keys", 4 * 96 * 8 * 50, 2 * 2 * 50 * 96 * 2 + 4 * 8 * 50 + 8 * 96 * 2 + 8 * 97 * 4, 8 * 50);
  check_work(shape("merge", "merge", 0), 3 * 4 * 8 * 97, "bytes", 2 * 2 * 8 * 96, 3 * 4 * 8 * 97);
  s = shape("merge", "merge", 0);
  s.keys = 4;
  s.queries = 5;
  check_work(s, 5 * 4 * 40 * 97, "bytes", 4 * 2 * 40 * 96, 5 * 4 * 40 * 97);
  check_work(shape("lagkv", "score", 130), 260, "keys", NAN, 2 * 2 * 130 * 96 * 2 + 4 * 260);
  s = shape("simhash", "hash", 130);
  s.columns = 150;
  s.top_k = 10;
  check_work(s, 260.0 * 1500, "projections", 2.0 * 96 * 260 * 1500, 260 * 96 * 2 + 2.0 * 260 * 150);
  s.phase = "sort";
  check_work(s, 260.0 * 150, "codes", NAN, 6.0 * 260 * 150 + 4.0 * 2 * 150 * 1025);
  check_work(shape("reduce", "reduce", 130), 48, "64 x 64 blocks", 2.0 * 96 * 4096 * 48, 8 * 130 * 96 * 2 + 2 * 130 * 96 * 2 + 28 * 8 * 130 + 16 * 8 * 130);
  for (const char* way : {"h2d", "d2h", "d2d"}) check_work(shape("copy", way, 130), 2 * 2 * 130 * 96 * 2, "bytes", 0, 2 * 2 * 130 * 96 * 2);
}

TEST("refuses kernels and numbers that do not exist") {
  for (const auto& [op, phase] : {std::pair{"dense", "select"}, {"vertical-slash", ""}, {"", ""}, {"quest", "attention"}}) {
    const auto refused = kernel_work(shape(op, phase, 64));
    CHECK(!refused.ok());
    CHECK(refused.ok() || (refused.error().code == "E_TIMING_KERNEL" && refused.error().message.find(std::string(op) + "/" + phase) != std::string::npos));
  }
  KernelShape s = shape("dense", "attention", 64);
  s.queries = 65;
  CHECK(!kernel_work(s).ok());
  s.queries = NAN;
  CHECK(!kernel_work(s).ok());
  CHECK(!kernel_work(shape("dense", "attention", -1)).ok());
  CHECK_EQUAL(kernel_work(shape("dense", "attention", 0)).value().work, 0);
}

TEST("a roofline is the slower of computing and moving") {
  CHECK_NEAR(roofline_us(2e12, 1e9, 1e15, 1e12), 2000, 1e-12, 0);
  CHECK_NEAR(roofline_us(2e12, 4e9, 1e15, 1e12), 4000, 1e-12, 0);
  CHECK_NEAR(roofline_us(NAN, 4e9, 1e15, 1e12), 4000, 1e-12, 0);
  CHECK_NEAR(roofline_us(2e12, NAN, 1e15, 1e12), 2000, 1e-12, 0);
  CHECK_NEAR(roofline_us(2e12, 4e9, NAN, 1e12), 4000, 1e-12, 0);
  CHECK(std::isnan(roofline_us(2e12, 4e9, NAN, NAN)));
}
