// Columns and distances turned into tiles and columns, against brute force over every pair of thousands of small maps.
#include "core/policy/vertical_slash.h"

#include <algorithm>
#include <random>

#include "check.h"
#include "core/policy/plan_builder.h"

using namespace attnscope;

namespace {

constexpr std::uint32_t block = PrefillPlan::block;

struct Case {
  std::uint32_t tokens;
  std::vector<std::uint32_t> columns, distances;  // ascending, descending
  std::vector<std::uint8_t> has_column, has_distance;
};

/// Indices in [0, n): single ones or runs, as dense as `share`; with the first `forced` of them.
std::vector<std::uint8_t> random_members(std::mt19937& random, std::uint32_t n, double share, std::uint32_t longest_run, std::uint32_t forced) {
  std::vector<std::uint8_t> member(n);
  std::fill_n(member.begin(), std::min(n, forced), std::uint8_t{1});
  const auto starts = static_cast<std::uint32_t>(share * n / ((1 + longest_run) / 2.0) + 0.5);
  for (std::uint32_t r = 0; r < starts; ++r) {
    const std::uint32_t begin = random() % n, length = 1 + random() % longest_run;
    for (std::uint32_t i = begin; i < std::min(n, begin + length); ++i) member[i] = 1;
  }
  return member;
}

Case random_case(unsigned seed) {
  std::mt19937 random(seed);
  const std::uint32_t n = seed % 7 == 0 ? block * (1 + random() % 9) : 1 + random() % 600;
  const double share = std::pow(10.0, -2.5 * (random() % 1000) / 1000.0);
  const std::uint32_t run = 1 << random() % 8;
  const bool forced = random() % 3 != 0;
  Case c{n, {}, {}, random_members(random, n, std::pow(10.0, -2.5 * (random() % 1000) / 1000.0), 1, forced ? 30 : 0),
         random_members(random, n, share, run, forced ? 1 + random() % 100 : 0)};
  for (std::uint32_t j = 0; j < n; ++j)
    if (c.has_column[j]) c.columns.push_back(j);
  for (std::uint32_t t = n; t-- > 0;)
    if (c.has_distance[t]) c.distances.push_back(t);
  return c;
}

/// The published walk, one distance at a time: where a row block's tiles start.
std::vector<std::uint32_t> tiles_step_by_step(std::uint32_t m, const std::vector<std::uint32_t>& distances) {
  std::vector<std::uint32_t> tiles;
  const std::int64_t rows_end = std::int64_t{64} * (m + 1);
  std::int64_t begin = -1, end = -1;
  const auto cut = [&] {
    if (end < 0) return;
    for (std::int64_t key = begin; key < end; key += 64) tiles.push_back(static_cast<std::uint32_t>(key));
  };
  for (std::int64_t t : distances) {
    if (t >= rows_end) continue;
    const std::int64_t tile_end = std::max<std::int64_t>(rows_end - t, 64);
    if (end < 0 || tile_end > end + 64) {
      cut();
      begin = tile_end - 64;
      end = tile_end;
    } else if (tile_end > end) {
      end += 64;
    }
  }
  cut();
  return tiles;
}

/// How often each pair is computed: [tokens][tokens], causal part.
std::vector<std::uint8_t> computed(const PrefillPlan& plan) {
  const std::uint32_t n = plan.tokens;
  std::vector<std::uint8_t> times(std::size_t{n} * n);
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t m = i / block;
    for (std::size_t x = plan.tile_offset[m]; x < plan.tile_offset[m + 1]; ++x)
      for (std::uint32_t j = plan.tile[x]; j < std::min(plan.tile[x] + block, i + 1); ++j) ++times[std::size_t{i} * n + j];
    for (std::size_t x = plan.column_offset[m]; x < plan.column_offset[m + 1]; ++x)
      if (plan.column[x] <= i) ++times[std::size_t{i} * n + plan.column[x]];
  }
  return times;
}

void check_shape(const PrefillPlan& plan) {
  CHECK_EQUAL(plan.tile_offset.size(), plan.row_blocks() + 1);
  CHECK_EQUAL(plan.column_offset.size(), plan.row_blocks() + 1);
  CHECK_EQUAL(plan.tile_offset.back(), plan.tile.size());
  CHECK_EQUAL(plan.column_offset.back(), plan.column.size());
  for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
    for (std::size_t x = plan.tile_offset[m]; x < plan.tile_offset[m + 1]; ++x) {
      CHECK(x == plan.tile_offset[m] || plan.tile[x - 1] + block <= plan.tile[x]);  // ascending, no overlap, in the causal part or not
      CHECK(plan.tile[x] < (m + 1) * block);
    }
    for (std::size_t x = plan.column_offset[m]; x < plan.column_offset[m + 1]; ++x) {
      const std::uint32_t column = plan.column[x];
      CHECK(x == plan.column_offset[m] || plan.column[x - 1] < column);
      CHECK(column < std::min(plan.tokens, (m + 1) * block));
      for (std::size_t y = plan.tile_offset[m]; y < plan.tile_offset[m + 1]; ++y) CHECK(column < plan.tile[y] || column >= plan.tile[y] + block);
    }
  }
}

}  // namespace

TEST("every selected pair is computed exactly once, and no pair twice: 4,000 random maps") {
  std::size_t overshoots = 0, without_diagonal = 0, with_columns = 0;
  for (unsigned seed = 1; seed <= 4000; ++seed) {
    const Case c = random_case(seed);
    const PrefillPlan plan = plan_from_vertical_slash(c.tokens, c.columns, c.distances);
    check_shape(plan);
    const std::vector<std::uint8_t> times = computed(plan);
    std::size_t selected = 0, missed = 0, repeated = 0;
    for (std::uint32_t i = 0; i < c.tokens; ++i)
      for (std::uint32_t j = 0; j <= i; ++j) {
        const std::uint8_t n = times[std::size_t{i} * c.tokens + j];
        const bool wanted = c.has_column[j] || c.has_distance[i - j];
        selected += wanted;
        missed += wanted && n == 0;
        repeated += n > 1;
      }
    CHECK_EQUAL(missed, 0);
    CHECK_EQUAL(repeated, 0);
    CHECK_EQUAL(plan.token_cells, selected);
    without_diagonal += !c.has_distance[0];
    with_columns += !plan.column.empty();
    for (std::uint32_t m = 0; m < plan.row_blocks(); ++m)
      overshoots += plan.tile_offset[m + 1] > plan.tile_offset[m] && plan.tile[plan.tile_offset[m + 1] - 1] > m * block;
  }
  // The cases must contain what is hard.
  CHECK(overshoots > 1000);
  CHECK(without_diagonal > 400);
  CHECK(with_columns > 2000);
}

TEST("tiles start where the published walk, one distance at a time, puts them") {
  for (unsigned seed = 1; seed <= 3000; ++seed) {
    const Case c = random_case(seed);
    const PrefillPlan plan = plan_from_vertical_slash(c.tokens, c.columns, c.distances);
    for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
      const std::vector<std::uint32_t> expected = tiles_step_by_step(m, c.distances);
      CHECK(std::equal(expected.begin(), expected.end(), plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[m]),
                       plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[m + 1])));
    }
  }
}

TEST("a hand-made row block: an unaligned tile, an overshoot, a column between and a column inside") {
  // Row block 3 ends at key 256. Distance 200 covers keys [0, 64) (its tile ends at 56), 120 ends at 136: 72 past 64, so a new
  // range opens at 72; 100 ends at 156: extends it to 200; 0 ends at 256: extends it to 264.
  PrefillPlan plan;
  start_plan(plan, 256);
  const std::vector<std::uint32_t> columns{10, 66, 71, 72, 230}, distances{200, 120, 100, 0};
  vertical_slash::convert_indices(columns, distances, plan);
  const std::vector<std::uint32_t> tiles(plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[3]), plan.tile.end());
  const std::vector<std::uint32_t> single(plan.column.begin() + static_cast<std::ptrdiff_t>(plan.column_offset[3]), plan.column.end());
  CHECK((tiles == std::vector<std::uint32_t>{0, 72, 136, 200}));
  CHECK((single == std::vector<std::uint32_t>{66, 71}));
}

TEST("pairs, run length and index bytes: closed forms, with and without a sliding window") {
  for (unsigned seed = 1; seed <= 1500; ++seed) {
    const Case c = random_case(seed);
    const Visibility visibility{seed % 2 ? 0 : 1 + seed % 300};
    std::size_t cells = 0, runs = 0;
    for (std::uint32_t i = 0; i < c.tokens; ++i)
      for (std::uint32_t j = 0; j <= i; ++j) cells += visibility.sees(i, j) && (c.has_column[j] || c.has_distance[i - j]);
    for (std::uint32_t t = 0; t < c.tokens; ++t) runs += c.has_distance[t] && (t == 0 || !c.has_distance[t - 1]);
    CHECK_EQUAL(vertical_slash_cells(c.tokens, c.columns, c.distances, visibility), cells);
    const PrefillPlan plan = plan_from_vertical_slash(c.tokens, c.columns, c.distances, visibility);
    CHECK_EQUAL(plan.token_cells, cells);
    CHECK_NEAR(plan.mean_run, runs == 0 ? 0 : double(c.distances.size()) / double(runs), 1e-12, 0);
    CHECK_EQUAL(plan.index_bytes, 4.0 * plan.row_blocks() * double(c.columns.size() + c.distances.size() + 2));
  }
  // (1000, 6096) at 128K: 2,048 row blocks, 7,098 integers each.
  std::vector<std::uint32_t> columns(1000), distances(6096);
  for (std::uint32_t i = 0; i < 6096; ++i) distances[i] = i;
  for (std::uint32_t i = 0; i < 1000; ++i) columns[i] = 100 * i;
  CHECK_EQUAL(plan_from_vertical_slash(131072, columns, distances).index_bytes, 58146816);
}

TEST("indices of another prompt: any order, repetitions, and what lies past the end") {
  const PrefillPlan a = plan_from_vertical_slash(200, {5, 90, 5, 700, 3}, {0, 64, 64, 900, 12});
  const PrefillPlan b = plan_from_vertical_slash(200, {3, 5, 90}, {64, 12, 0});
  CHECK(a.tile == b.tile && a.column == b.column && a.tile_offset == b.tile_offset && a.column_offset == b.column_offset);
  CHECK((a.indices.columns == std::vector<std::uint32_t>{3, 5, 90}));
  CHECK((a.indices.distances == std::vector<std::uint32_t>{64, 12, 0}));
  CHECK_EQUAL(a.forced_columns + a.forced_distances, 0);
  CHECK(std::isnan(a.estimated_recall));
  // Nothing selected, nothing computed; nothing there, nothing to do.
  CHECK_EQUAL(plan_from_vertical_slash(300, {}, {}).tile.size() + plan_from_vertical_slash(0, {1}, {1}).tile.size(), 0);
}

TEST("block lists: kept as given, rows without a list dense") {
  const std::vector<std::uint32_t> offset{0, 1, 3, 6}, blocks{0, 1, 0, 2, 3, 0};
  const PrefillPlan plan = plan_from_blocks(300, offset, blocks);
  check_shape(plan);
  CHECK((plan.tile == std::vector<std::uint32_t>{0, 0, 64, 0, 128, 0, 64, 128, 192, 0, 64, 128, 192, 256}));
  CHECK((plan.indices.block_offset == std::vector<std::uint32_t>{0, 1, 3, 5, 9, 14}));
  const std::vector<std::uint8_t> times = computed(plan);
  CHECK_EQUAL(plan.token_cells, std::count(times.begin(), times.end(), 1));
  // Its own indices give the same plan again.
  const PrefillPlan again = plan_from_blocks(300, plan.indices.block_offset, plan.indices.blocks);
  CHECK(again.tile == plan.tile && again.tile_offset == plan.tile_offset);
}
