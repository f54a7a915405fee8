// Tables of what pass 2 measures: pyramid, rows and marginals head by head, heads and thumbs when the layer ends.
#pragma once
#include <span>

#include "host/reduced_head.h"
#include "host/table_emitter.h"

namespace attnscope {

class HeadTables {
 public:
  /// `lse`: [heads][lse_stride], one value a row of the segment, which is `rows`.
  HeadTables(TableEmitter& emitter, TokenRange rows, const float* lse, std::size_t lse_stride);

  /// Heads that follow those before.
  Status add(std::span<const ReducedHead> heads);
  Status finish();

 private:
  Status emit_pyramid(const ReducedHead& head);
  Status emit_rows(std::span<const ReducedHead> heads);
  Status emit_marginals(std::span<const ReducedHead> heads);

  TableEmitter& emitter_;
  TokenRange rows_;
  const float* lse_;
  std::size_t lse_stride_;
  std::vector<HeadSummary> summaries_;
  std::vector<std::uint32_t> thumb_cells_;
  std::vector<float> thumb_mean_, thumb_max_;
};

}  // namespace attnscope
