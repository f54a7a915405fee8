// A capture run on a device: the same plan, tables and order as host/capture.h. While the device computes a layer, the host turns the
// one before into tables.
#pragma once
#include "host/capture.h"
#include "host/device/device_model.h"

namespace attnscope {

struct DeviceRunOptions {
  std::optional<DType> compute;       // see DeviceModelOptions
  std::uint32_t block_rows = 0;       // rows at a time through products and attention, a multiple of 64; 0: chosen
  std::uint64_t group_bytes = 0;      // of reductions held at once; 0: chosen
};

/// What run_capture_on() will allocate for a plan, by category: automatic weights are streamed where all together does not fit in
/// `available` bytes (0: plan.device.memory_bytes, or what the device has). Without a device, which is then a GPU, the memory that matrix
/// products and decoding work in is not counted: tens of MiB. The plan is valid.
DeviceNeeds device_needs(const Plan& plan, const DeviceRunOptions& options, KernelDevice* device, std::uint64_t available = 0);

/// What run_capture() does for plan.device other than "cpu". A plan that the device cannot run is refused before any work.
Result<CaptureSummary> run_capture_on(KernelDevice& device, const Plan& plan, CaptureSink& sink, Cancellation& cancellation,
                                      const DeviceRunOptions& options = {});

}  // namespace attnscope
