#include "core/replay/spans.h"

namespace attnscope {

std::uint64_t count_keys(std::span<const KeySpan> spans) {
  std::uint64_t keys = 0;
  for (const KeySpan& s : spans) keys += s.end - s.begin;
  return keys;
}

std::span<const KeySpan> spans_touching(std::span<const KeySpan> spans, std::uint32_t begin, std::uint32_t end) {
  const auto first = std::partition_point(spans.begin(), spans.end(), [&](const KeySpan& s) { return s.end <= begin; });
  const auto last = std::partition_point(first, spans.end(), [&](const KeySpan& s) { return s.begin < end; });
  return {first, last};
}

void clip_spans(std::span<const KeySpan> spans, std::uint32_t begin, std::uint32_t end, SpanList& out) {
  if (begin >= end) return;
  const auto inside = spans_touching(spans, begin, end);
  if (inside.empty()) return;
  const std::size_t at = out.size();
  out.insert(out.end(), inside.begin(), inside.end());
  out[at].begin = std::max(out[at].begin, begin);
  out.back().end = std::min(out.back().end, end);
}

void intersect_spans(std::span<const KeySpan> a, std::span<const KeySpan> b, SpanList& out) {
  // The shorter list is walked, the longer one searched: forced spans are few, kept ones may be thousands.
  if (a.size() > b.size()) std::swap(a, b);
  for (const KeySpan& s : a) clip_spans(b, s.begin, s.end, out);
}

}  // namespace attnscope
