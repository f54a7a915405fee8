#include "core/replay/row_mass.h"

#include <algorithm>

#include "core/replay/span_sums.h"
#include "core/replay/spans.h"

namespace attnscope {

RowMass row_mass(const Strip& strip, const HeadTrace& trace, std::size_t r, Visibility visibility, std::uint32_t sink_tokens) {
  const std::uint32_t row = trace.rows[r], first = visibility.first_key(row), end = row + 1;
  const float* p = strip.row(r);
  const auto kept = trace.kept(r);
  const auto weights = trace.weights(r);
  RowMass mass;
  mass.visible = end - first;
  mass.kept_keys = static_cast<std::uint32_t>(count_keys(kept));
  mass.dense = trace.dense[r] != 0;
  mass.covered = !mass.dense && mass.kept_keys == mass.visible && std::all_of(weights.begin(), weights.end(), [](float w) { return w == 0; });
  mass.total = strip.total(r);

  // The side with fewer keys is read; the other follows exactly enough from fp64 sums.
  if (2 * mass.kept_keys > mass.visible) {
    for_gaps(kept, first, end, [&](KeySpan gap) { mass.missed += sum_run(p, gap.begin, gap.end); });
    mass.kept = mass.total - mass.missed;
  } else {
    for (const KeySpan& s : kept) mass.kept += sum_run(p, s.begin, s.end);
    mass.missed = mass.total - mass.kept;
  }

  const std::uint32_t sinks = std::min(sink_tokens, end);
  double kept_sinks = 0;
  for (const KeySpan& s : kept) {
    if (s.begin >= sinks) break;
    kept_sinks += sum_run(p, s.begin, std::min(s.end, sinks));
  }
  mass.tail_total = mass.total - sum_run(p, 0, sinks);
  // What is missed outside the sinks, subtracted from all: keeping everything there gives exactly 1.
  const double missed_sinks = sum_run(p, 0, sinks) - kept_sinks;
  mass.tail_kept = mass.tail_total - (mass.missed - missed_sinks);
  return mass;
}

}  // namespace attnscope
