// How much of a row's attention is on the keys that a policy keeps.
#pragma once
#include "core/replay/strip.h"
#include "core/replay/trace.h"

namespace attnscope {

/// Masses are sums of p of the strip, in fp64; shares are taken of `total`, so that keeping all gives exactly 1.
struct RowMass {
  std::uint32_t visible = 0, kept_keys = 0;
  bool dense = false;    // the policy leaves the row alone
  bool covered = false;  // it acts, and still keeps (unweighted) everything the row sees
  double total = 0, kept = 0, missed = 0;
  double tail_total = 0, tail_kept = 0;  // without the sinks

  double recall() const { return 1 - missed / total; }
  /// NaN where less than 1e-6 of the row lies outside the sinks: a share of nothing.
  double recall_no_sinks() const { return tail_total < 1e-6 * total ? Cost::none : tail_kept / tail_total; }
};

RowMass row_mass(const Strip& strip, const HeadTrace& trace, std::size_t r, Visibility visibility, std::uint32_t sink_tokens);

}  // namespace attnscope
