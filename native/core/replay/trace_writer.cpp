#include "core/replay/trace_writer.h"

namespace attnscope {

TraceWriter::TraceWriter(std::uint32_t tokens, std::size_t rows, Visibility visibility) : visibility_(visibility), expected_rows_(rows) {
  trace_.tokens = tokens;
  trace_.rows.reserve(rows);
  trace_.offset = trace_.forced_offset = trace_.weight_offset = {0};
}

void TraceWriter::close_row(std::uint32_t row, bool dense) {
  trace_.rows.push_back(row);
  trace_.dense.push_back(dense);
  trace_.offset.push_back(trace_.spans.size());
  trace_.forced_offset.push_back(trace_.forced.size());
  trace_.weight_offset.push_back(trace_.log_weight.size());
}

void TraceWriter::dense(std::uint32_t row) {
  trace_.spans.push_back({visibility_.first_key(row), row + 1});
  close_row(row, true);
}

void TraceWriter::row(std::uint32_t row, std::span<const KeySpan> kept, std::span<const KeySpan> forced) {
  const std::size_t begin = trace_.spans.size();
  // Scattered keys take thousands of spans a row: room for as many in the rows to come saves copying them at every doubling.
  if (begin + kept.size() > trace_.spans.capacity())
    trace_.spans.reserve(begin + kept.size() * std::max<std::size_t>(1, expected_rows_ - std::min(expected_rows_, size())));
  clip_spans(kept, visibility_.first_key(row), row + 1, trace_.spans);
  intersect_spans(forced, std::span(trace_.spans).subspan(begin), trace_.forced);
  close_row(row, false);
}

void TraceWriter::weighted(std::uint32_t row, std::span<const KeySpan> kept, std::span<const KeySpan> forced,
                           std::span<const float> log_weight) {
  trace_.spans.insert(trace_.spans.end(), kept.begin(), kept.end());
  trace_.forced.insert(trace_.forced.end(), forced.begin(), forced.end());
  trace_.log_weight.insert(trace_.log_weight.end(), log_weight.begin(), log_weight.end());
  weights_ = weights_ || !log_weight.empty();
  close_row(row, false);
}

void TraceWriter::rewind(std::size_t rows) {
  trace_.rows.resize(rows);
  trace_.dense.resize(rows);
  trace_.offset.resize(rows + 1);
  trace_.forced_offset.resize(rows + 1);
  trace_.weight_offset.resize(rows + 1);
  trace_.spans.resize(trace_.offset[rows]);
  trace_.forced.resize(trace_.forced_offset[rows]);
  trace_.log_weight.resize(trace_.weight_offset[rows]);
}

HeadTrace TraceWriter::take() {
  if (!weights_) trace_.weight_offset.clear();
  return std::move(trace_);
}

}  // namespace attnscope
