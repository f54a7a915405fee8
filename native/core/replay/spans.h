// Sets of keys as ascending, disjoint runs.
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include "core/policy/input.h"

namespace attnscope {

using SpanList = std::vector<KeySpan>;

/// Adds a run that begins at or after the end of the last one; runs that touch become one. `floor` is the index before
/// which the list belongs to someone else.
inline void append_span(SpanList& list, KeySpan s, std::size_t floor = 0) {
  if (s.begin >= s.end) return;
  if (list.size() > floor && list.back().end >= s.begin)
    list.back().end = std::max(list.back().end, s.end);
  else
    list.push_back(s);
}

std::uint64_t count_keys(std::span<const KeySpan> spans);

/// The spans that reach into [begin, end); the outer two may stick out.
std::span<const KeySpan> spans_touching(std::span<const KeySpan> spans, std::uint32_t begin, std::uint32_t end);

/// Appends the part of `spans` inside [begin, end).
void clip_spans(std::span<const KeySpan> spans, std::uint32_t begin, std::uint32_t end, SpanList& out);

/// Appends the keys that are in both.
void intersect_spans(std::span<const KeySpan> a, std::span<const KeySpan> b, SpanList& out);

/// Calls visit(KeySpan) for the runs of [begin, end) that `spans`, all inside it, leave out.
template <class Visit>
void for_gaps(std::span<const KeySpan> spans, std::uint32_t begin, std::uint32_t end, Visit visit) {
  for (const KeySpan& s : spans) {
    if (begin < s.begin) visit(KeySpan{begin, s.begin});
    begin = s.end;
  }
  if (begin < end) visit(KeySpan{begin, end});
}

}  // namespace attnscope
