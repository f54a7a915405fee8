// Angles between queries and centred keys: the one number SimHash sampling depends on.
#pragma once
#include "core/replay/session.h"

namespace attnscope {

/// cos(q, k - mean k) of every query with every key; means in fp64. Zero vectors have cosine 0. The sampled share is the
/// mean of collision_probability(cosine, K, L), read from a table of 16,384 steps of the cosine (error below 1e-6).
HeadSession::CosineHistogram cosine_histogram(Rows queries, Rows keys, std::uint32_t bins, std::uint32_t K, std::uint32_t L);

}  // namespace attnscope
