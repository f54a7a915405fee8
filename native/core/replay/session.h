// One head of a capture, ready to be replayed under any policy: holds its vectors and its strip, answers in one call what
// a slider asks. Both bindings wrap this class and nothing else of the replay.
#pragma once
#include "core/dtype.h"
#include "core/replay/mask_tile.h"
#include "core/replay/metrics.h"

namespace attnscope {

struct SessionShape {
  std::uint32_t layer = 0, layers = 1, heads = 1, kv_heads = 1, head_dim = 0, head = 0;
  std::uint32_t tokens = 0, prompt_tokens = 0;
  float scale = 1;
  std::uint32_t window = 0, sink_tokens = 4;
  double bytes_per_element = 2;   // of K and V as the run stores them
};

struct RunOptions {
  Schedule schedule;
  MetricParts parts;
};

class HeadSession {
 public:
  explicit HeadSession(const SessionShape& shape);

  // ---- data, in any order, before anything is run; spans are copied ----
  /// Keys or values at positions [first, first + count) in `dtype`, [count][head_dim].
  Status set_keys(DType dtype, const void* data, std::uint32_t first, std::uint32_t count);
  Status set_values(DType dtype, const void* data, std::uint32_t first, std::uint32_t count);
  /// All stored queries of the head (ascending positions) with their LSE, natural log; called once.
  Status set_queries(DType dtype, const void* data, std::span<const std::uint32_t> positions, std::span<const float> lse);
  /// Mean queries by 64 prompt positions, [blocks][head_dim]; without them they are made from complete blocks of queries.
  Status set_pooled_queries(std::span<const float> rows);
  void set_classes(std::span<const std::uint8_t> token_class);
  void set_needles(std::span<const KeySpan> needles);
  /// Rows that metrics use; each must have a query. Throws away the strip.
  Status set_rows(std::span<const std::uint32_t> rows);

  /// Computes up to `count` more rows of the strip; rows left. Fails where keys or queries are missing.
  Result<std::size_t> strip(std::size_t count);

  // ---- replay ----
  struct Outcome {
    PolicyChoice policy;
    HeadTrace trace;
    PrefillPlan plan;      // prefill policies
    bool has_plan = false;
    Metrics metrics;
  };
  /// Needs the complete strip. The outcome stays valid until the next run.
  Result<const Outcome*> run(const PolicyChoice& policy, const RunOptions& options);
  /// The same with a plan made elsewhere (indices of another prompt).
  Result<const Outcome*> run_plan(const PrefillPlan& plan, const RunOptions& options);
  /// Completes metrics of the last outcome that were left out (recall first, error later).
  Result<const Outcome*> complete(MetricParts parts);

  // ---- what views ask of the last outcome; E_REPLAY_ORDER before the first ----
  Result<MaskTile> mask(const TileGrid& grid) const;
  Result<KeyFate> fate() const;
  /// Metrics by row: recall, recall without sinks, relative output error; [rows] each, NaN where dense.
  struct RowValues { std::vector<float> recall, recall_no_sinks, error, kept_keys; };
  Result<RowValues> by_row() const;
  /// Histogram over evaluated rows and context keys of cos(q, k - mean k): `bins` counts over [-1, 1], mean and standard
  /// deviation, and the share of keys that tables (K, L, two-table rule) sample from it: mean of the closed form.
  struct CosineHistogram { std::vector<double> counts; double mean = 0, deviation = 0, expected_share = 0; };
  Result<CosineHistogram> cosines(std::uint32_t bins, std::uint32_t K, std::uint32_t L, std::uint32_t sink, std::uint32_t local, std::uint32_t context);

  const SessionShape& shape() const;
  std::size_t bytes() const;   // memory held
  // For sweeps over many policies on many threads: shared and constant once the strip is complete. The input's memo is
  // null: each thread brings its own.
  const LayerInput& input() const;
  const Strip& rows() const;
  SequenceInfo info() const;
  /// Attention mass each key receives from the evaluated rows at or after `first_row`, fp64; what yardsticks that look
  /// ahead are given: rows from the context on, or all where the prompt is fed in chunks.
  std::vector<double> future(std::uint32_t first_row) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace attnscope
