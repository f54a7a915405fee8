// What is lost, what is saved: every metric of a policy on one head, from the strip and the trace alone. Teacher-forced:
// the captured rows are replayed, errors do not pass on to later layers.
#pragma once
#include <array>
#include <span>

#include "core/replay/strip.h"
#include "core/replay/trace.h"

namespace attnscope {

/// Token classes in the order of table `tokens` (data/format): special word number punctuation space newline other.
inline constexpr std::size_t kTokenClasses = 7;

/// What is known of the sequence beside its vectors.
struct SequenceInfo {
  std::span<const std::uint8_t> token_class;   // [tokens] index of the class; may be empty
  std::span<const KeySpan> needles;
  std::uint32_t sink_tokens = 4;               // what "without sinks" leaves out
};

enum class Metric : std::uint8_t {
  rows_evaluated, rows_dense, rows_covered,    // rows the policy leaves alone; rows so short that it keeps all of them
  recall_mean, recall_se, recall_p5, recall_no_sinks_mean, recall_no_sinks_p5,
  lost_mass,
  error_mean, error_se, error_p95, cosine_mean,
  top32_overlap, top128_overlap,
  oracle_recall, regret,
  estimated_recall, estimation_gap,
  needle_kept, needle_all_kept,
  kept_special, kept_word, kept_number, kept_punctuation, kept_space, kept_newline, kept_other,
  kept_keys_mean, kept_share,
  token_sparsity, tile_sparsity, kernel_sparsity,          // 1 - cells / causal cells: one denominator
  kernel_sparsity_n2, kernel_sparsity_blocks,              // the same kernel work over N^2 cells, over causal blocks
  slash_run, index_bytes,
  resident_tokens, mean_resident, peak_resident, kv_bytes, kv_bytes_paged, kv_bytes_dense,
  read_keys, scanned_share, draws, expected_share, step_bytes, link_bytes,
  kernel_tiles, kernel_column_tiles,                       // the same kernel work as counts: what times are looked up by
  count_
};
inline constexpr std::size_t kMetrics = static_cast<std::size_t>(Metric::count_);

/// How a metric is named, in which unit, and what it is: "sampled" over the evaluated rows, "exact", or "modelled".
struct MetricSpec {
  const char* name;
  const char* unit;
  const char* kind;
  const char* better;  // "high", "low" or ""
  const char* doc;
};
std::span<const MetricSpec> metric_specs();

/// NaN: does not apply to this policy or this head.
struct Metrics {
  std::array<double, kMetrics> values{};
  double operator[](Metric m) const { return values[static_cast<std::size_t>(m)]; }
  double& operator[](Metric m) { return values[static_cast<std::size_t>(m)]; }
};

/// Which parts to compute: recall is a masked sum of the strip; the output error also reads V; the rest follows.
struct MetricParts {
  bool recall = true, error = true, detail = true;  // detail: overlaps, oracle, classes, needles
};

/// Rows that the policy leaves alone are counted in rows_dense and in no mean. `input` supplies keys, values and queries
/// for weighted (sampled) traces.
Metrics evaluate(const Strip& strip, const HeadTrace& trace, const LayerInput& input, std::uint32_t head, const SequenceInfo& info,
                 double bytes_per_element, MetricParts parts, Scratch& scratch);

/// By key: share of the evaluated rows that can see it and keep it, share that are forced to, and mean mass missed on it
/// (0 where kept) over the rows that can see it; NaN for keys no evaluated, non-dense row can see.
struct KeyFate {
  std::vector<float> kept, forced, missed;  // [tokens]
};
KeyFate key_fate(const Strip& strip, const HeadTrace& trace, Visibility visibility);

/// KV bytes of a layer from the tokens each kv head keeps: what is needed, what a rectangular array (longest head) takes,
/// and what pages of `page` tokens a head take. Bytes = 2 * head_dim * bytes_per_element a token.
struct KvBytes { double ideal = 0, rectangular = 0, paged = 0; };
KvBytes kv_bytes(std::span<const double> tokens_by_kv_head, std::uint32_t head_dim, double bytes_per_element, std::uint32_t page);

}  // namespace attnscope
