// Pass 2 over the heads of a layer: reduces every head's rows on all threads and hands over finished heads in order.
#pragma once
#include <functional>

#include "host/layer_keys.h"
#include "host/reduced_head.h"
#include "host/run_context.h"

namespace attnscope {

/// Query rows of a layer for pass 2.
struct ReductionInput {
  std::uint32_t layer = 0;
  Rows queries;               // [rows][heads * head dim], rounded and rotated
  std::uint32_t first = 0;    // position of the first row
  const LayerKeys* keys = nullptr;
  const float* lse = nullptr; // [heads][lse_stride]
  std::size_t lse_stride = 0;
};

/// Calls `emit` on the calling thread for heads 0, 1, ... in order. Bounded memory: heads are worked on in groups.
Status reduce_layer(RunContext& run, const ReductionInput& input, const std::function<Status(const ReducedHead&)>& emit);

}  // namespace attnscope
