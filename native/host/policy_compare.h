// Rows of a run with policies beside the same rows of the dense run: how far probabilities and activations moved.
#pragma once
#include <span>

#include "host/policy_run.h"

namespace attnscope {

/// Index of the largest value; ties go to the lowest index.
std::uint32_t most_likely(std::span<const float> logits);

/// Natural logarithm of the sum of exp, fp64.
double log_sum_exp(std::span<const float> logits);

/// KL(dense || policy) in nats, fp64, of the softmax of two rows of logits.
double divergence(std::span<const float> dense, std::span<const float> policy);

/// ||a - b|| / ||b||, fp64; 0 where both are zero.
double relative_difference(std::span<const float> a, std::span<const float> b);

/// Fills in the figures that rows alone decide. NaN: nothing was compared. p99: the smallest value that at least 99 % of the
/// rows do not exceed.
void summarise_rows(PolicyRunResult& result);

}  // namespace attnscope
