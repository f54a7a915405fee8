#include "host/device/device_capture.h"

#include <algorithm>

#include "host/buffer.h"
#include "host/device/device_decode.h"
#include "host/device/device_prefill.h"
#include "host/failure.h"
#include "host/machine.h"

namespace attnscope {
namespace device_capture {

/// Rows at a time through products: their temporaries take 0.4 GB for a model of 8B, and larger blocks are no faster.
constexpr std::uint32_t kBlockRows = 4096;
/// Reductions of a job: all heads of a layer at 128K tokens, cells of 512 and sampled queries.
constexpr std::uint64_t kGroupBytes = std::uint64_t{512} << 20;

CaptureLayout layout_of(const Plan& plan, const DeviceRunOptions& options) {
  const std::uint32_t rows = options.block_rows != 0 ? options.block_rows : kBlockRows;
  return {plan, std::min(rows, (plan.prompt_tokens() + 63) / 64 * 64), options.group_bytes != 0 ? options.group_bytes : kGroupBytes};
}

DeviceModelOptions model_options(const Plan& plan, const DeviceRunOptions& options, const CaptureLayout& layout, const DeviceNeeds& rest) {
  DeviceModelOptions model;
  model.weights = plan.device.weights;
  model.compute = options.compute;
  model.other_bytes = rest.total();
  model.block_rows = layout.block_rows;
  return model;
}

DeviceNeeds capture_needs(const Plan& plan, const CaptureLayout& layout, KernelDevice* device) {
  CaptureBuffers buffers;
  return needs_of(list_capture(plan, layout, device, buffers));
}

const char* name_of(DType dtype) { return dtype == DType::f32 ? "f32" : dtype == DType::f16 ? "f16" : "bf16"; }

/// Small allocations are not checked one by one, so what the host makes tables in is asked for in one piece and given back (host/capture.cpp):
/// fp32 copies of a layer's keys and values, a job's accumulators and the columns made of them.
Status check_host_memory(const Plan& plan, const CaptureLayout& layout) {
  if (!plan.reduce.enabled) return success();
  const std::uint64_t expanded = plan.vectors == DType::f32 ? 0 : 2 * plan.total_tokens() * layout.kv_width * sizeof(float);
  auto trial = Buffer<std::uint8_t>::allocate(expanded + 3 * layout.result_bytes, "the tables of a layer");
  if (!trial) return trial.error();
  asm volatile("" : : "r"(trial.value().data()) : "memory");
  return success();
}

/// Whether blocks of coverage, which keep a histogram of every row, fit a multiprocessor: asked before any work, as they run only when a
/// layer is through.
Status check_shared_memory(const Plan& plan, KernelDevice& device) {
  if (!plan.reduce.enabled || device.facts().shared_bytes == 0) return success();
  CoverageArgs args;
  args.attention.dtype = plan.vectors, args.attention.head_dim = plan.model.head_dim, args.attention.queries = args.attention.keys = plan.total_tokens();
  const std::size_t needed = device.shared_bytes(args), most = device.facts().shared_bytes;
  if (needed <= most) return success();
  return failure("E_KERNEL_SHARED", "coverage of rows of ", plan.total_tokens(), " tokens needs ", (needed + 1023) / 1024, " KiB of shared memory a block and ", device.facts().name, " has ",
                 most / 1024, "; use a GPU of compute capability 8.0 or 9.0, a shorter --context or --device cpu");
}

/// Everything that is queued is done before memory goes, also where a run ends early.
struct DeviceAtRest {
  KernelDevice& device;
  ~DeviceAtRest() { (void)device.synchronize(); }
};

Status run_layers(DeviceRun& run, CapturePipeline& pipeline, Cancellation& cancellation, CaptureSummary& summary) {
  std::vector<float> logits;
  ATTNSCOPE_TRY(prefill_on(run, pipeline, logits));
  summary.prefill_tokens = run.plan().prompt_tokens();
  if (run.plan().decode_steps == 0) return success();
  auto decoded = decode_on(run, pipeline, cancellation, std::move(logits));
  if (!decoded) return decoded.error();
  summary.decode_steps = decoded.value().steps;
  summary.cancelled = decoded.value().cancelled;
  return success();
}

void describe(KernelDevice& device, const DeviceModel& model, const DeviceMemory& memory, CaptureSummary& summary) {
  const DeviceFacts& facts = device.facts();
  summary.device = facts.name, summary.driver = facts.driver, summary.products = facts.products;
  summary.compute = name_of(model.compute());
  summary.streamed_weights = model.streams_weights();
  summary.peak_device_bytes = memory.peak(), summary.peak_pinned_bytes = memory.pinned_peak();
  for (std::size_t i = 0; i < kMemoryCategories; ++i) summary.device_bytes_at_peak.emplace_back(attnscope::name_of(static_cast<MemoryCategory>(i)), memory.at_peak()[i]);
}

}  // namespace device_capture

DeviceNeeds device_needs(const Plan& plan, const DeviceRunOptions& options, KernelDevice* device, std::uint64_t available) {
  const CaptureLayout layout = device_capture::layout_of(plan, options);
  DeviceNeeds needs = device_capture::capture_needs(plan, layout, device);
  const DeviceModelOptions model = device_capture::model_options(plan, options, layout, needs);
  const DType compute = options.compute.value_or(compute_of(plan, device));
  if (available == 0) available = plan.device.memory_bytes;
  if (available == 0) available = device != nullptr ? DeviceMemory::usable(device->free_bytes()) : ~std::uint64_t{0};
  const DeviceNeeds of_model = model_needs(plan, compute, streams_weights(plan, model, compute, device, available), layout.block_rows, device);
  needs += of_model;
  needs.pinned_bytes = std::max(needs.pinned_bytes, of_model.pinned_bytes + std::exchange(needs.loading_pinned_bytes, 0));
  return needs;
}

Result<CaptureSummary> run_capture_on(KernelDevice& device, const Plan& plan, CaptureSink& sink, Cancellation& cancellation, const DeviceRunOptions& options) {
  ATTNSCOPE_TRY(validate(plan));
  CaptureSummary summary;
  PhaseClock clock;
  ProgressReporter progress(sink);
  ThreadPool pool(plan.threads, &cancellation, [&] { progress.heartbeat(); });
  const CaptureLayout layout = device_capture::layout_of(plan, options);
  ATTNSCOPE_TRY(device_capture::check_shared_memory(plan, device));
  ATTNSCOPE_TRY(device_capture::check_host_memory(plan, layout));
  progress.begin(Phase::load, 0, 1, 1);
  auto weights = [&] {
    PhaseClock::Section section(clock, Work::load);
    return Weights::open(plan);
  }();
  if (!weights) return weights.error();
  // Gone before the files that it reads from are: where weights are streamed, a thread of the model's reads ahead until the end.
  DeviceMemory memory(device, plan.device.memory_bytes);
  CaptureBuffers buffers;
  std::unique_ptr<DeviceModel> model;
  device_capture::DeviceAtRest rest{device};

  {
    PhaseClock::Section section(clock, Work::load);
    const DeviceModelOptions wanted = device_capture::model_options(plan, options, layout, device_capture::capture_needs(plan, layout, &device));
    auto opened = open_device_model(plan, weights.value(), device, memory, wanted);
    if (!opened) return opened.error();
    model = opened.take();
    ATTNSCOPE_TRY(allocate(memory, list_capture(plan, layout, &device, buffers)));
  }
  summary.inverse_frequencies.assign(model->inverse_frequencies().begin(), model->inverse_frequencies().end());

  EmitContext context{plan, pool, sink, progress, clock};
  DeviceProgress device_progress(context, device);
  DeviceRun run{context, device, memory, *model, layout, buffers, device_progress};
  CapturePipeline pipeline(run);
  ATTNSCOPE_TRY(pipeline.open());
  const Status ran = device_capture::run_layers(run, pipeline, cancellation, summary);
  if (!ran && !is_cancelled(ran.error())) return ran.error();
  summary.cancelled = summary.cancelled || !ran.ok();
  for (Work work : {Work::load, Work::prefill, Work::reduce, Work::emit, Work::decode})
    summary.seconds.emplace_back(kWorkNames[static_cast<std::size_t>(work)], clock.seconds(work));
  summary.peak_resident_bytes = peak_resident_bytes();
  device_capture::describe(device, *model, memory, summary);
  return summary;
}

}  // namespace attnscope
