// Decode attention and merging under emulation, against fp64 over the same rounded inputs.
#include <algorithm>
#include <numeric>

#include "emulated_device.h"
#include "emulated_inputs.h"

using namespace attnscope;

namespace {

struct Case {
  DType dtype;
  std::uint32_t dim, heads, kv_heads, keys;
  enum { all, of_kv_head, of_head } lists = all;
  bool weighted = false, by_token = false;
};

void check_case(const Case& c, Worst& worst_out, Worst& worst_lse) {
  std::mt19937 random(c.keys * 31 + c.dim + c.heads);
  Vectors q(random, c.dtype, c.heads, 1, c.dim, false, 2), k(random, c.dtype, c.kv_heads, c.keys, c.dim, c.by_token), v(random, c.dtype, c.kv_heads, c.keys, c.dim, c.by_token);
  const std::uint32_t lists = c.lists == Case::of_head ? c.heads : c.kv_heads, capacity = c.keys + 3;
  std::vector<std::vector<std::uint32_t>> keys(lists);
  std::vector<std::uint32_t> counts;
  Poisoned<std::uint32_t> list(std::size_t{lists} * capacity);
  Poisoned<float> weight(std::size_t{lists} * capacity);
  std::normal_distribution<float> normal;
  for (std::uint32_t l = 0; l < lists; ++l) {
    keys[l].resize(c.keys);
    std::iota(keys[l].begin(), keys[l].end(), 0u);
    if (c.lists != Case::all) {
      std::shuffle(keys[l].begin(), keys[l].end(), random);
      keys[l].resize(l == 0 ? c.keys : random() % (c.keys + 1));
      if (l == 1) keys[l].clear();
    }
    for (std::size_t i = 0; i < keys[l].size(); ++i) list.data()[l * capacity + i] = keys[l][i], weight.data()[l * capacity + i] = normal(random);
    counts.push_back(static_cast<std::uint32_t>(keys[l].size()));
  }
  const Poisoned<std::uint32_t> count(counts);
  Poisoned<float> out(std::size_t{c.heads} * c.dim), lse(c.heads);
  DecodeArgs args{.dtype = c.dtype, .heads = c.heads, .kv_heads = c.kv_heads, .head_dim = c.dim, .keys = c.keys, .scale = 1 / std::sqrt(static_cast<float>(c.dim)), .q = q.tensor(), .k = k.tensor(), .v = v.tensor()};
  if (c.lists != Case::all) {
    args.list = list.data(), args.list_count = count.data(), args.lists = lists, args.list_capacity = capacity;
    if (c.weighted) args.log_weight = weight.data();
  }
  args.out = out.data(), args.lse = lse.data();
  const auto device = open_emulated_device();
  Poisoned<std::byte> workspace(device->workspace_bytes(args));
  args.workspace = workspace.data();
  accept(device->decode(args));
  for (std::uint32_t h = 0; h < c.heads; ++h) {
    const std::uint32_t kv = h / (c.heads / c.kv_heads), l = h / (c.heads / lists);
    std::vector<double> expected(c.dim);
    double sum = 0;
    for (std::size_t i = 0; i < keys[l].size(); ++i) {
      const double p = std::exp(dot(q.row(h, 0), k.row(kv, keys[l][i]), c.dim) * args.scale + (args.log_weight != nullptr ? weight[l * capacity + i] : 0.0f));
      sum += p;
      for (std::uint32_t j = 0; j < c.dim; ++j) expected[j] += p * v.row(kv, keys[l][i])[j];
    }
    if (sum == 0) CHECK_EQUAL(lse[h], -INFINITY);
    else worst_lse.add(lse[h], std::log(sum));
    for (std::uint32_t j = 0; j < c.dim; ++j) worst_out.add(out[h * c.dim + j], sum == 0 ? 0 : expected[j] / sum);
  }
}

}  // namespace

TEST("decode: groups of heads, dims, lists shared and not, empty ones, weights, several ranges") {
  Worst out, lse;
  for (const Case& c : std::initializer_list<Case>{
           {DType::bf16, 128, 4, 1, 300},
           {DType::f16, 64, 1, 1, 1},
           {DType::f16, 64, 2, 2, 63, Case::of_kv_head, true},
           {DType::bf16, 64, 2, 1, 700, Case::of_kv_head},
           {DType::f16, 96, 6, 2, 65, Case::of_kv_head, true},
           {DType::f16, 128, 8, 1, 129, Case::all, false, true},
           {DType::bf16, 128, 5, 1, 40},
           {DType::bf16, 64, 8, 1, 60},
           {DType::f16, 128, 2, 1, 600, Case::of_head, true},
           {DType::f16, 20, 12, 1, 50, Case::of_kv_head, true, true},
           {DType::bf16, 128, 4, 4, 33, Case::of_head, true},
       })
    check_case(c, out, lse);
  std::printf("  largest error: out %.1e, lse %.1e\n", out.error, lse.error);
  CHECK(out.error < 3e-6);
  CHECK(lse.error < 3e-6);
}

TEST("merging skips parts that hold nothing, whatever lies there") {
  constexpr std::uint32_t parts = 70, rows = 5, dim = 40;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> part_out(parts * rows * dim), part_lse(parts * rows);
  for (float& x : part_out) x = normal(random);
  for (float& x : part_lse) x = 30 * normal(random);
  for (std::uint32_t p = 0; p < parts; ++p)
    for (std::uint32_t r = 0; r < rows; ++r)
      if (r == 2 || (p + r) % 3 == 0) {
        part_lse[p * rows + r] = -INFINITY;
        std::fill_n(part_out.begin() + (p * rows + r) * dim, dim, NAN);
      }
  const Poisoned<float> in(part_out), in_lse(part_lse);
  Poisoned<float> out(rows * dim), lse(rows);
  accept(open_emulated_device()->merge({parts, rows, dim, in.data(), in_lse.data(), out.data(), lse.data()}));
  for (std::uint32_t r = 0; r < rows; ++r) {
    double top = -INFINITY, sum = 0;
    for (std::uint32_t p = 0; p < parts; ++p) top = std::max<double>(top, part_lse[p * rows + r]);
    for (std::uint32_t p = 0; p < parts && r != 2; ++p) sum += std::exp(part_lse[p * rows + r] - top);
    CHECK_NEAR(lse[r], r == 2 ? -INFINITY : top + std::log(sum), 1e-6, 0);
    for (std::uint32_t c = 0; c < dim; ++c) {
      double expected = 0;
      for (std::uint32_t p = 0; p < parts; ++p)
        if (part_lse[p * rows + r] > -INFINITY) expected += std::exp(part_lse[p * rows + r] - top) / sum * part_out[(p * rows + r) * dim + c];
      CHECK_NEAR(out[r * dim + c], expected, 1e-5, 1e-6);
    }
  }
}

TEST("shapes that contradict each other are refused in words, before anything runs") {
  const auto device = open_emulated_device();
  const auto refused = [](Outcome outcome) { return outcome != nullptr && std::strncmp(outcome, "E_KERNEL_SHAPE", 14) == 0; };
  const std::uint32_t none = 0;
  CHECK(refused(device->decode({.dtype = DType::f16, .heads = 3, .kv_heads = 2, .head_dim = 64})));
  CHECK(refused(device->decode({.dtype = DType::f16, .heads = 4, .kv_heads = 2, .head_dim = 64, .list = &none, .list_count = &none, .lists = 3})));
  CHECK(refused(device->strip({.dtype = DType::f16, .heads = 1, .kv_heads = 0, .head_dim = 64, .tokens = 1})));
  CHECK(refused(device->select({.rows = 1, .entries = 4, .count = 5})));
  CHECK(refused(device->select({.rows = 1, .entries = 4, .count = 3, .forced = 4})));
  CHECK(refused(device->convert({.tokens = 64})));
  CHECK(refused(device->select_blocks({.heads = 1, .kv_heads = 1, .head_dim = 64, .tokens = 64 * 16384 + 1, .top_k = 1})));
  CHECK(refused(device->lag_score({.dtype = DType::f16, .head_dim = 64, .tokens = 100, .lag = 32769})));
  CHECK(refused(device->hash({.dtype = DType::f16, .head_dim = 64, .tokens = 1, .bits = 16, .tables = 1})));
  CHECK(refused(device->sort_buckets({.tables = 1, .tokens = 1, .bits = 16})));
  ReduceArgs reduce;
  reduce.attention = {.dtype = DType::f16, .head_dim = 64, .queries = 1, .keys = 1};
  reduce.cell = 3;
  CHECK(refused(device->reduce(reduce)));
}
