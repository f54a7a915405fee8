// Names, units and definitions of the metrics, in the order of the enumeration.
#include "core/replay/metrics.h"

namespace attnscope {

// "The rows": evaluated rows that the policy acts on and where it drops something; where it drops nothing anywhere, all rows
// it acts on. p: a row's attention, kept: the keys the row may read.
std::span<const MetricSpec> metric_specs() {
  static constexpr MetricSpec specs[] = {
      {"rows_evaluated", "rows", "exact", "", "Query rows that were looked at."},
      {"rows_dense", "rows", "exact", "", "Of these, rows the policy leaves alone (before the context, decode rows of a prefill policy, dense layers); in no mean."},
      {"rows_covered", "rows", "exact", "", "Of these, rows the policy acts on and still keeps every visible key of; in no mean unless all rows are such."},
      {"recall_mean", "share of 1", "sampled", "high", "Attention mass on kept keys, 1 - m; mean over rows."},
      {"recall_se", "share of 1", "sampled", "low", "Standard error of recall_mean: sd / sqrt(rows), as for a simple random sample."},
      {"recall_p5", "share of 1", "sampled", "high", "5th percentile of recall over rows, nearest rank."},
      {"recall_no_sinks_mean", "share of 1", "sampled", "high", "Kept mass outside the first sink tokens over all mass outside them; rows with less than 1e-6 there are left out."},
      {"recall_no_sinks_p5", "share of 1", "sampled", "high", "5th percentile of the same over rows, nearest rank."},
      {"lost_mass", "share of 1", "sampled", "low", "Attention mass on dropped keys, m; mean over rows. Equals the total variation distance to the renormalised attention."},
      {"error_mean", "share of 1", "sampled", "low", "Teacher-forced output error ||o' - o|| / ||o||, o' the renormalised output over kept keys; 1 where nothing is kept; mean over rows."},
      {"error_se", "share of 1", "sampled", "low", "Standard error of error_mean: sd / sqrt(rows)."},
      {"error_p95", "share of 1", "sampled", "low", "95th percentile of the output error over rows, nearest rank."},
      {"cosine_mean", "cosine", "sampled", "high", "Cosine of o and o'; 0 where nothing is kept; mean over rows."},
      {"top32_overlap", "share of 1", "sampled", "high", "Share of a row's 32 largest p that is kept; rows that see fewer keys are left out."},
      {"top128_overlap", "share of 1", "sampled", "high", "Share of a row's 128 largest p that is kept; rows that see fewer keys are left out."},
      {"oracle_recall", "share of 1", "sampled", "high", "Mass of as many largest p as the row kept: the bound at this budget for single keys chosen by each row and query head."},
      {"regret", "share of 1", "sampled", "low", "oracle_recall - recall_mean, row by row."},
      {"estimated_recall", "share of 1", "modelled", "high", "Recall the policy itself expects from what it saw (prefill policies: its last 64 rows)."},
      {"estimation_gap", "share of 1", "sampled", "", "estimated_recall - recall_mean: positive where the policy is too confident."},
      {"needle_kept", "share of 1", "sampled", "high", "Share of the visible needle tokens that is kept; mean over rows that see any."},
      {"needle_all_kept", "share of 1", "sampled", "high", "Share of pairs (row, needle), the needle seen whole, where every token of it is kept."},
      {"kept_special", "share of 1", "sampled", "", "Share of visible special tokens kept; mean over rows that see any. So for the six classes below."},
      {"kept_word", "share of 1", "sampled", "", "Share of visible word tokens kept."},
      {"kept_number", "share of 1", "sampled", "", "Share of visible number tokens kept."},
      {"kept_punctuation", "share of 1", "sampled", "", "Share of visible punctuation tokens kept."},
      {"kept_space", "share of 1", "sampled", "", "Share of visible white-space tokens kept."},
      {"kept_newline", "share of 1", "sampled", "", "Share of visible newline tokens kept."},
      {"kept_other", "share of 1", "sampled", "", "Share of visible other tokens kept."},
      {"kept_keys_mean", "keys", "sampled", "low", "Keys kept; mean over rows."},
      {"kept_share", "share of 1", "sampled", "low", "Keys kept over keys visible; mean over rows."},
      {"token_sparsity", "share of 1", "exact", "high", "1 - pairs the policy selected / visible pairs of the prompt."},
      {"tile_sparsity", "share of 1", "exact", "high", "1 - visible pairs inside what is computed / visible pairs of the prompt."},
      {"kernel_sparsity", "share of 1", "exact", "high", "1 - cells a 64 x 64 kernel computes (whole tiles, columns padded to 64) / visible pairs of the prompt; below 0 where padding exceeds the savings."},
      {"kernel_sparsity_n2", "share of 1", "exact", "high", "1 - the same kernel cells / N^2."},
      {"kernel_sparsity_blocks", "share of 1", "exact", "high", "1 - the same kernel cells / cells of all 64 x 64 blocks that hold a visible pair."},
      {"slash_run", "distances", "exact", "high", "Mean length of runs of neighbouring selected distances: short runs waste tiles."},
      {"index_bytes", "bytes", "modelled", "low", "Memory of the policy's index, by its published layout."},
      {"resident_tokens", "tokens", "exact", "low", "Tokens of this kv head in the cache at the end of the sequence."},
      {"mean_resident", "tokens", "exact", "low", "Tokens in the cache after a step; mean over decode steps (over chunks of the prompt where there are none)."},
      {"peak_resident", "tokens", "exact", "low", "Most tokens held at once: before a step's eviction, with the transient copy of the step."},
      {"kv_bytes", "bytes", "exact", "low", "K and V of resident_tokens for this kv head, as the run stores them."},
      {"kv_bytes_paged", "bytes", "exact", "low", "The same in whole pages of 16 tokens."},
      {"kv_bytes_dense", "bytes", "exact", "", "K and V of all tokens for this kv head."},
      {"read_keys", "keys", "sampled", "low", "Keys a query reads, the fixed ones included; mean over rows the policy acts on."},
      {"scanned_share", "share of 1", "sampled", "low", "Keys whose score or code was looked at over keys visible, both means over rows the policy acts on."},
      {"draws", "samples", "sampled", "", "Samples drawn with repetition for a query; mean over rows the policy acts on."},
      {"expected_share", "share of 1", "modelled", "", "Keys the policy expects to read, by its own model, over keys visible; means over rows the policy acts on."},
      {"step_bytes", "bytes", "modelled", "low", "Bytes read from device and host memory for a query; mean over rows the policy acts on."},
      {"link_bytes", "bytes", "modelled", "low", "Bytes moved between host and device for a query; mean over rows the policy acts on."},
      {"kernel_tiles", "64 x 64 blocks", "exact", "low", "Tiles of 64 consecutive keys that a kernel computes for this head over the whole prompt."},
      {"kernel_column_tiles", "64 x 64 blocks", "exact", "low", "The same for tiles of 64 single columns gathered, the last of a row block padded."},
  };
  static_assert(std::size(specs) == kMetrics);
  return specs;
}

}  // namespace attnscope
