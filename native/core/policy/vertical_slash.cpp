#include "core/policy/vertical_slash.h"

#include <algorithm>
#include <string>

#include "core/block_product.h"
#include "core/policy/plan_builder.h"
#include "core/simd.h"

namespace attnscope {
namespace vertical_slash {
namespace {

enum Index { index_v, index_s, index_last_q, index_force_v, index_force_s };

constexpr std::uint32_t least_distances = 50;  // max(s, 50) in the published code

constexpr const char* searched_in_code = "microsoft/MInference minference/modules/minference_forward.py, search_pattern";
constexpr const char* paper_table = "MInference paper (Jiang et al. 2024), table of the search space; recalled, not checked at the source";

PolicyDescriptor descriptor() {
  constexpr double longest = 1 << 20;  // 1M tokens, the longest prompts published
  constexpr std::uint32_t published = 131072;
  return {
      .id = "vertical-slash",
      .title = "Vertical-slash (MInference)",
      .family = Family::prefill,
      .unit = DecisionUnit::query_head,
      .granularity = "column and distance, computed as unaligned 64 x 64 tiles + columns",
      .phase = "prefill",
      .frees = Frees::nothing,
      .query_aware = QueryAware::prompt,
      .doc = "Keeps the v columns and the s distances (query - key) with the most attention of the last queries, for all rows.",
      .source = "MInference 1.0 (Jiang et al. 2024); microsoft/MInference csrc/vertical_slash_index.cu, minference/modules/minference_forward.py",
      .kernels = {{PolicyKernel::When::prefill, "vertical-slash", "estimate"}, {PolicyKernel::When::prefill, "vertical-slash", "select"},
                  {PolicyKernel::When::prefill, "vertical-slash", "convert"}, {PolicyKernel::When::prefill, "vertical-slash", "attention"},
                  {PolicyKernel::When::step, "decode", "attention"}},
      .parameters =
          {{.name = "v", .unit = "tokens", .minimum = 1, .maximum = longest, .fallback = 1000,
            .doc = "Columns kept, forced ones included; at least force_v, at most N.", .logarithmic = true, .scales = true},
           {.name = "s", .unit = "tokens", .minimum = 1, .maximum = longest, .fallback = 6096,
            .doc = "Distances kept, forced ones included; at least 50, at most N.", .logarithmic = true, .scales = true},
           {.name = "last_q", .unit = "queries", .minimum = 1, .maximum = 512, .fallback = 64,
            .doc = "How many of the last prompt queries the scores are summed over.", .logarithmic = true},
           {.name = "force_v", .unit = "tokens", .minimum = 0, .maximum = 4096, .fallback = 30,
            .doc = "First columns that are always kept, inside v."},
           {.name = "force_s", .unit = "tokens", .minimum = 0, .maximum = 4096, .fallback = 100,
            .doc = "Nearest distances that are always kept, inside s; where s is smaller, the s nearest are."}},
      .presets = {
          {"default", "microsoft/MInference minference/modules/minference_forward.py: heads without an entry, and those where block-sparse won the search",
           {1000, 6096, 64, 30, 100}, published},
          {"paper-30-2048", paper_table, {30, 2048, 64, 30, 100}, published},
          {"paper-100-1800", paper_table, {100, 1800, 64, 30, 100}, published},
          {"paper-500-1500", paper_table, {500, 1500, 64, 30, 100}, published},
          {"paper-3000-200", paper_table, {3000, 200, 64, 30, 100}, published},
          {"search-30-800", searched_in_code, {30, 800, 64, 30, 100}, published},
          {"search-100-750", searched_in_code, {100, 750, 64, 30, 100}, published},
          {"search-500-700", searched_in_code, {500, 700, 64, 30, 100}, published},
          {"search-3500-100", searched_in_code, {3500, 100, 64, 30, 100}, published},
          {"llama-3.1-8b-v2", "microsoft/MInference minference/configs, the file registered for Llama-3.1-8B (_v2): all 1,024 heads",
           {512, 2048, 64, 30, 100}, published},
      }};
}

/// What does not depend on v, s and the forced entries.
struct Ranked {
  std::vector<std::uint32_t> columns, distances;
};

/// Mean over the strip's rows of the mass that columns or distances keep, pair by pair. Both masks are floats, distances in
/// reverse, so that a row is read once from left to right whatever is kept.
double kept_mass(const StripRows& strip, std::uint32_t rows, std::span<const std::uint8_t> keeps_column, std::span<const std::uint8_t> keeps_distance) {
  const std::size_t tokens = keeps_column.size(), padded = round_up(tokens, simd::lanes);
  std::vector<float> column(padded), distance(padded + rows);
  std::copy(keeps_column.begin(), keeps_column.end(), column.begin());
  std::copy(keeps_distance.rbegin(), keeps_distance.rend(), distance.begin());
  double mass = 0;
  for (std::uint32_t r = 0; r < rows; ++r) {
    const float* p = strip.row(r);
    const float* of_row = distance.data() + r;  // query N - 1 - r: the distance to key j lies at r + j
    simd::f32x8 sum = simd::splat(0.0f);
    for (std::size_t j = 0; j < padded; j += simd::lanes)
      sum += simd::load(p + j) * simd::max(simd::load(column.data() + j), simd::load(of_row + j));
    mass += static_cast<double>(simd::horizontal_sum(sum));
  }
  return mass / rows;
}

class Policy : public PrefillPolicy {
 public:
  explicit Policy(const PolicyConfig& config) : config_(config), last_q_(config.count(index_last_q)) {}

  Status plan(const LayerInput& input, std::uint32_t head, PrefillPlan& plan) const override {
    const std::uint32_t tokens = input.prompt_tokens;
    if (tokens == 0) {
      start_plan(plan, 0);
      return success();
    }
    const std::uint32_t rows = std::min(last_q_, tokens);
    const std::string head_key = "vertical-slash/l" + std::to_string(input.layer) + "/h" + std::to_string(head) + "/n" + std::to_string(tokens);
    // Rows are added to the strip as a larger last_q asks for them; those that are there never change.
    const auto& strip = input.memo->get<std::shared_ptr<StripRows>>(head_key + "/strip", [] { return std::make_shared<StripRows>(); });
    if (Status status = strip->extend(input, head, rows); !status) return status;
    const Ranked& ranked = input.memo->get<Ranked>(head_key + "/q" + std::to_string(rows), [&] {
      const Scores scores = sum_strip(*strip, rows, tokens);
      return Ranked{rank(scores.column), rank(scores.distance)};
    });

    const Kept count = kept(config_, tokens);
    const std::vector<std::uint8_t> keeps_column = keep(ranked.columns, count.columns, count.forced_columns);
    const std::vector<std::uint8_t> keeps_distance = keep(ranked.distances, count.distances, count.forced_distances);
    std::vector<std::uint32_t> columns, distances;
    columns.reserve(count.columns);
    distances.reserve(count.distances);
    for (std::uint32_t j = 0; j < tokens; ++j)
      if (keeps_column[j]) columns.push_back(j);
    for (std::uint32_t t = tokens; t-- > 0;)
      if (keeps_distance[t]) distances.push_back(t);

    const double estimate = kept_mass(*strip, rows, keeps_column, keeps_distance);
    plan = plan_from_vertical_slash(tokens, std::move(columns), std::move(distances), input.visibility);
    plan.estimated_recall = estimate;
    plan.forced_columns = count.forced_columns;
    plan.forced_distances = count.forced_distances;
    return success();
  }

 private:
  PolicyConfig config_;
  std::uint32_t last_q_;
};

}  // namespace

Kept kept(const PolicyConfig& config, std::uint32_t tokens) {
  const std::uint32_t columns = std::min(tokens, std::max(config.count(index_v), config.count(index_force_v)));
  const std::uint32_t distances = std::min(tokens, std::max(config.count(index_s), least_distances));
  return {columns, distances, std::min(config.count(index_force_v), columns), std::min(config.count(index_force_s), distances)};
}

}  // namespace vertical_slash

PolicyEntry vertical_slash_entry() {
  return {.descriptor = vertical_slash::descriptor(),
          .prefill = [](const PolicyConfig& config) -> Result<std::unique_ptr<PrefillPolicy>> {
            return std::unique_ptr<PrefillPolicy>(std::make_unique<vertical_slash::Policy>(config));
          }};
}

}  // namespace attnscope
