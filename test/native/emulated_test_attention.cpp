// The attention kernels' walk over keys against the policy engine's plans, and the kernels themselves under emulation.
#include <random>
#include <vector>

#include "check.h"
#include "core/dtype.h"
#include "core/policy/plan_builder.h"
#include "core/policy/policy.h"
#include "cuda/attention.h"
#include "cuda/ops.h"
#include "emulated_device.h"

using namespace attnscope;
using gpu::BlockKeys;
using gpu::KeyWalk;

namespace {

PrefillPlan plan_of(const std::string& policy, std::uint32_t tokens) {
  Memo memo;
  LayerInput input;
  input.tokens = input.prompt_tokens = tokens;
  input.memo = &memo;
  PrefillPlan plan;
  const auto choice = parse_policy(policy);
  CHECK(choice.ok());
  const auto engine = choice.value().entry->prefill(choice.value().config);
  CHECK(engine.ok() && engine.value()->plan(input, 0, plan).ok());
  return plan;
}

std::vector<std::uint32_t> walked_tiles(const KeyWalk& walk, std::uint32_t m) {
  std::vector<std::uint32_t> first;
  const BlockKeys block = walk.block(m);
  for (std::uint32_t i = 0; i < block.segments(); ++i) first.push_back(block.first(i));
  return first;
}

}  // namespace

TEST("a-shape and dense walk the tiles of the policy engine's plans") {
  std::mt19937 random(1);
  for (unsigned round = 0; round < 400; ++round) {
    const std::uint32_t tokens = 1 + random() % 700, sink = 1 + random() % 300, local = 1 + random() % 400;
    const PrefillPlan plan = plan_of("a-shape:n_init=" + std::to_string(sink) + ",n_local=" + std::to_string(local), tokens);
    const KeyWalk walk{.kind = KeyWalk::Kind::a_shape, .rows = 64, .queries = tokens, .sink = sink, .local = local};
    for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
      const std::vector<std::uint32_t> expected(plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[m]), plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[m + 1]));
      CHECK(walked_tiles(walk, m) == expected);
    }
    for (const std::uint32_t rows : {64u, 128u}) {
      const KeyWalk dense{.kind = KeyWalk::Kind::dense, .rows = rows, .queries = tokens};
      for (std::uint32_t m = 0; m * rows < tokens; ++m) CHECK_EQUAL(dense.block(m).segments(), (std::min((m + 1) * rows, tokens) + 63) / 64);
    }
  }
}

TEST("a-shape in blocks of 128: every pair that is seen is met once, and masks hide all others") {
  std::mt19937 random(3);
  for (unsigned round = 0; round < 100; ++round) {
    const std::uint32_t tokens = 1 + random() % 600, sink = random() % 300, local = 1 + random() % 400;
    const KeyWalk walk{.kind = KeyWalk::Kind::a_shape, .rows = 128, .queries = tokens, .sink = sink, .local = local};
    for (std::uint32_t m = 0; m * 128 < tokens; ++m) {
      const BlockKeys block = walk.block(m);
      for (std::uint32_t q = walk.first_of(m); q < walk.end_of(m); ++q) {
        std::vector<std::uint8_t> met(tokens + 64);
        for (std::uint32_t i = 0; i < block.segments(); ++i)
          for (std::uint32_t at = 0; at < 64; ++at) {
            const std::uint32_t key = block.key(i, at);
            if (walk.all_see(q, q, block.key(i, 0), block.key(i, 63))) CHECK(walk.sees(q, key));
            if (walk.sees(q, key)) ++met[key];
          }
        for (std::uint32_t j = 0; j < tokens; ++j) CHECK_EQUAL(met[j], j <= q && (j < sink || q - j < local) ? 1 : 0);
      }
    }
  }
}

TEST("a walk's segments hold each pair of a vertical-slash plan once, and masks hide none of them") {
  std::mt19937 random(2);
  for (unsigned round = 0; round < 200; ++round) {
    const std::uint32_t tokens = 1 + random() % 500;
    std::vector<std::uint32_t> columns, distances{0};
    for (std::uint32_t i = 0; i < 1 + random() % 20; ++i) columns.push_back(random() % tokens);
    for (std::uint32_t i = 0; i < random() % 40; ++i) distances.push_back(random() % tokens);
    const PrefillPlan plan = plan_from_vertical_slash(tokens, columns, distances);
    const std::vector<std::uint32_t> tile_offset(plan.tile_offset.begin(), plan.tile_offset.end()), column_offset(plan.column_offset.begin(), plan.column_offset.end());
    const KeyWalk walk{.kind = KeyWalk::Kind::listed, .rows = 64, .queries = tokens, .tile_offset = tile_offset.data(), .tile = plan.tile.data(), .column_offset = column_offset.data(), .column = plan.column.data()};
    std::vector<std::uint8_t> wanted(std::size_t{tokens} * tokens), met(wanted.size());
    for (std::uint32_t i = 0; i < tokens; ++i) {
      for (const std::uint32_t j : columns) if (j <= i) wanted[i * tokens + j] = 1;
      for (const std::uint32_t t : distances) if (t <= i) wanted[i * tokens + i - t] = 1;
    }
    for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
      const BlockKeys block = walk.block(m);
      for (std::uint32_t i = 0; i < block.segments(); ++i) {
        const bool all = walk.all_see(walk.first_of(m), walk.end_of(m) - 1, block.key(i, 0), block.key(i, 63));
        CHECK(block.key(i, 0) != gpu::no_key);
        for (std::uint32_t at = 0; at < 64; ++at) {
          const std::uint32_t key = block.key(i, at);
          if (at > 0) CHECK(key > block.key(i, at - 1) || key == gpu::no_key);
          for (std::uint32_t q = walk.first_of(m); q < walk.end_of(m); ++q) {
            if (all) CHECK(walk.sees(q, key));
            if (walk.sees(q, key)) ++met[std::size_t{q} * tokens + key];
          }
        }
      }
    }
    for (std::size_t i = 0; i < met.size(); ++i) CHECK(met[i] <= 1 && met[i] >= wanted[i]);
  }
}

// Kernel runs: out and lse of one head group against fp64 over the same rounded inputs, for every key a row sees.
namespace {

struct Run {
  DType dtype;
  std::uint32_t dim, queries, first_query, heads, kv_heads;
};

template <class Launch, class Sees>
void check_run(const Run& run, Launch launch, Sees sees) {
  const std::uint32_t keys = run.first_query + run.queries;
  const auto device = open_emulated_device();
  std::mt19937 random(run.queries + run.dim);
  std::normal_distribution<float> normal;
  const auto make = [&](std::size_t n, std::vector<float>& values) {
    values.resize(n);
    for (float& x : values) x = normal(random);
    round_in_place(run.dtype, values);
    auto* memory = static_cast<std::uint16_t*>(device->allocate(n * 2));
    from_float(run.dtype, values.data(), n, memory);
    return memory;
  };
  std::vector<float> q, k, v;
  const std::uint32_t d = run.dim;
  AttentionArgs args{.dtype = run.dtype, .heads = run.heads, .kv_heads = run.kv_heads, .head_dim = d, .queries = run.queries, .first_query = run.first_query, .keys = keys, .scale = 1 / std::sqrt(static_cast<float>(d))};
  // Queries as the runner has them, [tokens][heads][dim]; keys and values by head.
  args.q = {make(std::size_t{run.queries} * run.heads * d, q), d, std::uint64_t{run.heads} * d};
  args.k = {make(std::size_t{run.kv_heads} * keys * d, k), std::uint64_t{keys} * d, d};
  args.v = {make(std::size_t{run.kv_heads} * keys * d, v), std::uint64_t{keys} * d, d};
  const std::size_t outputs = std::size_t{run.queries} * run.heads * d;
  auto* out = static_cast<std::uint16_t*>(device->allocate(outputs * 2));
  auto* lse = static_cast<float*>(device->allocate(std::size_t{run.heads} * run.queries * 4));
  std::fill_n(out, outputs, std::uint16_t{0xFFFF});
  std::fill_n(lse, std::size_t{run.heads} * run.queries, NAN);
  args.out = {out, d, std::uint64_t{run.heads} * d};
  args.lse = lse;
  const char* answer = launch(*device, args);
  if (answer != nullptr) std::printf("  %s\n", answer);
  CHECK(answer == nullptr);
  std::vector<float> got(outputs);
  to_float(run.dtype, out, outputs, got.data());
  const double tolerance = run.dtype == DType::f16 ? 2e-3 : 1.5e-2;  // 2 to 4 units of the last place of values around 1
  for (std::uint32_t h = 0; h < run.heads; ++h)
    for (std::uint32_t i = 0; i < run.queries; ++i) {
      const std::uint32_t kv = h / (run.heads / run.kv_heads), query = run.first_query + i;
      double sum = 0;
      std::vector<double> expected(d);
      for (std::uint32_t j = 0; j <= query; ++j) {
        if (!sees(h, query, j)) continue;
        double s = 0;
        for (std::uint32_t c = 0; c < d; ++c) s += static_cast<double>(q[(std::size_t{i} * run.heads + h) * d + c]) * k[(std::size_t{kv} * keys + j) * d + c];
        const double p = std::exp(s * args.scale);
        sum += p;
        for (std::uint32_t c = 0; c < d; ++c) expected[c] += p * v[(std::size_t{kv} * keys + j) * d + c];
      }
      CHECK_NEAR(lse[std::size_t{h} * run.queries + i], std::log(sum), 1e-5, 1e-5);
      for (std::uint32_t c = 0; c < d; ++c) CHECK_NEAR(got[(std::size_t{i} * run.heads + h) * d + c], sum == 0 ? 0 : expected[c] / sum, 0, tolerance);
    }
  for (void* memory : {args.q.data, args.k.data, args.v.data, static_cast<void*>(out), static_cast<void*>(lse)}) device->release(memory);
}

}  // namespace

TEST("dense attention: dims, groups, odd lengths, later chunks of a prompt") {
  const auto dense = [](KernelDevice& device, const AttentionArgs& args) { return device.dense(args); };
  const auto all = [](auto, auto, auto) { return true; };
  check_run({DType::f16, 64, 1, 0, 1, 1}, dense, all);
  check_run({DType::f16, 64, 63, 0, 2, 1}, dense, all);
  check_run({DType::bf16, 128, 129, 0, 2, 2}, dense, all);
  check_run({DType::f16, 96, 65, 64, 2, 1}, dense, all);
  check_run({DType::bf16, 24, 127, 0, 1, 1}, dense, all);
  check_run({DType::f16, 20, 66, 0, 1, 1}, dense, all);
}

TEST("a-shape: sinks, windows shorter and longer than a tile") {
  for (const auto& [sink, local] : {std::pair<std::uint32_t, std::uint32_t>{0, 1}, {4, 64}, {65, 100}, {1, 63}})
    check_run({DType::f16, 64, 200, 0, 1, 1}, [&](KernelDevice& device, const AttentionArgs& args) { return device.a_shape(args, sink, local); },
              [&](auto, std::uint32_t i, std::uint32_t j) { return j < sink || i - j < local; });
}

namespace {

/// Attention over plans, one a head, those of `plans` in turn.
void check_plans(const Run& run, const std::vector<PrefillPlan>& plans, std::uint32_t many = gpu::many_blocks) {
  std::vector<std::uint32_t> tile_offset, column_offset;
  std::uint64_t tiles = 1, columns = 1;
  for (const PrefillPlan& plan : plans) tiles = std::max<std::uint64_t>(tiles, plan.tile.size()), columns = std::max<std::uint64_t>(columns, plan.column.size());
  std::vector<std::uint32_t> tile(run.heads * tiles), column(run.heads * columns);
  for (std::uint32_t h = 0; h < run.heads; ++h) {
    const PrefillPlan& plan = plans[h % plans.size()];
    tile_offset.insert(tile_offset.end(), plan.tile_offset.begin(), plan.tile_offset.end());
    column_offset.insert(column_offset.end(), plan.column_offset.begin(), plan.column_offset.end());
    std::copy(plan.tile.begin(), plan.tile.end(), tile.begin() + static_cast<std::ptrdiff_t>(h * tiles));
    std::copy(plan.column.begin(), plan.column.end(), column.begin() + static_cast<std::ptrdiff_t>(h * columns));
  }
  const SparseIndex index{tile_offset.data(), tile.data(), column_offset.data(), column.data(), tiles, columns};
  check_run(run, [&](KernelDevice&, const AttentionArgs& args) { return gpu::run_sparse(args, index, {}, many); },
            [&](std::uint32_t h, std::uint32_t i, std::uint32_t j) {
              const PrefillPlan& plan = plans[h % plans.size()];
              const std::uint32_t m = i / 64;
              for (auto t = plan.tile_offset[m]; t < plan.tile_offset[m + 1]; ++t) if (j >= plan.tile[t] && j < plan.tile[t] + 64) return true;
              for (auto c = plan.column_offset[m]; c < plan.column_offset[m + 1]; ++c) if (plan.column[c] == j) return true;
              return false;
            });
}

}  // namespace

TEST("tiles and columns of two heads, one of them without any key in some rows") {
  const std::uint32_t tokens = 150;
  check_plans({DType::f16, 64, tokens, 0, 2, 1}, {plan_from_vertical_slash(tokens, {0, 3, 70, 71}, {0, 1, 40, 90}), plan_from_vertical_slash(tokens, {100}, {129})});
}

// Where blocks are many, warps have 32 rows: two of them for lists, four for a-shape.
TEST("large warps: tiles and columns, segments of columns full and not") {
  const std::uint32_t tokens = 330;
  std::vector<std::uint32_t> odd;
  for (std::uint32_t j = 1; j < tokens; j += 2) odd.push_back(j);
  check_plans({DType::bf16, 128, tokens, 0, 2, 1}, {plan_from_vertical_slash(tokens, odd, {0}), plan_from_vertical_slash(tokens, {100}, {129})}, 0);
  check_plans({DType::f16, 20, tokens, 0, 2, 2}, {plan_from_vertical_slash(tokens, odd, {0, 70}), plan_from_vertical_slash(tokens, {0, 3, 70, 71}, {0, 1, 40, 90})}, 0);
}

TEST("large warps: a-shape") {
  for (const auto& [sink, local] : {std::pair<std::uint32_t, std::uint32_t>{4, 64}, {65, 100}})
    check_run({DType::f16, 128, 200, 64, 2, 1}, [&](KernelDevice&, const AttentionArgs& args) { return gpu::run_a_shape(args, sink, local, {}, 0); },
              [&](auto, std::uint32_t i, std::uint32_t j) { return j < sink || i - j < local; });
}

TEST("shapes the kernels do not take are refused in words") {
  const auto device = open_emulated_device();
  AttentionArgs args{.dtype = DType::f32, .heads = 1, .kv_heads = 1, .head_dim = 64, .queries = 1, .keys = 1};
  CHECK(std::string(device->dense(args)).starts_with("E_KERNEL_DTYPE"));
  args.dtype = DType::f16;
  args.head_dim = 160;
  CHECK(std::string(device->dense(args)).starts_with("E_KERNEL_HEAD_DIM"));
  args.head_dim = 64;
  args.first_query = 3;
  CHECK(std::string(device->dense(args)).starts_with("E_KERNEL_SHAPE"));
}
