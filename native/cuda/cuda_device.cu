// The CUDA device behind KernelDevice: memory, copies and time by the CUDA runtime, operations by ops.h, matrix products by cuBLAS where
// it is installed, a stream a queue.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "cublas.h"
#include "ops.h"

namespace attnscope::gpu {
namespace {

/// The management library of the driver, which alone knows the clock of the moment and the driver's version. Loaded where it is.
class Management {
 public:
  explicit Management(const std::string& pci_bus) {
    library_ = dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (library_ == nullptr) return;
    const auto initialise = symbol<int (*)()>("nvmlInit_v2");
    const auto find = symbol<int (*)(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2");
    clock_ = symbol<int (*)(void*, int, unsigned*)>("nvmlDeviceGetClockInfo");
    const auto version = symbol<int (*)(char*, unsigned)>("nvmlSystemGetDriverVersion");
    if (initialise == nullptr || find == nullptr || initialise() != 0) return;
    if (find(pci_bus.c_str(), &device_) != 0) device_ = nullptr;
    char text[96] = {};
    if (version != nullptr && version(text, sizeof text) == 0) driver_ = text;
  }
  ~Management() {
    if (library_ != nullptr) dlclose(library_);
  }
  Management(const Management&) = delete;
  Management& operator=(const Management&) = delete;

  /// Of the multiprocessors now; 0 where it is not known.
  double clock_mhz() const {
    constexpr int multiprocessors = 1;  // NVML_CLOCK_SM
    unsigned mhz = 0;
    return device_ != nullptr && clock_ != nullptr && clock_(device_, multiprocessors, &mhz) == 0 ? mhz : 0;
  }
  const std::string& driver() const { return driver_; }

 private:
  template <class F> F symbol(const char* name) const { return reinterpret_cast<F>(dlsym(library_, name)); }
  void* library_ = nullptr;
  void* device_ = nullptr;
  int (*clock_)(void*, int, unsigned*) = nullptr;
  std::string driver_;
};

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

/// Does nothing: that it can be found says that the library was built for a device.
__global__ void machine_code_probe() {}

class CudaDevice : public KernelDevice {
 public:
  static KernelDevice* open(int index, std::string& why) {
    int count = 0;
    if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) return refuse(why, cudaGetErrorString(error));
    if (index >= count) return refuse(why, "there are " + std::to_string(count) + " CUDA devices, numbered from 0");
    cudaDeviceProp properties;
    if (const cudaError_t error = cudaGetDeviceProperties(&properties, index); error != cudaSuccess) return refuse(why, cudaGetErrorString(error));
    if (properties.major < 8) return refuse(why, std::string(properties.name) + " has compute capability " + std::to_string(properties.major) + "." + std::to_string(properties.minor) + "; the kernels need 8.0");
    auto device = std::unique_ptr<CudaDevice>(new CudaDevice);
    if (const cudaError_t error = device->start(index, properties); error != cudaSuccess) return refuse(why, cudaGetErrorString(error));
    std::string wrong;
    device->cublas_ = Cublas::load(wrong);
    if (!wrong.empty()) return refuse(why, wrong);
    device->facts_.products = device->cublas_ != nullptr ? device->cublas_->name().c_str() : "own kernel";
    cudaFuncAttributes attributes;
    if (cudaFuncGetAttributes(&attributes, machine_code_probe) != cudaSuccess) {
      cudaGetLastError();
      return refuse(why, "the library holds no machine code for compute capability " + std::to_string(properties.major) + "." + std::to_string(properties.minor) +
                             "; build it with -DCMAKE_CUDA_ARCHITECTURES for this device");
    }
    return device.release();
  }

  ~CudaDevice() override {
    if (flush_ != nullptr) cudaFree(flush_);
    if (start_ != nullptr) cudaEventDestroy(start_);
    if (stop_ != nullptr) cudaEventDestroy(stop_);
    cublas_.reset();
    for (const cudaStream_t stream : {stream_, upload_, download_})
      if (stream != nullptr) cudaStreamDestroy(stream);
  }

  const DeviceFacts& facts() override {
    facts_.clock_mhz = management_->clock_mhz();
    return facts_;
  }

  void* allocate(std::size_t bytes) override {
    void* memory = nullptr;
    if (cudaMalloc(&memory, bytes > 0 ? bytes : 1) == cudaSuccess) return memory;
    cudaGetLastError();  // an allocation that fails is the caller's to handle, not the next kernel's
    return nullptr;
  }
  void release(void* memory) override { cudaFree(memory); }
  void* allocate_host(std::size_t bytes) override {
    void* memory = nullptr;
    if (cudaMallocHost(&memory, bytes > 0 ? bytes : 1) == cudaSuccess) return memory;
    cudaGetLastError();
    return nullptr;
  }
  void release_host(void* memory) override { cudaFreeHost(memory); }
  Outcome upload(void* to, const void* from, std::size_t bytes) override { return said(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_)); }
  Outcome download(void* to, const void* from, std::size_t bytes) override { return said(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_)); }
  Outcome copy(void* to, const void* from, std::size_t bytes) override { return said(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_)); }
  Outcome fill(void* to, std::uint8_t byte, std::size_t bytes) override { return said(cudaMemsetAsync(to, byte, bytes, stream_)); }

  std::uint64_t free_bytes() override {
    std::size_t free = 0, all = 0;
    return cudaMemGetInfo(&free, &all) == cudaSuccess ? free : (cudaGetLastError(), 0);
  }

  Outcome upload_in(Queue queue, void* to, const void* from, std::size_t bytes) override { return said(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_of(queue))); }
  Outcome download_in(Queue queue, void* to, const void* from, std::size_t bytes) override { return said(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(queue))); }
  Event create_event() override {
    cudaEvent_t event = nullptr;
    if (cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess) return event;
    cudaGetLastError();
    return nullptr;
  }
  void release_event(Event event) override {
    if (event != nullptr) cudaEventDestroy(static_cast<cudaEvent_t>(event));
  }
  Outcome record(Event event, Queue queue) override { return said(cudaEventRecord(static_cast<cudaEvent_t>(event), stream_of(queue))); }
  Outcome wait(Queue queue, Event event) override { return said(cudaStreamWaitEvent(stream_of(queue), static_cast<cudaEvent_t>(event), 0)); }
  Outcome await(Event event) override { return said(cudaEventSynchronize(static_cast<cudaEvent_t>(event))); }

  Outcome synchronize() override {
    for (const cudaStream_t stream : {upload_, stream_, download_})
      if (const Outcome failed = said(cudaStreamSynchronize(stream))) return failed;
    return nullptr;
  }
  Outcome start_timer() override { return said(cudaEventRecord(start_, stream_)); }
  Outcome stop_timer(double* us) override {
    if (const Outcome failed = said(cudaEventRecord(stop_, stream_))) return failed;
    if (const Outcome failed = said(cudaEventSynchronize(stop_))) return failed;
    float ms = 0;
    if (const Outcome failed = said(cudaEventElapsedTime(&ms, start_, stop_))) return failed;
    *us = static_cast<double>(ms) * 1000;
    return nullptr;
  }
  Outcome flush_cache() override {
    const std::size_t bytes = 2 * facts_.cache_bytes;
    if (flush_ == nullptr && (flush_ = allocate(bytes)) == nullptr) return "E_KERNEL_MEMORY no memory for overwriting the cache";
    return fill(flush_, 0, bytes);
  }

  Outcome dense(const AttentionArgs& args) override { return said(run_dense(args, stream_)); }
  Outcome a_shape(const AttentionArgs& args, std::uint32_t sink, std::uint32_t local) override { return said(run_a_shape(args, sink, local, stream_)); }
  Outcome sparse(const AttentionArgs& args, const SparseIndex& index) override { return said(run_sparse(args, index, stream_)); }
  Outcome decode(const DecodeArgs& args) override { return said(run_decode(args, stream_)); }
  Outcome merge(const MergeArgs& args) override { return said(run_merge(args, stream_)); }
  Outcome strip(const StripArgs& args) override { return said(run_strip(args, stream_)); }
  Outcome select(const SelectArgs& args) override { return said(run_select(args, stream_)); }
  Outcome convert(const ConvertArgs& args) override { return said(run_convert(args, stream_)); }
  Outcome pool(const PoolArgs& args) override { return said(run_pool(args, stream_)); }
  Outcome select_blocks(const BlockSelectArgs& args) override { return said(run_select_blocks(args, stream_)); }
  Outcome lag_score(const LagArgs& args) override { return said(run_lag_score(args, stream_)); }
  Outcome hash(const HashArgs& args) override { return said(run_hash(args, stream_)); }
  Outcome sort_buckets(const BucketArgs& args) override { return said(run_sort_buckets(args, stream_)); }
  Outcome reduce(const ReduceArgs& args) override { return said(run_reduce(args, stream_)); }
  Outcome embed(const EmbedArgs& args) override { return said(run_embed(args, stream_)); }
  Outcome norm(const NormArgs& args) override { return said(run_norm(args, stream_)); }
  Outcome multiply(const MultiplyArgs& args) override {
    return said(cublas_ != nullptr ? cublas_->multiply(args, workspace_bytes(args), stream_) : run_multiply(args, stream_));
  }
  Outcome rotate(const RotateArgs& args) override { return said(run_rotate(args, stream_)); }
  Outcome activate(const ActivateArgs& args) override { return said(run_activate(args, stream_)); }
  Outcome cast(const CastArgs& args) override { return said(run_cast(args, stream_)); }
  Outcome gather(const GatherArgs& args) override { return said(run_gather(args, stream_)); }
  Outcome count_non_finite(const NonFiniteArgs& args) override { return said(run_count_non_finite(args, stream_)); }
  Outcome moments(const MomentsArgs& args) override { return said(run_moments(args, stream_)); }
  Outcome coverage(const CoverageArgs& args) override { return said(run_coverage(args, stream_)); }

  std::size_t workspace_bytes(const DecodeArgs& args) override { return workspace_of(args); }
  std::size_t workspace_bytes(const StripArgs& args) override { return workspace_of(args); }
  std::size_t workspace_bytes(const SelectArgs& args) override { return workspace_of(args); }
  std::size_t workspace_bytes(const ConvertArgs& args) override { return workspace_of(args); }
  std::size_t workspace_bytes(const BlockSelectArgs& args) override { return workspace_of(args); }
  std::size_t workspace_bytes(const MultiplyArgs& args) override { return cublas_ != nullptr ? Cublas::workspace_bytes(facts_.compute_capability) : workspace_of(args); }
  std::size_t shared_bytes(const CoverageArgs& args) override { return shared_of(args); }

 private:
  CudaDevice() = default;

  static KernelDevice* refuse(std::string& why, const std::string& sentence) {
    why = sentence;
    return nullptr;
  }

  cudaError_t start(int index, const cudaDeviceProp& properties) {
    char bus[32] = {};
    cudaError_t error = cudaSetDevice(index);
    for (cudaStream_t* stream : {&stream_, &upload_, &download_})
      if (error == cudaSuccess) error = cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking);
    if (error == cudaSuccess) error = cudaEventCreate(&start_);
    if (error == cudaSuccess) error = cudaEventCreate(&stop_);
    if (error == cudaSuccess) error = cudaDeviceGetPCIBusId(bus, sizeof bus, index);
    if (error != cudaSuccess) return error;
    management_ = std::make_unique<Management>(bus);
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    name_ = properties.name;
    driver_ = (management_->driver().empty() ? std::string("driver unknown") : "driver " + management_->driver()) + ", CUDA " + version_text(driver) + ", runtime " + version_text(runtime);
    facts_.kind = "cuda";
    facts_.name = name_.c_str();
    facts_.driver = driver_.c_str();
    facts_.memory_bytes = properties.totalGlobalMem;
    facts_.units = static_cast<std::uint32_t>(properties.multiProcessorCount);
    facts_.compute_capability = static_cast<std::uint32_t>(properties.major * 10 + properties.minor);
    facts_.cache_bytes = static_cast<std::uint64_t>(properties.l2CacheSize);
    facts_.shared_bytes = properties.sharedMemPerBlockOptin;
    return cudaSuccess;
  }

  cudaStream_t stream_of(Queue queue) const { return queue == Queue::compute ? stream_ : queue == Queue::upload ? upload_ : download_; }

  Outcome said(cudaError_t error) { return error == cudaSuccess ? nullptr : said(cudaGetErrorString(error)); }
  /// The driver's words get a code; our own have one.
  Outcome said(Outcome outcome) {
    if (outcome == nullptr || std::strncmp(outcome, "E_", 2) == 0) return outcome;
    last_ = std::string("E_CUDA_FAILED ") + outcome;
    return last_.c_str();
  }

  cudaStream_t stream_ = nullptr, upload_ = nullptr, download_ = nullptr;  // Queue::compute and the others
  cudaEvent_t start_ = nullptr, stop_ = nullptr;
  void* flush_ = nullptr;
  DeviceFacts facts_;
  std::string name_, driver_, last_;
  std::unique_ptr<Management> management_;
  std::unique_ptr<Cublas> cublas_;
};

}  // namespace
}  // namespace attnscope::gpu

extern "C" __attribute__((visibility("default"))) attnscope::KernelDevice* attnscope_open_cuda_device(std::uint32_t interface_version, std::uint32_t device, char* why,
                                                                                                         std::size_t why_bytes) {
  std::string sentence;
  attnscope::KernelDevice* opened = nullptr;
  if (interface_version != attnscope::kKernelInterfaceVersion)
    sentence = "the library has interface version " + std::to_string(attnscope::kKernelInterfaceVersion) + ", the program " + std::to_string(interface_version);
  else
    opened = attnscope::gpu::CudaDevice::open(static_cast<int>(device), sentence);
  if (opened == nullptr) std::snprintf(why, why_bytes, "%s", sentence.c_str());
  return opened;
}
