// What a policy did to the rows that are evaluated: the one form that all three engines write, and the only input of
// metrics, costs and views.
#pragma once
#include <cmath>
#include <limits>
#include <vector>

#include "core/policy/policy.h"

namespace attnscope {

/// How the sequence was fed. Retention and retrieval act on rows >= context; earlier rows are dense (one shot) or, with
/// chunk > 0, see the cache that the chunks before theirs left behind (retention only).
struct Schedule {
  std::uint32_t context = 0;   // tokens fed as prompt before the policy acts on queries
  std::uint32_t chunk = 0;     // tokens a chunk of the prompt; 0: in one piece
  std::uint32_t first_chunk = 0;  // tokens of the first chunk where it differs (LagKV's demo: S + 2L); 0: like the others
};

/// Work and memory of one head under a policy. NaN: does not apply.
struct Cost {
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();
  // prefill, in cells (query, key) of the whole prompt
  double causal_cells = none;      // visible pairs
  double token_cells = none;       // pairs the policy selected
  double attended_cells = none;    // visible pairs inside what is computed
  double kernel_cells = none;      // cells a 64 x 64 kernel computes: whole tiles, columns padded to 64
  double kernel_tiles = none, kernel_column_tiles = none;  // of these, tiles of consecutive keys and of gathered columns
  double mean_run = none;
  double estimated_recall = none;
  double index_bytes = none;
  // retention, in tokens of one kv head
  double resident_tokens = none;   // at the end
  double mean_resident = none, peak_resident = none;  // over steps; the peak includes the transient copy
  // retrieval, means over evaluated rows
  double read_keys = none, scanned = none, draws = none, expected = none;
  double device_bytes = none, host_bytes = none, link_bytes = none;
};

/// One query head. Rows on which the policy does not act (dense layers, rows before the context) are marked dense: all
/// visible keys kept.
struct HeadTrace {
  std::uint32_t tokens = 0;
  std::vector<std::uint32_t> rows;           // query positions, ascending
  std::vector<std::uint8_t> dense;           // [rows]
  std::vector<std::uint64_t> offset;         // [rows + 1] into spans
  std::vector<KeySpan> spans;                // kept keys: ascending, disjoint, all visible to their row
  std::vector<std::uint64_t> forced_offset;  // [rows + 1]
  std::vector<KeySpan> forced;               // the part of them that was kept whatever the scores say
  std::vector<std::uint64_t> weight_offset;  // [rows + 1] into log_weight, or empty: all weights 0
  std::vector<float> log_weight;             // one for every kept key of the row, in span order
  Cost cost;

  std::span<const KeySpan> kept(std::size_t r) const { return std::span(spans).subspan(offset[r], offset[r + 1] - offset[r]); }
  std::span<const KeySpan> forced_of(std::size_t r) const {
    return std::span(forced).subspan(forced_offset[r], forced_offset[r + 1] - forced_offset[r]);
  }
  std::span<const float> weights(std::size_t r) const {
    return weight_offset.empty() ? std::span<const float>() : std::span(log_weight).subspan(weight_offset[r], weight_offset[r + 1] - weight_offset[r]);
  }
};

/// Replays a policy for one query head over `rows` (ascending positions whose queries are in the input). Prefill
/// policies act on prompt rows, the others on rows >= schedule.context. `plan` receives the prefill plan if not null.
/// `future`: attention mass each key receives from the evaluated rows of this head, for yardsticks that look ahead.
Result<HeadTrace> replay(const PolicyChoice& policy, const LayerInput& input, std::uint32_t head, std::span<const std::uint32_t> rows,
                         const Schedule& schedule, double bytes_per_element, std::span<const double> future = {},
                         PrefillPlan* plan = nullptr);

/// The trace of a prefill plan: also for plans that came from elsewhere (another prompt's indices).
HeadTrace trace_plan(const PrefillPlan& plan, const LayerInput& input, std::span<const std::uint32_t> rows);

}  // namespace attnscope
