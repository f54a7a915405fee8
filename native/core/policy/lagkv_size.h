// How many tokens LagKV keeps, without running it. The size depends on N alone, not on how the tokens were fed.
#pragma once
#include <cstdint>
#include <optional>

namespace attnscope {

/// Tokens kept of N: all below sink + 2 lag, else sink + floor(ratio lag) (q - 1) + lag + t with q = floor((N - sink) / lag)
/// full partitions and a remainder t. floor(ratio lag) is taken in double arithmetic, as in the published code.
std::uint32_t lagkv_kept(std::uint32_t tokens, std::uint32_t sink, std::uint32_t lag, double ratio);

/// The inverse: most tokens a compressed partition may keep, so that N tokens take no more than `budget`; at most lag.
/// Nothing where even keeping none is too much (budget < sink + lag + t, or budget < N while nothing is compressed yet).
std::optional<std::uint32_t> lagkv_partition_tokens(std::uint32_t budget, std::uint32_t tokens, std::uint32_t sink, std::uint32_t lag);

/// floor(tokens (1 - removed)) as kvpress computes it, in doubles: 1000 tokens at 0.9 keep 99, at 0.8 keep 199.
std::uint32_t kvpress_kept(std::uint32_t tokens, double compression_ratio);

}  // namespace attnscope
