// What the parts of a capture on a device share.
#pragma once
#include "host/device/capture_layout.h"
#include "host/device/device_model.h"
#include "host/device/device_progress.h"

namespace attnscope {

struct DeviceRun {
  EmitContext context;
  KernelDevice& device;
  DeviceMemory& memory;
  DeviceModel& model;
  const CaptureLayout& layout;
  CaptureBuffers& buffers;
  DeviceProgress& progress;

  const Plan& plan() const { return context.plan; }
};

/// A layer's queries, keys and values on the device, rows of all heads side by side.
struct LayerTensors {
  const void* queries = nullptr;  // [rows.kernel_rows()]
  const DeviceBuffer* kv = nullptr;
  CaptureRows rows;
};

/// Attention of a range of heads over their rows; `out` and `lse` are the caller's to set.
inline AttentionArgs attention_of(const DeviceRun& run, const LayerTensors& tensors, const HeadRange& heads) {
  const ModelPlan& model = run.plan().model;
  const CaptureLayout& layout = run.layout;
  const std::uint64_t query_at = std::uint64_t{heads.first} * model.head_dim * layout.element, kv_at = std::uint64_t{heads.kv_first} * model.head_dim * layout.element;
  AttentionArgs args;
  args.dtype = run.plan().vectors;
  args.heads = heads.count, args.kv_heads = heads.kv_count, args.head_dim = model.head_dim;
  args.queries = tensors.rows.kernel_rows(), args.first_query = tensors.rows.kernel_first(), args.keys = tensors.rows.end();
  args.scale = model.attention_scale;
  // The arguments' pointers serve inputs and outputs alike.
  args.q = {static_cast<std::byte*>(const_cast<void*>(tensors.queries)) + query_at, model.head_dim, layout.query_width};
  args.k = {tensors.kv->at(kv_at), model.head_dim, layout.kv_width};
  args.v = {tensors.kv->at(layout.kv_side + kv_at), model.head_dim, layout.kv_width};
  return args;
}

/// work(heads) for heads [first, end) in calls of about a tenth of a second on a large GPU (2^36 pairs of a query and a key), so that a
/// cancellation is not kept waiting; shorter ones would leave the device's last multiprocessors idle too often.
template <class Work>
Status over_heads(const DeviceRun& run, const CaptureRows& rows, std::uint32_t first, std::uint32_t end, Work work) {
  const std::uint64_t pairs = causal_pairs(rows.kernel_first(), rows.kernel_rows()), most = std::max<std::uint64_t>(1, (std::uint64_t{1} << 36) / pairs);
  while (first < end) {
    const HeadRange heads = heads_of_call(first, end, static_cast<std::uint32_t>(std::min<std::uint64_t>(most, end - first)), run.plan().group());
    if (Status status = work(heads); !status) return status;
    first += heads.count;
  }
  return success();
}

}  // namespace attnscope
