// What a policy keeps by the meaning of tokens: shares by token class, and needles.
#pragma once
#include <array>

#include "core/replay/metrics.h"

namespace attnscope {

/// Means over the rows that were added.
class KeptText {
 public:
  explicit KeptText(const SequenceInfo& info);

  /// A row that sees keys [first, end) and keeps `kept` of them.
  void add(std::span<const KeySpan> kept, std::uint32_t first, std::uint32_t end);

  /// Writes kept_<class>, needle_kept, needle_all_kept; leaves NaN what no row could see.
  void write(Metrics& metrics) const;

 private:
  using Counts = std::array<std::uint32_t, kTokenClasses + 1>;  // one more, so that a position is one cache half-line
  void count(std::uint32_t begin, std::uint32_t end, Counts& counts) const;

  const SequenceInfo& info_;
  std::vector<Counts> before_;  // [tokens + 1] tokens of each class before a position
  std::array<double, kTokenClasses> share_sum_{};
  std::array<double, kTokenClasses> share_rows_{};
  double needle_sum_ = 0, needle_rows_ = 0, whole_ = 0, whole_pairs_ = 0;
};

}  // namespace attnscope
