// SimHash as MagicPIG uses it (arXiv 2410.16179): K bits a table, L tables, a key is sampled when it shares its bucket
// with the query in at least `min_tables` tables.
#pragma once
#include <cstdint>

namespace attnscope {

/// Probability that a key at cosine `cosine` to the query is sampled: p = 1 - acos(cosine) / pi, P = p^K,
/// u = 1 - sum over i < min_tables of binomial(L, i) P^i (1 - P)^(L - i). Stable in fp64 down to P = 1e-300; cosine is
/// clamped to [-1, 1].
double collision_probability(double cosine, std::uint32_t K, std::uint32_t L, std::uint32_t min_tables = 2);

}  // namespace attnscope
