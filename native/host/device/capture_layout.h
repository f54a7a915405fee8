// How a capture on a device lies in memory: its buffers, and the jobs that pass 2 of a layer is cut into. Known from the plan alone, so
// that what a run needs can be said before it runs.
#pragma once
#include "host/device/device_needs.h"
#include "host/plan.h"

namespace attnscope {

/// Query rows that are reduced together. Those of the decoded tokens begin behind `padding` rows of zeros, because kernels take rows
/// from a multiple of 64 on.
struct CaptureRows {
  std::uint32_t first = 0, count = 0, padding = 0;
  bool prompt = true;

  static CaptureRows of_prompt(const Plan& plan) { return {0, plan.prompt_tokens(), 0, true}; }
  static CaptureRows of_steps(const Plan& plan, std::uint32_t steps) { return {plan.prompt_tokens(), steps, plan.prompt_tokens() % 64, false}; }
  std::uint32_t end() const { return first + count; }
  /// As kernels see them.
  std::uint32_t kernel_first() const { return first - padding; }
  std::uint32_t kernel_rows() const { return padding + count; }
};

/// Consecutive heads, whole groups of a kv head each or a part of one.
struct HeadRange {
  std::uint32_t first = 0, count = 0, kv_first = 0, kv_count = 1;
};
/// The most heads from `first` on that one call may take: up to `most`, before `end`.
HeadRange heads_of_call(std::uint32_t first, std::uint32_t end, std::uint32_t most, std::uint32_t group);

/// Heads of equal cell that store the same queries, and where their results lie in the job's memory.
struct HeadRun : HeadRange {
  std::uint32_t cell = 0, cells = 0;  // a side, over the keys of the rows
  std::uint32_t stored_queries = 0;   // rows; 0: none
  bool every_query = false, pooled = false;
  std::uint64_t cell_sum = 0, column_sum, diagonal_sum;                       // fp64: [heads][cells][cells], [heads][keys], [heads][keys]
  std::uint64_t cell_max, entropy, sink_mass, local_mass, previous_mass, top1_mass;  // fp32: cells, then [heads][rows]
  std::uint64_t top1_key, coverage_90, coverage_95, coverage_99;              // u32 [heads][rows]
  std::uint64_t pooled_queries;   // fp32 [heads][blocks of 64][head dim]
  std::uint64_t queries;          // [stored queries][heads * head dim] in the plan's precision
  std::uint64_t end = 0;
};

struct CaptureJob {
  std::vector<HeadRun> runs;
  std::uint64_t bytes = 0;
};

/// Pass 2 of a layer's rows as jobs of at most `most_bytes`, or of one head where that takes more; heads in order.
std::vector<CaptureJob> jobs_of(const Plan& plan, std::uint32_t layer, const CaptureRows& rows, std::uint64_t most_bytes);

/// What a layer gives besides its jobs, in pinned memory: K and V, row statistics of pass 1, query moments, the model's counters.
struct LayerParts {
  explicit LayerParts(const Plan& plan);
  std::uint64_t keys = 0, values, lse, moments, counters, end;
};

/// Offsets in a layer's query moments: sums, products, and the pivot they are about.
struct MomentParts {
  explicit MomentParts(const ModelPlan& model);
  std::uint64_t sum = 0, product, pivot, end;
};

struct CaptureLayout {
  CaptureLayout(const Plan& plan, std::uint32_t block_rows, std::uint64_t group_bytes);

  std::uint32_t block_rows, logits_rows;
  std::uint64_t query_width, kv_width, element;  // element: bytes of a stored value
  std::uint64_t kv_side;                         // bytes from a layer's keys to its values
  std::uint64_t result_bytes = 0;                // of the largest job
  bool keeps_layers;                             // K and V of all, for decoding
  bool any_every_query = false;
};

struct CaptureBuffers {
  DeviceBuffer hidden, queries, attention, lse[2];
  std::vector<DeviceBuffer> kv;                    // [layers], or 2: keys, then values, [token][kv heads * head dim]
  DeviceBuffer moments[2], results[2], picked_rows, every_row;
  DeviceBuffer logits[2];
  DeviceBuffer step_queries, step_lse, step_attention, step_workspace;  // [layers][padding + steps][heads * head dim], [layers][steps][heads]
  DeviceBuffer host_layers[2], host_results[2], host_logits[2], host_step;  // pinned
};

/// The buffers of a capture beside its model's. Without a device, what decoding works in is not counted.
std::vector<BufferWant> list_capture(const Plan& plan, const CaptureLayout& layout, KernelDevice* device, CaptureBuffers& buffers);

}  // namespace attnscope
