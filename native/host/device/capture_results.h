// A layer's results as they came from a device, turned into its tables.
#pragma once
#include "host/device/capture_layout.h"
#include "host/head_tables.h"
#include "host/kv_cache.h"

namespace attnscope {

class LayerResults {
 public:
  /// `lse`: [heads][lse_stride], a value a row. `parts` is memory laid out as LayerParts; both stay as they are until finish().
  LayerResults(EmitContext& context, std::uint32_t layer, const CaptureRows& rows, const std::byte* parts, const float* lse, std::size_t lse_stride);

  /// Tables of the job's heads; jobs in order. `results` is laid out as the job says.
  Status add(const CaptureJob& job, const std::byte* results);
  /// Tables of all heads and of keys and values. `expansions` is memory for fp32 copies of these, reused between layers.
  Status finish(std::vector<KvExpansion>& expansions);

  std::uint32_t layer() const { return emitter_.layer(); }

 private:
  Status emit_statistics();
  Status emit_queries(const HeadRun& run, const std::byte* results);
  Status emit_pooled(const HeadRun& run, std::uint32_t head, const std::byte* results);
  Result<std::vector<KvView>> views(std::vector<KvExpansion>& expansions);
  TokenRange range() const { return {rows_.first, rows_.end()}; }

  TableEmitter emitter_;
  CaptureRows rows_;
  LayerParts at_;
  const std::byte* parts_;
  HeadTables tables_;
  bool begun_ = false;
};

}  // namespace attnscope
