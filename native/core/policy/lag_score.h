// LagKV's score (arXiv 2504.04704, lag_kv.py): a token is judged by how far it stands out, channel by channel, from the
// range of the partition that follows it. No query is involved.
#pragma once
#include "core/policy/input.h"
#include "core/policy/policy.h"

namespace attnscope {

/// Standard deviation (ddof 1) over channels of (token - low) / (high - low), low and high being the channel's extremes
/// over the tokens of `reference`. Channels whose range is below 1e-12 or not finite are left out: the published code
/// divides 0 by 0 there and loses the whole partition to NaN. NaN if fewer than two channels are left.
/// std.size() == tokens.count. `low` and `scale` are scratch of dim values.
void lag_deviation(Rows tokens, Rows reference, std::span<float> low, std::span<double> scale, std::span<float> std);

/// How real code computes: the official cache scores in the model's own 16-bit type, where a softmax over 128 nearly equal
/// values leaves about ten distinct scores.
enum class LagArithmetic : std::uint8_t { fp32, bf16 };

struct LagScoring {
  std::uint32_t sink = 0, lag = 0;
  float value_weight = 1;
  LagArithmetic arithmetic = LagArithmetic::fp32;
};

/// Scores of one partition: softmax over its tokens of the keys' deviations + value_weight * that of the values'. A part
/// that is NaN throughout says nothing and counts as uniform; a single NaN leaves its token with a NaN score.
void lag_partition_score(std::span<const float> key_deviation, std::span<const float> value_deviation, const LagScoring& scoring,
                         std::span<float> score);

/// Scores of `partitions` consecutive partitions of one kv head, the first at slot `begin`; each is judged against the
/// next, so slots up to begin + (partitions + 1) * lag must be there. score.size() == partitions * lag. While the slots
/// are the sequence's own partitions (sinks, then every lag tokens) and rows go by position, deviations come from the
/// memo: they do not depend on what was evicted before.
void lag_scores(const LayerInput& input, std::uint32_t kv_head, const ResidentTokens& resident, std::size_t begin, std::size_t partitions,
                const LagScoring& scoring, std::span<float> score);

}  // namespace attnscope
