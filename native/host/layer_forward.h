// The forward pass of one layer over consecutive positions, in steps that a capture looks between: the same for the whole
// prompt and for one decoded token.
#pragma once
#include "host/layer_keys.h"
#include "host/run_context.h"

namespace attnscope {

/// What is said of values that are NaN or infinite in a layer (layer == layers: embedding, final norm, head), computed in `precision`;
/// `tensor` is the first whose weights are so, empty where all are finite.
Error not_finite(const std::string& tensor, std::uint32_t layer, std::uint32_t layers, DType precision);
/// What is said of `count` values that the plan's precision cannot hold.
Error vectors_overflow(std::size_t count, const std::string& what, std::uint32_t layer, DType dtype);

/// Fails with the name of the tensor or layer if a value is not finite. `layer` == layers: embedding, final norm, head.
Status check_finite(const RunContext& run, Rows rows, std::uint32_t layer);

/// Memory for the keys and values of a block of rows, reused between blocks.
struct ProjectionBlock {
  std::vector<float> keys, values;
};

/// Projects `hidden`, whose first row is position `first`. Queries stay unrotated; keys are rotated; keys and values are
/// rounded to the plan's precision.
Status project_rows(RunContext& run, std::uint32_t layer, Rows hidden, std::uint32_t first, MutableRows queries, MutableRows keys,
                    MutableRows values);

/// Adds rows [rows][kv heads * head dim] to the cache of every kv head.
Status append_rows(RunContext& run, std::uint32_t layer, Rows keys, Rows values);

/// Both: projects `hidden`, whose first row is position `first`. Queries stay unrotated; keys are rotated; keys and values are
/// rounded to the plan's precision and appended to the cache.
Status project_block(RunContext& run, std::uint32_t layer, Rows hidden, std::uint32_t first, MutableRows queries,
                     ProjectionBlock& block);

/// Rotates queries and rounds them to the plan's precision, in place.
Status finish_queries(RunContext& run, std::uint32_t layer, MutableRows queries, std::uint32_t first);

/// Pass 1 over all heads: output [rows][heads * head dim], lse [heads][lse_stride].
Status attend(RunContext& run, Rows queries, std::uint32_t first, const LayerKeys& keys, MutableRows out, float* lse,
              std::size_t lse_stride);

}  // namespace attnscope
