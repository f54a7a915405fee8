// Builds a HeadTrace row by row; keeps every span within what its row sees.
#pragma once
#include "core/replay/spans.h"
#include "core/replay/trace.h"

namespace attnscope {

class TraceWriter {
 public:
  TraceWriter(std::uint32_t tokens, std::size_t rows, Visibility visibility);

  /// A row the policy leaves alone.
  void dense(std::uint32_t row);
  /// Kept and forced keys, ascending and disjoint, clipped here to what the row sees; forced also to what is kept.
  void row(std::uint32_t row, std::span<const KeySpan> kept, std::span<const KeySpan> forced);
  /// Kept keys as they are, all visible, with one log-weight each (or none: all 0).
  void weighted(std::uint32_t row, std::span<const KeySpan> kept, std::span<const KeySpan> forced, std::span<const float> log_weight);

  std::size_t size() const { return trace_.rows.size(); }
  /// Forgets all rows after the first `rows`.
  void rewind(std::size_t rows);
  /// Kept keys of row r so far.
  std::span<const KeySpan> kept(std::size_t r) const { return trace_.kept(r); }

  HeadTrace take();

 private:
  void close_row(std::uint32_t row, bool dense);
  HeadTrace trace_;
  Visibility visibility_;
  std::size_t expected_rows_;
  bool weights_ = false;
};

}  // namespace attnscope
