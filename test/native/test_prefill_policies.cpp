// The prefill policies against plain fp64 references: scores, selections, masks, estimates; memo, errors, descriptors.
#include <algorithm>
#include <numeric>

#include "check.h"
#include "core/policy/plan_builder.h"
#include "core/policy/vertical_slash.h"
#include "reference.h"

namespace attnscope {
PolicyEntry dense_entry();
PolicyEntry a_shape_entry();
PolicyEntry vertical_slash_entry();
PolicyEntry block_sparse_entry();
}  // namespace attnscope

using namespace attnscope;
using reference::Matrix;

namespace {

constexpr std::uint32_t block = PrefillPlan::block;

/// One head: all queries, or only those from `first_query` on.
struct Head {
  std::uint32_t tokens;
  Matrix q, k;
  std::vector<std::uint32_t> positions;
  std::vector<Rows> keys, values, pooled_rows;
  std::vector<QueryRows> queries;
  Matrix pooled;
  Memo memo;
  LayerInput input;

  Head(std::uint32_t tokens, unsigned seed, std::uint32_t window = 0, std::uint32_t first_query = 0, std::size_t dim = 16)
      : tokens(tokens), q(reference::random_matrix(tokens, dim, seed, 1.2f)), k(reference::random_matrix(tokens, dim, seed + 1000, 1.2f)) {
    for (std::uint32_t i = first_query; i < tokens; ++i) positions.push_back(i);
    input.layer = 2;
    input.head_dim = static_cast<std::uint32_t>(dim);
    input.tokens = input.prompt_tokens = tokens;
    input.scale = 0.25f;
    input.visibility = {window};
    input.memo = &memo;
    bind();
  }
  Head(const Head&) = delete;
  void bind() {
    keys = {k.view()};
    queries = {{positions, q.view().slice(tokens - positions.size(), positions.size())}};
    input.keys = keys;
    input.queries = queries;
  }
  /// Adds means of every 64 queries over the rows there are.
  void pool() {
    const std::uint32_t blocks = (tokens + block - 1) / block;
    pooled = {blocks, q.columns, std::vector<float>(blocks * q.columns)};
    for (std::uint32_t m = 0; m < blocks; ++m)
      for (std::size_t c = 0; c < q.columns; ++c) {
        const std::uint32_t end = std::min(tokens, (m + 1) * block);
        double sum = 0;
        for (std::uint32_t i = m * block; i < end; ++i) sum += static_cast<double>(q.row(i)[c]);
        pooled.data[m * q.columns + c] = static_cast<float>(sum / (end - m * block));
      }
    pooled_rows = {pooled.view()};
    input.pooled_queries = pooled_rows;
  }
};

Result<PrefillPlan> plan_of(const PolicyEntry& entry, std::vector<double> values, const LayerInput& input) {
  auto policy = entry.prefill({std::move(values)});
  PrefillPlan plan;
  if (Status status = policy.value()->plan(input, 0, plan); !status) return status.error();
  return plan;
}

/// Pairs that are attended to, [tokens][tokens]: inside tiles and columns, causal, within the model's and the plan's window.
std::vector<std::uint8_t> attended(const PrefillPlan& plan, Visibility visibility) {
  const std::uint32_t n = plan.tokens;
  std::vector<std::uint8_t> mask(std::size_t{n} * n);
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto attend = [&](std::uint32_t j) {
      if (visibility.sees(i, j) && (!plan.windowed || j < plan.sink || i - j < plan.local)) mask[std::size_t{i} * n + j] = 1;
    };
    for (std::size_t x = plan.tile_offset[i / block]; x < plan.tile_offset[i / block + 1]; ++x)
      for (std::uint32_t j = plan.tile[x]; j < std::min(plan.tile[x] + block, i + 1); ++j) attend(j);
    for (std::size_t x = plan.column_offset[i / block]; x < plan.column_offset[i / block + 1]; ++x)
      if (plan.column[x] <= i) attend(plan.column[x]);
  }
  return mask;
}

double count(const std::vector<std::uint8_t>& mask) { return static_cast<double>(std::count(mask.begin(), mask.end(), 1)); }

bool same(const PrefillPlan& a, const PrefillPlan& b) {
  const bool same_estimate = a.estimated_recall == b.estimated_recall || (std::isnan(a.estimated_recall) && std::isnan(b.estimated_recall));
  return same_estimate && a.tile == b.tile && a.column == b.column && a.tile_offset == b.tile_offset && a.column_offset == b.column_offset &&
         a.token_cells == b.token_cells && a.mean_run == b.mean_run && a.index_bytes == b.index_bytes &&
         a.forced_columns == b.forced_columns && a.forced_distances == b.forced_distances && a.indices.columns == b.indices.columns &&
         a.indices.distances == b.indices.distances && a.indices.blocks == b.indices.blocks;
}

struct StripReference {
  std::vector<double> column, distance;
};
StripReference strip_reference(const reference::Map& map, std::uint32_t rows) {
  const std::size_t n = map.n;
  StripReference s{std::vector<double>(n), std::vector<double>(n)};
  for (std::size_t i = n - rows; i < n; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      s.column[j] += map.at(i, j);
      s.distance[i - j] += map.at(i, j);
    }
  return s;
}

/// Whether `kept` (any order) is a top-`size` of `score` with [0, forced) in front, up to near ties at the boundary.
void check_top(const std::vector<double>& score, const std::vector<std::uint32_t>& kept, std::size_t size, std::uint32_t forced) {
  CHECK_EQUAL(kept.size(), size);
  std::vector<std::uint8_t> in(score.size());
  for (std::uint32_t i : kept) in[i] = 1;
  double worst_kept = 1e300, best_dropped = -1;
  for (std::uint32_t i = 0; i < score.size(); ++i) {
    if (i < forced)
      CHECK(in[i] == (i < size));
    else if (in[i])
      worst_kept = std::min(worst_kept, score[i]);
    else
      best_dropped = std::max(best_dropped, score[i]);
  }
  CHECK(worst_kept >= best_dropped - 1e-6 * (best_dropped + 1e-3));
}

}  // namespace

TEST("strip sums by column and by distance agree with fp64") {
  for (std::uint32_t n : {1u, 5u, 63u, 64u, 65u, 300u, 577u})
    for (std::uint32_t window : {0u, 90u})
      for (std::uint32_t last_q : {1u, 64u, 100u, 512u}) {
        Head head(n, n + window, window);
        const reference::Map map = reference::attention_map(head.q, head.k, 0.25, window);
        const std::uint32_t rows = std::min(n, last_q);
        vertical_slash::StripRows strip;
        // Grown in two steps: a longer strip only adds rows.
        CHECK(strip.extend(head.input, 0, std::max(1u, rows / 3)).ok());
        CHECK(strip.extend(head.input, 0, rows).ok());
        CHECK_EQUAL(strip.size(), rows);
        for (std::uint32_t r = 0; r < rows; ++r)
          for (std::uint32_t j = 0; j < n; ++j) CHECK_NEAR(strip.row(r)[j], map.at(n - 1 - r, j), 1e-5, 1e-30);
        const vertical_slash::Scores scores = vertical_slash::sum_strip(strip, rows, n);
        const StripReference expected = strip_reference(map, rows);
        for (std::uint32_t x = 0; x < n; ++x) {
          CHECK_NEAR(scores.column[x], expected.column[x], 1e-5, 1e-30);
          CHECK_NEAR(scores.distance[x], expected.distance[x], 1e-5, 1e-30);
        }
      }
}

TEST("vertical-slash: sizes, forced entries inside the budget, top sets, mask, estimated recall") {
  const PolicyEntry entry = vertical_slash_entry();
  for (std::uint32_t n : {1u, 45u, 128u, 333u, 600u})
    for (std::uint32_t window : {0u, 130u})
      for (const std::vector<double>& values : {std::vector<double>{40, 120, 64, 30, 100}, {10, 20, 64, 30, 100}, {100, 60, 16, 0, 0}, {200, 300, 300, 4, 64}, {1, 50, 64, 30, 0}}) {
        Head head(n, 7 * n + window, window);
        const auto result = plan_of(entry, values, head.input);
        CHECK(result.ok());
        if (!result) continue;
        const PrefillPlan& plan = result.value();
        const auto last_q = static_cast<std::uint32_t>(values[2]), force_v = static_cast<std::uint32_t>(values[3]), force_s = static_cast<std::uint32_t>(values[4]);
        const std::uint32_t rows = std::min(n, last_q), v = std::min(n, std::max(static_cast<std::uint32_t>(values[0]), force_v)),
                            s = std::min(n, std::max(static_cast<std::uint32_t>(values[1]), 50u));
        const reference::Map map = reference::attention_map(head.q, head.k, 0.25, window);
        const StripReference scores = strip_reference(map, rows);
        check_top(scores.column, plan.indices.columns, v, force_v);
        check_top(scores.distance, plan.indices.distances, s, force_s);
        CHECK(std::is_sorted(plan.indices.columns.begin(), plan.indices.columns.end()));
        CHECK(std::is_sorted(plan.indices.distances.rbegin(), plan.indices.distances.rend()));
        CHECK_EQUAL(plan.forced_columns, std::min(force_v, v));
        CHECK_EQUAL(plan.forced_distances, std::min(force_s, s));

        std::vector<std::uint8_t> column(n), distance(n);
        for (std::uint32_t j : plan.indices.columns) column[j] = 1;
        for (std::uint32_t t : plan.indices.distances) distance[t] = 1;
        const std::vector<std::uint8_t> mask = attended(plan, head.input.visibility);
        double selected = 0, recall = 0;
        for (std::uint32_t i = 0; i < n; ++i)
          for (std::uint32_t j = 0; j <= i; ++j) {
            const bool wanted = head.input.visibility.sees(i, j) && (column[j] || distance[i - j]);
            CHECK(!wanted || mask[std::size_t{i} * n + j]);
            selected += wanted;
            if (wanted && i >= n - rows) recall += map.at(i, j);
          }
        CHECK_EQUAL(plan.token_cells, selected);
        CHECK_NEAR(plan.estimated_recall, recall / rows, 1e-5, 0);
      }
}

TEST("vertical-slash: ties go to the lowest index, forced or not") {
  Head head(400, 3);
  std::fill(head.k.data.begin(), head.k.data.end(), 0.0f);  // every row uniform
  const auto plan = plan_of(vertical_slash_entry(), {60, 70, 64, 30, 100}, head.input);
  CHECK(plan.ok());
  // Columns that all 64 rows see tie: the lowest win. Fewer distances than forced ones: the nearest win.
  for (std::uint32_t j = 0; j < 60; ++j) CHECK_EQUAL(plan.value().indices.columns[j], j);
  for (std::uint32_t x = 0; x < 70; ++x) CHECK_EQUAL(plan.value().indices.distances[x], 69 - x);
  CHECK_EQUAL(plan.value().forced_distances, 70);
  CHECK_EQUAL(plan.value().mean_run, 70);
}

TEST("a warm memo gives what a fresh one does, whatever was asked before") {
  Head warm(500, 21);
  warm.pool();
  for (const std::vector<double>& values : {std::vector<double>{100, 200, 64, 30, 100}, {30, 50, 300, 0, 10}, {100, 200, 64, 30, 100}, {300, 80, 1, 4, 64}, {101, 200, 100, 30, 100}}) {
    Head fresh(500, 21);
    const auto a = plan_of(vertical_slash_entry(), values, warm.input), b = plan_of(vertical_slash_entry(), values, fresh.input);
    CHECK(a.ok() && b.ok() && same(a.value(), b.value()));
  }
  for (double top_k : {3.0, 5.0, 1.0, 3.0}) {
    Head fresh(500, 21);
    fresh.pool();
    const auto a = plan_of(block_sparse_entry(), {top_k, 0}, warm.input), b = plan_of(block_sparse_entry(), {top_k, 0}, fresh.input);
    CHECK(a.ok() && b.ok() && same(a.value(), b.value()));
  }
}

TEST("block-sparse agrees with the padded fp64 reference: ragged and aligned N, forced or not") {
  for (std::uint32_t n : {1u, 64u, 65u, 640u, 700u, 1000u, 1024u})
    for (double forced : {0.0, 1.0})
      for (std::uint32_t top_k : {1u, 3u, 4u, 10u, 40u})
        for (bool pooled : {false, true}) {
          Head head(n, n + 5);
          if (pooled) {
            head.pool();
            head.positions = {n - 1};
            head.bind();
          }
          const auto result = plan_of(block_sparse_entry(), {double(top_k), forced}, head.input);
          CHECK(result.ok());
          if (!result) continue;
          const PrefillPlan& plan = result.value();
          const std::uint32_t padded = n + 64 - n % 64, blocks = padded / 64;  // an aligned N gets a whole block more
          const auto mean = [&](const Matrix& x) {
            std::vector<double> means(std::size_t{blocks} * x.columns);
            for (std::uint32_t i = 0; i < n; ++i)
              for (std::size_t c = 0; c < x.columns; ++c) means[i / 64 * x.columns + c] += static_cast<double>(x.row(i)[c]) / 64;
            return means;
          };
          const std::vector<double> mq = mean(head.q), mk = mean(head.k);
          const std::uint32_t wanted = std::min(forced != 0 ? std::max(top_k, 3u) : top_k, blocks);
          double cells = 0;
          for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
            const std::vector<std::uint32_t> kept(plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[m]),
                                                  plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[m + 1]));
            CHECK_EQUAL(kept.size(), std::min(wanted, m + 1));
            std::vector<std::uint8_t> in(blocks);
            for (std::uint32_t key : kept) {
              CHECK_EQUAL(key % 64, 0);
              CHECK(key / 64 <= m);
              in[key / 64] = 1;
            }
            const auto must = [&](std::uint32_t b) { return forced != 0 && (b == 0 || b == m || b + 1 == m); };
            double worst_kept = 1e300, best_dropped = -1e300;
            for (std::uint32_t b = 0; b <= m; ++b) {
              double score = 0;
              for (std::size_t c = 0; c < head.q.columns; ++c) score += mq[m * head.q.columns + c] * mk[b * head.q.columns + c];
              if (must(b))
                CHECK(in[b]);
              else if (in[b])
                worst_kept = std::min(worst_kept, score);
              else
                best_dropped = std::max(best_dropped, score);
            }
            CHECK(worst_kept >= best_dropped - 1e-6);
          }
          cells = count(attended(plan, {}));
          CHECK_EQUAL(plan.token_cells, cells);
          CHECK_EQUAL(plan.index_bytes, 4.0 * blocks * wanted);
          CHECK_EQUAL(plan.forced_diagonal_tiles, forced != 0);
          CHECK_EQUAL(plan.forced_columns, forced != 0 ? 64 : 0);
          CHECK(std::isnan(plan.estimated_recall));
        }
}

TEST("block-sparse breaks ties to the lowest block") {
  Head head(640, 9);
  std::fill(head.k.data.begin(), head.k.data.end(), 0.0f);
  const auto plan = plan_of(block_sparse_entry(), {4, 0}, head.input), forced = plan_of(block_sparse_entry(), {4, 1}, head.input);
  const auto row = [](const PrefillPlan& p) { return std::vector<std::uint32_t>(p.tile.begin() + static_cast<std::ptrdiff_t>(p.tile_offset[9]), p.tile.end()); };
  CHECK((row(plan.value()) == std::vector<std::uint32_t>{0, 64, 128, 192}));
  CHECK((row(forced.value()) == std::vector<std::uint32_t>{0, 64, 512, 576}));
}

TEST("a-shape is its definition, in no more tiles than needed") {
  for (std::uint32_t n : {1u, 64u, 200u, 513u})
    for (std::uint32_t window : {0u, 70u, 400u})
      for (const std::vector<double>& values : {std::vector<double>{1, 1}, {16, 100}, {100, 64}, {64, 65}, {200, 10}, {1000, 1000}}) {
        Head head(n, 1, window);
        const auto result = plan_of(a_shape_entry(), values, head.input);
        const PrefillPlan& plan = result.value();
        const std::vector<std::uint8_t> mask = attended(plan, head.input.visibility);
        std::vector<std::uint8_t> expected(mask.size());
        for (std::uint32_t i = 0; i < n; ++i)
          for (std::uint32_t j = 0; j <= i; ++j)
            expected[std::size_t{i} * n + j] = head.input.visibility.sees(i, j) && (j < values[0] || i - j < values[1]);
        CHECK(mask == expected);
        CHECK_EQUAL(plan.token_cells, count(expected));
        for (std::uint32_t m = 0; m < plan.row_blocks(); ++m)
          for (std::size_t x = plan.tile_offset[m]; x < plan.tile_offset[m + 1]; ++x) {
            CHECK(plan.tile[x] % block == 0 && (x == plan.tile_offset[m] || plan.tile[x - 1] < plan.tile[x]));
            bool used = false;
            for (std::uint32_t i = m * block; i < std::min(n, (m + 1) * block); ++i)
              for (std::uint32_t j = plan.tile[x]; j < std::min(plan.tile[x] + block, i + 1); ++j) used = used || expected[std::size_t{i} * n + j];
            CHECK(used);
          }
        CHECK(plan.column.empty());
      }
}

TEST("settings that keep everything keep every visible pair") {
  for (std::uint32_t n : {1u, 64u, 333u})
    for (std::uint32_t window : {0u, 100u}) {
      Head head(n, 4, window);
      const double cells = causal_cells(n, {window}), big = 1 << 20;
      const std::vector<std::pair<PolicyEntry, std::vector<double>>> all = {{dense_entry(), {}},
                                                                           {a_shape_entry(), {1, big}},
                                                                           {a_shape_entry(), {big, 1}},
                                                                           {vertical_slash_entry(), {1, big, 64, 30, 100}},
                                                                           {vertical_slash_entry(), {big, 1, 64, 30, 100}},
                                                                           {block_sparse_entry(), {16384, 0}}};
      for (const auto& [entry, values] : all) {
        const auto plan = plan_of(entry, values, head.input);
        CHECK(plan.ok());
        CHECK_EQUAL(plan.value().token_cells, cells);
        CHECK_EQUAL(count(attended(plan.value(), {window})), cells);
        if (!std::isnan(plan.value().estimated_recall)) CHECK_NEAR(plan.value().estimated_recall, 1, 1e-6, 0);
      }
    }
  Head empty(1, 4);
  empty.input.prompt_tokens = 0;
  for (const PolicyEntry& entry : {dense_entry(), a_shape_entry(), vertical_slash_entry(), block_sparse_entry()}) {
    std::vector<double> values;
    for (const Parameter& p : entry.descriptor.parameters) values.push_back(p.fallback);
    const auto plan = plan_of(entry, values, empty.input);
    CHECK(plan.ok() && plan.value().row_blocks() == 0 && plan.value().tile.empty());
  }
}

TEST("what is missing or not a number is refused, by name") {
  const auto code = [](const PolicyEntry& entry, std::vector<double> values, const LayerInput& input, const char* word) {
    const auto result = plan_of(entry, std::move(values), input);
    CHECK(!result.ok() && result.error().message.find(word) != std::string::npos);
    return result.ok() ? std::string() : result.error().code;
  };
  {
    Head head(300, 6, 0, 236);  // the last 64 queries only
    CHECK(plan_of(vertical_slash_entry(), {30, 100, 64, 30, 100}, head.input).ok());
    CHECK(code(vertical_slash_entry(), {30, 100, 65, 30, 100}, head.input, "position 235") == "E_POLICY_QUERIES");
    CHECK(code(block_sparse_entry(), {3, 0}, head.input, "layer 2, head 0") == "E_POLICY_QUERIES");
    CHECK(plan_of(a_shape_entry(), {16, 16}, head.input).ok());
    head.pool();
    CHECK(plan_of(block_sparse_entry(), {3, 0}, head.input).ok());
  }
  {
    Head head(300, 6);
    head.keys[0].count = 299;
    CHECK(code(vertical_slash_entry(), {30, 100, 64, 30, 100}, head.input, "300 prompt keys") == "E_POLICY_KEYS");
    CHECK(code(block_sparse_entry(), {3, 0}, head.input, "300 prompt keys") == "E_POLICY_KEYS");
  }
  {
    Head head(300, 6);
    head.k.data[40 * 16] = std::numeric_limits<float>::quiet_NaN();
    CHECK(code(vertical_slash_entry(), {30, 100, 64, 30, 100}, head.input, "not finite") == "E_POLICY_NAN");
    CHECK(code(block_sparse_entry(), {3, 0}, head.input, "not finite") == "E_POLICY_NAN");
  }
}

TEST("descriptors: every preset has a value in range for every parameter, the first being the default") {
  for (const PolicyEntry& entry : {dense_entry(), a_shape_entry(), vertical_slash_entry(), block_sparse_entry()}) {
    const PolicyDescriptor& d = entry.descriptor;
    CHECK(entry.prefill != nullptr && entry.retention == nullptr && entry.retrieval == nullptr && d.family == Family::prefill);
    CHECK(!d.presets.empty());
    for (const Preset& preset : d.presets) {
      CHECK_EQUAL(preset.values.size(), d.parameters.size());
      CHECK(std::string(preset.source).size() > 5);
      for (std::size_t i = 0; i < preset.values.size(); ++i)
        CHECK(preset.values[i] >= d.parameters[i].minimum && preset.values[i] <= d.parameters[i].maximum);
    }
    for (std::size_t i = 0; i < d.parameters.size(); ++i) {
      CHECK_EQUAL(d.presets[0].values[i], d.parameters[i].fallback);
      CHECK(!d.parameters[i].logarithmic || d.parameters[i].minimum > 0);
      CHECK(std::string(d.parameters[i].doc).size() > 10);
    }
  }
}
