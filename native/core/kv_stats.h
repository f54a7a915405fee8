// Statistics of keys, values and queries that the retention and retrieval policies need (specs: LagKV, Quest, KeyDiff,
// Expected Attention). Keys are post-RoPE as cached.
#pragma once
#include <span>
#include <vector>

#include "views.h"

namespace attnscope {

/// L2 norm of every row.
void row_norms(Rows rows, std::span<float> norms);

/// LagKV's score before its softmax: partitions of `lag` tokens after the first `sink`; each token of partition p is
/// normalised per channel by min and max of partition p+1, then the standard deviation over channels (ddof 1) is taken.
/// Channels whose range in the reference is below 1e-12 are left out. Tokens with no reference (sinks, last full
/// partition, remainder) are NaN. std.size() == rows.count.  (LagKV, arXiv 2504.04704, lag_kv.py)
void lag_channel_std(Rows rows, std::uint32_t sink, std::uint32_t lag, std::span<float> std);

/// Channel-wise min and max of each page of `page_tokens` rows; the last page may be ragged.
/// page_min, page_max: [ceil(count / page_tokens)][dim].  (Quest, arXiv 2406.10774)
void page_bounds(Rows rows, std::uint32_t page_tokens, std::span<float> page_min, std::span<float> page_max);

/// Per channel over all rows: mean, population variance, largest absolute value.
struct ChannelStats {
  std::vector<float> mean, variance, absmax;  // [dim]
  float outlier_share = 0;  // share of channels whose RMS exceeds 4 x the median channel RMS
};
ChannelStats channel_stats(Rows rows);

/// Mean and population covariance (row-major [dim][dim]) of the rows, accumulated in fp64.
struct MeanCovariance {
  std::vector<float> mean, covariance;
};
MeanCovariance mean_covariance(Rows rows);

/// Adds (x - centre)[a] * (x - centre)[b] of every row x to product[a][b] for a <= b; product is row-major [dim][dim].
void add_centred_products(Rows rows, std::span<const double> centre, std::span<double> product);

/// Means of consecutive blocks of `block` rows; out: [ceil(count / block)][dim], the last block over what it has.
void pool_rows(Rows rows, std::uint32_t block, MutableRows out);

}  // namespace attnscope
