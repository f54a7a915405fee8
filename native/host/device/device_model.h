// A model whose weights and activations are on a device: the forward pass in the same steps as Model's (host/model.h), queued on
// the device. The residual stream is fp32; what enters a matrix product is rounded to the precision of the weights, as are the gate
// and up projections; products accumulate in fp32. Queries, keys and values are rounded to the plan's precision before attention.
#pragma once
#include <memory>
#include <optional>
#include <span>

#include "host/device/device_needs.h"
#include "host/llama_tensors.h"
#include "host/plan.h"

namespace attnscope {

/// An Outcome of the device as a Status.
Status check(Outcome outcome);

struct DeviceModelOptions {
  DevicePlan::Weights weights = DevicePlan::Weights::automatic;
  /// Precision of weights and of what they are multiplied with; none: compute_of().
  std::optional<DType> compute;
  /// Bytes that the rest of the run will need at its peak: decides whether weights stay where they are automatic.
  std::uint64_t other_bytes = 0;
  /// Most rows that project(), finish() and logits() are called with: their scratch is for as many.
  std::uint32_t block_rows = 4096;
};

/// The precision that a plan is computed in unless told otherwise: that of the checkpoint's matrices, bf16 where that is fp32 and the
/// device (none: a GPU) cannot multiply fp32.
DType compute_of(const Plan& plan, KernelDevice* device);

/// What open_device_model() allocates. Without a device, what its products work in is not counted.
DeviceNeeds model_needs(const Plan& plan, DType compute, bool streamed, std::uint32_t block_rows, KernelDevice* device);
/// Whether weights are streamed: asked for, or automatic and they do not fit beside `other_bytes` in `available`.
bool streams_weights(const Plan& plan, const DeviceModelOptions& options, DType compute, KernelDevice* device, std::uint64_t available);

/// Refuses what the device cannot run: E_DEVICE_DTYPE, E_KERNEL_HEAD_DIM, E_PLAN_INVALID.
Status check_device(const Plan& plan, KernelDevice& device, DType compute);
/// What a model's counters say, see DeviceModel::judge().
Status judge_counters(const Plan& plan, const LlamaTensors& tensors, DType compute, std::span<const std::uint32_t> counted);

class DeviceModel {
 public:
  virtual ~DeviceModel() = default;

  virtual DType compute() const = 0;
  virtual bool streams_weights() const = 0;
  virtual std::uint32_t block_rows() const = 0;

  /// Embeddings of `ids` (host memory) into `hidden` [ids][hidden size].
  virtual Status embed(std::span<const std::uint32_t> ids, float* hidden) = 0;
  /// Before the layer's other steps, layers in ascending order and again from 0: where weights are streamed, waits in the queue for this
  /// layer's and starts the next one's.
  virtual Status begin_layer(std::uint32_t layer) = 0;
  /// RMSNorm and the three projections of `rows` <= block_rows rows of `hidden`: fp32, unrotated, all heads side by side, valid until the
  /// next call of project() or finish().
  struct Projected { const float *q, *k, *v; };
  virtual Result<Projected> project(std::uint32_t layer, const float* hidden, std::uint32_t rows) = 0;
  /// Rotates `heads` heads of x [rows][heads * head_dim] by positions first, first + 1, ... and rounds them into `out`; with
  /// first == nullopt only rounds.
  virtual Status place(std::uint32_t layer, const float* x, std::uint32_t rows, std::uint32_t heads, std::optional<std::uint32_t> first,
                       const HeadTensor& out) = 0;
  /// Output projection and feed-forward network, added to `hidden`. `attention` [rows][heads * head_dim] has the given precision.
  virtual Status finish(std::uint32_t layer, const void* attention, DType dtype, std::uint32_t rows, float* hidden) = 0;
  /// [rows][vocabulary] of the last layer's output, rows <= block_rows.
  virtual Status logits(const float* hidden, std::uint32_t rows, float* out) = 0;

  /// Every step above counts, by layer, values that are not finite and those too large for the plan's precision. The counters are
  /// `counters()` words on the device: for runs that bring them to the host with their results, and judge() there: E_VECTORS_OVERFLOW or
  /// E_MODEL_NOT_FINITE naming the first layer or tensor that was counted.
  virtual const std::uint32_t* counter_data() const = 0;
  virtual std::size_t counters() const = 0;
  virtual Status judge(std::span<const std::uint32_t> counted) const = 0;
  /// Waits for all that is queued, then judges.
  virtual Status check_counters() = 0;
  /// Counts values of the caller's own (layer == layers: those of no layer).
  virtual Status count_non_finite(std::uint32_t layer, const float* x, std::uint64_t count) = 0;

  virtual std::span<const float> inverse_frequencies() const = 0;
};

/// Weights checked as make_model() checks them. All arguments but the options outlive the model; positions below plan.total_tokens()
/// can be rotated. E_DEVICE_DTYPE where the device cannot attend in the plan's precision.
Result<std::unique_ptr<DeviceModel>> open_device_model(const Plan& plan, const Weights& weights, KernelDevice& device, DeviceMemory& memory,
                                                       const DeviceModelOptions& options);

}  // namespace attnscope
