// Weights of a Llama checkpoint on a device, in one precision. Resident: all of them. Streamed: embedding, norms and head stay, layers
// come one after the other into two places, from two places of pinned memory that a thread fills ahead.
#pragma once
#include <memory>
#include <thread>

#include "host/device/device_needs.h"
#include "host/llama_tensors.h"
#include "host/thread_pool.h"

namespace attnscope {

struct WeightBuffers {
  DeviceBuffer embedding, head, norms;
  std::vector<DeviceBuffer> layers;  // [layers], or 2
  DeviceBuffer staging[2];           // pinned; given back after loading where weights are resident
};

/// The buffers of a model's weights; `buffers` receives places for them.
std::vector<BufferWant> list_weights(const ModelPlan& plan, DType compute, bool streamed, WeightBuffers& buffers);

class DeviceWeights {
 public:
  static constexpr std::size_t matrices = 7;
  struct Layer {
    const float *input_norm, *post_norm;
    const void *q, *k, *v, *o, *gate, *up, *down;
  };

  /// Converted on `threads` threads. All arguments outlive this.
  static Result<std::unique_ptr<DeviceWeights>> load(const ModelPlan& plan, const LlamaTensors& tensors, DType compute, bool streamed, unsigned threads,
                                                     KernelDevice& device, DeviceMemory& memory);
  ~DeviceWeights();

  /// As DeviceModel::begin_layer().
  Status begin_layer(std::uint32_t layer);
  Layer layer(std::uint32_t layer) const;
  const void* embedding() const { return buffers_.embedding.data(); }
  const void* head() const { return buffers_.head ? buffers_.head.data() : buffers_.embedding.data(); }
  const float* final_norm() const { return norm(2 * plan_.layers); }
  bool streamed() const { return streamed_; }

 private:
  static constexpr std::int64_t none = -1;
  /// One of two places that streamed layers alternate in.
  struct Place {
    std::int64_t staged = none, held = none;  // layers: in pinned memory; on the device, or on the way there
    Event uploaded = nullptr, consumed = nullptr;
  };

  DeviceWeights(const ModelPlan& plan, const LlamaTensors& tensors, DType compute, bool streamed, unsigned threads, KernelDevice& device);
  Status load_all(DeviceMemory& memory);
  Status load_norms();
  Status upload(const Tensor& tensor, std::byte* to);
  Status fill(std::size_t place, std::uint32_t layer);
  void fill_ahead(std::size_t place, std::uint32_t layer);
  /// Waits for the thread that fills ahead.
  Status join();
  /// Has the layer's weights on their way to the place.
  Status send(std::size_t place, std::uint32_t layer);
  /// Rows of a tensor in the device's precision.
  Status convert(const Tensor& tensor, std::size_t first_row, std::size_t rows, std::byte* to);
  const float* norm(std::size_t index) const { return buffers_.norms.as<float>() + index * plan_.hidden_size; }

  const ModelPlan& plan_;
  const LlamaTensors& tensors_;
  const DType compute_;
  const bool streamed_;
  KernelDevice& device_;
  ThreadPool pool_;
  WeightBuffers buffers_;
  Place places_[2];
  std::size_t current_ = 1;  // place of the layer being worked on
  bool begun_ = false;
  std::size_t next_staging_ = 0;
  std::thread filler_;
  Status filled_ = success();
};

}  // namespace attnscope
