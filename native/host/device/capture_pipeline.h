// Pass 2 of layers on a device, and their results on the way to the host: two places for whatever a layer or job leaves, so that one is
// computed while the one before comes down and is turned into tables.
#pragma once
#include <deque>

#include "host/device/capture_results.h"
#include "host/device/device_run.h"

namespace attnscope {

class CapturePipeline {
 public:
  explicit CapturePipeline(DeviceRun& run) : run_(run) {}
  ~CapturePipeline();
  CapturePipeline(const CapturePipeline&) = delete;
  Status open();

  /// Before anything of a layer is queued. What is queued from now on may write to place() of every pair of buffers: what lay there has
  /// come down by then.
  Status begin_layer();
  std::size_t place() const { return layers_ % 2; }

  /// Queues pass 2 and the downloads of the layer that was begun, whose pass 1 is queued, and turns earlier results into tables. `lse`
  /// [heads][kernel rows] is on the device. `host_lse`: the same on the host, from the first row that is no padding on, where it is there
  /// already; null: it comes down with the rest.
  Status queue_layer(std::uint32_t layer, const LayerTensors& tensors, const float* lse, const float* host_lse, std::uint64_t most_bytes);
  /// Turns all that is still on its way into tables.
  Status drain();

 private:
  struct Waiting {
    std::shared_ptr<LayerResults> layer;
    CaptureJob job;
    std::size_t layer_place = 0, job_place = 0;
    bool first = false, last = false;
    std::uint64_t mark = 0;
  };

  Status download_layer(const LayerTensors& tensors, const float* lse);
  Status queue_job(const CaptureJob& job, const LayerTensors& tensors, const float* lse);
  Status reduce(const HeadRun& run, const LayerTensors& tensors, const float* lse, std::byte* results);
  Status store_queries(const HeadRun& run, const LayerTensors& tensors, std::byte* results);
  Status consume();

  DeviceRun& run_;
  struct Place {
    Event computed = nullptr, downloaded = nullptr;
  };
  Place layer_places_[2], job_places_[2];
  std::uint64_t layers_ = 0, jobs_ = 0;
  std::deque<Waiting> waiting_;
  std::vector<KvExpansion> expansions_;
};

}  // namespace attnscope
