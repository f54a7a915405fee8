// Vertical-slash as MInference computes it: scores from a strip of the last queries, the ranking of columns and distances,
// and the conversion of both to 64 x 64 tiles and single columns. Each part is callable on its own.
#pragma once
#include <span>

#include "core/policy/policy.h"

namespace attnscope::vertical_slash {

/// What one head keeps of a prompt: max(v, force_v) columns and max(s, 50) distances, as the published code, neither more than
/// there are tokens; and how many of both are forced. The policy, the timing harness and predicted times all count by this.
struct Kept {
  std::uint32_t columns = 0, distances = 0, forced_columns = 0, forced_distances = 0;
};
Kept kept(const PolicyConfig& config, std::uint32_t tokens);

/// Appends to a started plan, for every row block of 64 queries, its tiles and the columns outside them.
/// `columns` ascending, `distances` descending, both distinct and below plan.tokens.
///
/// Over 64 rows a distance t touches the 64 keys [64 m - t, 64 m - t + 64): one tile, not aligned in the keys. Walking from
/// far to near one range is kept open: a tile that ends more than 64 past the range's end closes it and opens the next; one
/// that ends past it extends it by 64 keys, up to 63 more than needed; others lie inside. A range is cut into tiles
/// from its start on. Columns inside a range are dropped, so no pair is computed twice.
/// Without distance 0 the published kernel loses the columns behind the last range; here they stay.
void convert_indices(std::span<const std::uint32_t> columns, std::span<const std::uint32_t> distances, PrefillPlan& plan);

/// Attention of the last prompt queries, row after row from the end, computed as it is asked for: rows do not depend on
/// how many are asked for, so a longer strip only adds to a shorter one. Holds 4 * N bytes a row.
class StripRows {
 public:
  /// Makes sure of the last `count` rows. E_POLICY_QUERIES, E_POLICY_KEYS or E_POLICY_NAN where that cannot be.
  Status extend(const LayerInput& input, std::uint32_t head, std::uint32_t count);
  /// Probabilities of query N - 1 - from_end over keys [0, N): zero where not visible.
  const float* row(std::size_t from_end) const { return rows_[from_end].data(); }
  std::size_t size() const { return rows_.size(); }

 private:
  std::vector<std::vector<float>> rows_;
};

/// Raw sums over the last `rows` rows, [N] each: by column, and by distance (entries left of column 0 count 0). Sums in
/// fp64, kept in fp32.
struct Scores {
  std::vector<float> column, distance;
};
Scores sum_strip(const StripRows& strip, std::uint32_t rows, std::uint32_t tokens);

/// Indices by falling score, ties to the lowest index.
std::vector<std::uint32_t> rank(std::span<const float> scores);

/// The first `count` of a ranking with indices [0, forced) put in front; 1 where kept, [ranking.size()]. Where forced >=
/// count the lowest indices win: the published code leaves that choice to how its top-k breaks ties.
std::vector<std::uint8_t> keep(std::span<const std::uint32_t> ranking, std::uint32_t count, std::uint32_t forced);

}  // namespace attnscope::vertical_slash
