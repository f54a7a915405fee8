#include "core/replay/metrics.h"
#include "core/replay/spans.h"

namespace attnscope {
namespace key_fates {

/// Turns begins (+1) and ends (-1) into how many rows cover each key.
void accumulate(std::vector<std::int32_t>& steps) {
  for (std::size_t k = 1; k < steps.size(); ++k) steps[k] += steps[k - 1];
}

void mark(std::vector<std::int32_t>& steps, KeySpan s) { ++steps[s.begin], --steps[s.end]; }

}  // namespace key_fates

KeyFate key_fate(const Strip& strip, const HeadTrace& trace, Visibility visibility) {
  const std::size_t tokens = trace.tokens;
  std::vector<std::int32_t> visible(tokens + 1), kept(tokens + 1), forced(tokens + 1);
  std::vector<double> missed(tokens);
  for (std::size_t r = 0; r < trace.rows.size(); ++r) {
    if (trace.dense[r]) continue;
    const KeySpan sees{visibility.first_key(trace.rows[r]), trace.rows[r] + 1};
    key_fates::mark(visible, sees);
    for (const KeySpan& s : trace.kept(r)) key_fates::mark(kept, s);
    for (const KeySpan& s : trace.forced_of(r)) key_fates::mark(forced, s);
    const float* p = strip.row(r);
    for_gaps(trace.kept(r), sees.begin, sees.end, [&](KeySpan gap) {
      for (std::uint32_t k = gap.begin; k < gap.end; ++k) missed[k] += p[k];
    });
  }
  for (auto* steps : {&visible, &kept, &forced}) key_fates::accumulate(*steps);

  KeyFate fate;
  for (auto* column : {&fate.kept, &fate.forced, &fate.missed}) column->assign(tokens, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t k = 0; k < tokens; ++k) {
    if (visible[k] == 0) continue;
    const double rows = visible[k];
    fate.kept[k] = static_cast<float>(kept[k] / rows);
    fate.forced[k] = static_cast<float>(forced[k] / rows);
    fate.missed[k] = static_cast<float>(missed[k] / rows);
  }
  return fate;
}

}  // namespace attnscope
