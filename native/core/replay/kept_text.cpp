#include "core/replay/kept_text.h"

#include "core/replay/spans.h"

namespace attnscope {

KeptText::KeptText(const SequenceInfo& info) : info_(info) {
  if (info.token_class.empty()) return;
  before_.resize(info.token_class.size() + 1);
  for (std::size_t i = 0; i < info.token_class.size(); ++i) {
    before_[i + 1] = before_[i];
    ++before_[i + 1][std::min<std::size_t>(info.token_class[i], kTokenClasses - 1)];
  }
}

void KeptText::count(std::uint32_t begin, std::uint32_t end, Counts& counts) const {
  if (end - begin < 8) {  // scattered keys: reading one byte each beats two lines of the table
    for (; begin < end; ++begin) ++counts[std::min<std::size_t>(info_.token_class[begin], kTokenClasses - 1)];
    return;
  }
  for (std::size_t c = 0; c < kTokenClasses; ++c) counts[c] += before_[end][c] - before_[begin][c];
}

void KeptText::add(std::span<const KeySpan> kept, std::uint32_t first, std::uint32_t end) {
  if (!before_.empty()) {
    Counts visible{}, held{};
    count(first, end, visible);
    for (const KeySpan& s : kept) count(s.begin, s.end, held);
    for (std::size_t c = 0; c < kTokenClasses; ++c) {
      if (visible[c] == 0) continue;
      share_sum_[c] += static_cast<double>(held[c]) / visible[c];
      share_rows_[c] += 1;
    }
  }

  std::uint64_t seen = 0, held = 0;
  for (const KeySpan& needle : info_.needles) {
    const std::uint32_t begin = std::max(needle.begin, first), stop = std::min(needle.end, end);
    if (begin >= stop) continue;
    std::uint64_t here = 0;
    for (const KeySpan& s : spans_touching(kept, begin, stop)) here += std::min(s.end, stop) - std::max(s.begin, begin);
    seen += stop - begin;
    held += here;
    if (begin != needle.begin || stop != needle.end) continue;
    whole_pairs_ += 1;
    whole_ += here == stop - begin;
  }
  if (seen == 0) return;
  needle_sum_ += static_cast<double>(held) / static_cast<double>(seen);
  needle_rows_ += 1;
}

void KeptText::write(Metrics& metrics) const {
  for (std::size_t c = 0; c < kTokenClasses; ++c)
    if (share_rows_[c] > 0)
      metrics.values[static_cast<std::size_t>(Metric::kept_special) + c] = share_sum_[c] / share_rows_[c];
  if (needle_rows_ > 0) metrics[Metric::needle_kept] = needle_sum_ / needle_rows_;
  if (whole_pairs_ > 0) metrics[Metric::needle_all_kept] = whole_ / whole_pairs_;
}

}  // namespace attnscope
