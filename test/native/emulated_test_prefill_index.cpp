// What builds the indices of vertical-slash and block-sparse, under emulation: the strip's sums, selection, conversion, means and
// blocks. Sums against fp64 over the same rounded inputs, choices against a sort, conversion against the policy engine.
#include <algorithm>
#include <array>
#include <cfloat>
#include <numeric>

#include "core/policy/plan_builder.h"
#include "emulated_device.h"
#include "emulated_inputs.h"

using namespace attnscope;

namespace {

struct StripCase {
  DType dtype;
  std::uint32_t dim, heads, kv_heads, tokens;
  float spread = 1;
};

void check_strip(const StripCase& c, Worst& worst) {
  std::mt19937 random(c.tokens + c.dim);
  Vectors q(random, c.dtype, c.heads, c.tokens, c.dim, c.tokens % 2 != 0, c.spread), k(random, c.dtype, c.kv_heads, c.tokens, c.dim);
  Poisoned<float> column(std::size_t{c.heads} * c.tokens), distance(std::size_t{c.heads} * c.tokens);
  StripArgs args{.dtype = c.dtype, .heads = c.heads, .kv_heads = c.kv_heads, .head_dim = c.dim, .tokens = c.tokens, .scale = 1 / std::sqrt(static_cast<float>(c.dim)), .q = q.tensor(), .k = k.tensor(),
                 .column_score = column.data(), .distance_score = distance.data()};
  const auto device = open_emulated_device();
  Poisoned<std::byte> workspace(device->workspace_bytes(args));
  args.workspace = workspace.data();
  accept(device->strip(args));
  for (std::uint32_t h = 0; h < c.heads; ++h) {
    std::vector<double> columns(c.tokens), distances(c.tokens);
    for (std::uint32_t i = c.tokens - std::min(64u, c.tokens); i < c.tokens; ++i) {
      std::vector<double> p(i + 1);
      double sum = 0;
      for (std::uint32_t j = 0; j <= i; ++j) sum += p[j] = std::exp(dot(q.row(h, i), k.row(h / (c.heads / c.kv_heads), j), c.dim) * args.scale);
      for (std::uint32_t j = 0; j <= i; ++j) columns[j] += p[j] / sum, distances[i - j] += p[j] / sum;
    }
    for (std::uint32_t j = 0; j < c.tokens; ++j) {
      worst.add(column[h * c.tokens + j], columns[j], 1e-3);
      worst.add(distance[h * c.tokens + j], distances[j], 1e-3);
    }
  }
}

}  // namespace

TEST("strip: column and distance sums, fewer tokens than rows, tile edges, several ranges") {
  Worst worst;
  for (const StripCase& c : std::initializer_list<StripCase>{{DType::f16, 64, 1, 1, 1}, {DType::bf16, 64, 2, 1, 40}, {DType::f16, 128, 1, 1, 64}, {DType::f16, 64, 1, 1, 65}, {DType::bf16, 96, 2, 2, 191, 4},
                                                             {DType::f16, 20, 1, 1, 300}, {DType::bf16, 64, 1, 1, 64 * 8 + 1, 3}, {DType::f16, 32, 2, 1, 64 * 13 - 1}})
    check_strip(c, worst);
  std::printf("  largest error %.1e\n", worst.error);
  CHECK(worst.error < 2e-5);
}

namespace {

/// The indices selection must give, by sorting.
std::vector<std::uint32_t> sorted_choice(const float* score, std::uint32_t entries, std::uint32_t count, std::uint32_t forced, bool descending) {
  std::vector<std::uint32_t> order(entries);
  std::iota(order.begin(), order.end(), 0u);
  const auto value = [&](std::uint32_t i) { return i < forced ? std::numeric_limits<double>::infinity() : std::isnan(score[i]) || score[i] < -FLT_MAX ? -1e300 : std::min<double>(score[i], 1e300); };
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return value(a) > value(b); });
  order.resize(count);
  std::sort(order.begin(), order.end());
  if (descending) std::reverse(order.begin(), order.end());
  return order;
}

void check_select(std::uint32_t rows, std::uint32_t entries, std::uint32_t count, std::uint32_t forced, bool descending, unsigned distinct) {
  std::mt19937 random(entries + count);
  const std::uint64_t stride = entries + random() % 5;
  std::vector<float> score(rows * stride, NAN);
  std::normal_distribution<float> normal;
  for (std::uint32_t r = 0; r < rows; ++r)
    for (std::uint32_t i = 0; i < entries; ++i) {
      float& x = score[r * stride + i];
      x = distinct == 0 ? std::exp(3 * normal(random)) : static_cast<float>(random() % distinct) - 1;
      const unsigned odd = random() % 64;
      if (odd == 0) x = NAN;
      if (odd == 1) x = -INFINITY;
      if (odd == 2) x = -0.0f;
      if (odd == 3) x = -x;
      if (odd == 4 && distinct != 0) x = INFINITY;
    }
  const Poisoned<float> in(score);
  Poisoned<std::uint32_t> index(std::size_t{rows} * count);
  SelectArgs args{in.data(), stride, rows, entries, count, forced, descending, index.data()};
  const auto device = open_emulated_device();
  Poisoned<std::byte> workspace(device->workspace_bytes(args));
  args.workspace = workspace.data();
  accept(device->select(args));
  for (std::uint32_t r = 0; r < rows; ++r) {
    const std::vector<std::uint32_t> expected = sorted_choice(score.data() + r * stride, entries, count, forced, descending);
    CHECK(std::equal(expected.begin(), expected.end(), index.data() + std::size_t{r} * count));
  }
}

}  // namespace

TEST("selection: ties, NaN, infinities, forced indices, both orders; all of a row and one of it") {
  check_select(3, 500, 40, 5, false, 0);
  check_select(1, 4097, 1000, 0, true, 0);
  check_select(2, 300, 77, 10, true, 4);
  check_select(2, 64, 64, 64, false, 0);
  check_select(2, 1, 1, 0, false, 0);
  check_select(1, 5000, 1, 0, false, 3);
  check_select(1, 900, 899, 100, false, 2);
  check_select(1, 200, 100, 100, true, 1);
}

TEST("selection by several blocks a row") {
  check_select(2, 65537, 700, 30, false, 0);
  check_select(1, 66000, 35000, 100, true, 5);
}

TEST("conversion: tiles and columns of the policy engine, whatever was selected") {
  std::mt19937 random(5);
  // Few distances leave long stretches of columns, 33,000 tokens more row blocks than a scan takes at once.
  for (const auto& [tokens, columns, distances] : {std::array<std::uint32_t, 3>{1, 1, 1}, {64, 20, 1}, {65, 65, 65}, {700, 200, 3}, {700, 5, 200}, {4200, 300, 250}, {33000, 9, 9}}) {
    const std::uint32_t heads = 3;
    const auto choose = [&, n = tokens](std::uint32_t count, bool runs) {
      std::vector<std::uint8_t> member(n);
      for (std::uint32_t have = 0; have < count;)
        for (std::uint32_t i = random() % n, length = runs ? 1 + random() % 20 : 1; i < n && length > 0 && have < count; ++i, --length) have += !member[i], member[i] = 1;
      std::vector<std::uint32_t> chosen;
      for (std::uint32_t i = 0; i < n; ++i)
        if (member[i]) chosen.push_back(i);
      return chosen;
    };
    std::vector<std::uint32_t> all_columns, all_distances;
    std::vector<PrefillPlan> plans;
    for (std::uint32_t h = 0; h < heads; ++h) {
      const std::vector<std::uint32_t> c = choose(columns, h == 2), d = choose(distances, h != 1);
      all_columns.insert(all_columns.end(), c.begin(), c.end());
      all_distances.insert(all_distances.end(), d.rbegin(), d.rend());
      plans.push_back(plan_from_vertical_slash(tokens, c, d));
    }
    const Poisoned<std::uint32_t> column(all_columns), distance(all_distances);
    const ConvertCapacity capacity = convert_capacity(tokens, columns, distances);
    const std::uint32_t row_blocks = (tokens + 63) / 64;
    Poisoned<std::uint32_t> tile_offset(heads * (row_blocks + 1)), column_offset(heads * (row_blocks + 1)), tile(heads * capacity.tiles), single(heads * capacity.columns);
    ConvertArgs args{.heads = heads, .tokens = tokens, .column = column.data(), .distance = distance.data(), .columns = columns, .distances = distances,
                     .out = {tile_offset.data(), tile.data(), column_offset.data(), single.data(), capacity.tiles, capacity.columns}};
    const auto device = open_emulated_device();
    Poisoned<std::byte> workspace(device->workspace_bytes(args));
    args.workspace = workspace.data();
    accept(device->convert(args));
    for (std::uint32_t h = 0; h < heads; ++h) {
      CHECK(std::equal(plans[h].tile_offset.begin(), plans[h].tile_offset.end(), tile_offset.data() + h * (row_blocks + 1)));
      CHECK(std::equal(plans[h].column_offset.begin(), plans[h].column_offset.end(), column_offset.data() + h * (row_blocks + 1)));
      CHECK(std::equal(plans[h].tile.begin(), plans[h].tile.end(), tile.data() + h * capacity.tiles));
      CHECK(std::equal(plans[h].column.begin(), plans[h].column.end(), single.data() + h * capacity.columns));
    }
  }
}

namespace {

void check_pool(DType dtype, std::uint32_t heads, std::uint32_t dim, std::uint32_t tokens, bool by_token, Worst& worst) {
  std::mt19937 random(tokens + dim);
  const std::uint32_t blocks = (tokens + 63) / 64;
  Vectors x(random, dtype, heads, tokens, dim, by_token);
  Poisoned<float> mean(std::size_t{heads} * blocks * dim);
  accept(open_emulated_device()->pool({dtype, heads, dim, tokens, x.tensor(), mean.data()}));
  for (std::uint32_t h = 0; h < heads; ++h)
    for (std::uint32_t b = 0; b < blocks; ++b)
      for (std::uint32_t c = 0; c < dim; ++c) {
        double sum = 0;
        for (std::uint32_t i = b * 64; i < std::min(tokens, b * 64 + 64); ++i) sum += x.row(h, i)[c];
        worst.add(mean[(std::size_t{h} * blocks + b) * dim + c], sum / 64);
      }
}

void check_blocks(std::uint32_t heads, std::uint32_t kv_heads, std::uint32_t dim, std::uint32_t tokens, std::uint32_t top_k) {
  std::mt19937 random(tokens + dim);
  std::normal_distribution<float> normal;
  const std::uint32_t blocks = (tokens + 63) / 64;
  const auto means = [&](std::uint32_t count) {
    std::vector<float> values(std::size_t{count} * blocks * dim);
    for (float& x : values) x = normal(random);
    return values;
  };
  const Poisoned<float> pooled_q(means(heads)), pooled_k(means(kv_heads));
  const std::uint64_t capacity = blocks * std::min(top_k, blocks);
  Poisoned<std::uint32_t> offset(heads * (blocks + 1)), tile(heads * capacity);
  BlockSelectArgs args{.heads = heads, .kv_heads = kv_heads, .head_dim = dim, .tokens = tokens, .pooled_q = pooled_q.data(), .pooled_k = pooled_k.data(), .top_k = top_k,
                       .out = {offset.data(), tile.data(), nullptr, nullptr, capacity, 0}};
  const auto device = open_emulated_device();
  Poisoned<std::byte> workspace(device->workspace_bytes(args));
  args.workspace = workspace.data();
  accept(device->select_blocks(args));
  for (std::uint32_t h = 0; h < heads; ++h)
    for (std::uint32_t m = 0; m < blocks; ++m) {
      const std::uint32_t begin = offset[h * (blocks + 1) + m], count = offset[h * (blocks + 1) + m + 1] - begin;
      CHECK_EQUAL(count, std::min(top_k, m + 1));
      std::vector<double> score(m + 1);
      for (std::uint32_t b = 0; b <= m; ++b)
        score[b] = dot(pooled_q.data() + (std::size_t{h} * blocks + m) * dim, pooled_k.data() + (std::size_t{h / (heads / kv_heads)} * blocks + b) * dim, dim);
      std::vector<std::uint8_t> kept(m + 1);
      double least = INFINITY, most = -INFINITY;
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t key = tile[h * capacity + begin + i];
        CHECK(key % 64 == 0 && key / 64 <= m && (i == 0 || key > tile[h * capacity + begin + i - 1]));
        if (key / 64 > m) continue;
        kept[key / 64] = 1;
        least = std::min(least, score[key / 64]);
      }
      for (std::uint32_t b = 0; b <= m; ++b)
        if (!kept[b]) most = std::max(most, score[b]);
      CHECK(count == m + 1 || least >= most - 1e-5);  // products in fp32: what is as good as equal may be exchanged
    }
}

}  // namespace

TEST("means of 64 rows, divided by 64 also where the last block is ragged") {
  Worst worst;
  check_pool(DType::f16, 2, 64, 64 * 3, true, worst);
  check_pool(DType::bf16, 1, 128, 64 * 2 + 5, false, worst);
  check_pool(DType::f16, 1, 18, 1, false, worst);
  check_pool(DType::bf16, 2, 96, 127, false, worst);
  std::printf("  largest error %.1e\n", worst.error);
  CHECK(worst.error < 1e-6);
}

TEST("the blocks chosen by means: ragged ends, all kept, one kept, two, four and eight rows a block of threads") {
  check_blocks(2, 1, 64, 64 * 11, 3);
  check_blocks(1, 1, 128, 64 * 9 + 5, 100);
  check_blocks(1, 1, 18, 64 * 18 + 1, 1);
  check_blocks(1, 1, 16, 1, 2);
  check_blocks(34, 2, 16, 64 * 16 - 3, 13);
  check_blocks(66, 33, 20, 64 * 16, 12);
}

TEST("equal scores: the lowest blocks win") {
  constexpr std::uint32_t blocks = 80, dim = 8;
  std::vector<float> ones(blocks * dim, 1.0f);
  const Poisoned<float> mean(ones);
  Poisoned<std::uint32_t> offset(blocks + 1), tile(blocks * 7);
  accept(open_emulated_device()->select_blocks({.heads = 1, .kv_heads = 1, .head_dim = dim, .tokens = blocks * 64, .pooled_q = mean.data(), .pooled_k = mean.data(), .top_k = 7,
                                                .out = {offset.data(), tile.data(), nullptr, nullptr, blocks * 7, 0}}));
  for (std::uint32_t m = 0; m < blocks; ++m)
    for (std::uint32_t i = offset[m]; i < offset[m + 1]; ++i) CHECK_EQUAL(tile[i], 64 * (i - offset[m]));
}
