// Softmaxes run in powers of two: scores are scaled by log2(e), log-sum-exps scaled back by ln(2).
#pragma once

namespace attnscope::gpu {

inline constexpr float log2_of_e = 1.44269504088896341f, ln_of_2 = 0.693147180559945309f;

}  // namespace attnscope::gpu
