// Attention over a prompt as a case: shapes, inputs, the fp64 reference, and how far an output may be from it.
#pragma once
#include <memory>

#include "tools/check/device_array.h"

namespace attnscope::check_kernels {

struct PromptShape {
  std::uint32_t heads, kv_heads, queries, first_query, extra_keys;  // keys = first_query + queries + extra_keys
  Layout layout;
  float spread;  // of the queries: 1 spreads attention over many keys, 3 puts it on few
};

std::string describe(const PromptShape& shape);
/// Queries and keys of the shape; values, outputs and LSE are the caller's.
AttentionArgs prompt_args(DType dtype, std::uint32_t dim, const PromptShape& shape, const HeadVectors& q, const HeadVectors& k);
/// Head dimensions that kernels are written for, and some that they pad.
std::vector<std::uint32_t> head_dims(const Session& session);
/// `count` shapes of different lengths, groups and layouts; over all dtypes and head_dims they meet every length.
std::vector<PromptShape> prompt_shapes(Session& session, std::size_t count);

/// How far outputs may be from fp64, relative to the largest of a tensor. fp32: sums of products in another order. 16 bit: the
/// output is rounded to u = 2^-11 (f16) or 2^-8 (bf16) of itself, and tensor cores multiply values with probabilities that were
/// rounded to the same u, at most u sum(p |v|) more; with the largest value of a tensor near the largest |v|, 2 u in all.
double output_tolerance(DType dtype);
/// Log-sum-exp and scores are fp32 whatever the inputs are.
inline constexpr double fp32_tolerance = 1e-5;
/// Probabilities of single pairs: exp(score - lse) makes the absolute error of a score, up to 2^-24 of the sum of the sizes of its
/// terms, a relative one. Averages of many are closer.
inline constexpr double map_tolerance = 3e-5;

/// sees(head, block of 64 queries, query position, key): called for keys at or before the query's position.
using Sees = std::function<bool(std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t)>;

class PromptCase {
 public:
  PromptCase(Session& session, DType dtype, std::uint32_t dim, const PromptShape& shape);
  AttentionArgs args() const;
  /// Runs the operation and compares; `lse` null in some cases.
  void run(const char* operation, const std::string& what, const std::function<Outcome(const AttentionArgs&)>& call, const Sees& sees);

 private:
  Session& session_;
  DType dtype_;
  std::uint32_t dim_;
  PromptShape shape_;
  HeadVectors q_, k_, v_;
};

}  // namespace attnscope::check_kernels
