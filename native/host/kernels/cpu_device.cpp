#include "host/kernels/cpu_device.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

#include "host/kernels/cpu_facts.h"
#include "host/kernels/cpu_operations.h"
#include "host/machine.h"

namespace attnscope {
namespace {

std::string compiler_name() {
#if defined(__clang__)
  return "Clang " + std::to_string(__clang_major__) + "." + std::to_string(__clang_minor__);
#else
  return "GCC " + std::to_string(__GNUC__) + "." + std::to_string(__GNUC_MINOR__);
#endif
}

class CpuDevice : public KernelDevice {
 public:
  explicit CpuDevice(unsigned threads) : context_(threads), name_(machine_info().cpu), driver_(compiler_name() + ", " + machine_info().simd) {
    facts_.kind = "cpu";
    facts_.name = name_.c_str();
    facts_.driver = driver_.c_str();
    facts_.memory_bytes = cpu::memory_bytes();
    facts_.units = context_.pool.threads();
    facts_.cache_bytes = cpu::last_level_cache_bytes();
    facts_.products = MatMul::library();
  }

  const DeviceFacts& facts() override {
    facts_.clock_mhz = cpu::clock_mhz();
    return facts_;
  }

  // Pages are touched here: a kernel that is timed shall not be the first to write its output.
  void* allocate(std::size_t bytes) override {
    void* memory = std::aligned_alloc(kAlignment, (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment);
    if (memory != nullptr) std::memset(memory, 0, bytes);
    return memory;
  }
  void release(void* memory) override { std::free(memory); }
  void* allocate_host(std::size_t bytes) override { return allocate(bytes); }
  void release_host(void* memory) override { std::free(memory); }
  Outcome upload(void* to, const void* from, std::size_t bytes) override { return copy(to, from, bytes); }
  Outcome download(void* to, const void* from, std::size_t bytes) override { return copy(to, from, bytes); }
  Outcome copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(to, from, bytes);
    return nullptr;
  }
  Outcome fill(void* to, std::uint8_t byte, std::size_t bytes) override {
    if (bytes != 0) std::memset(to, byte, bytes);
    return nullptr;
  }

  std::uint64_t free_bytes() override { return cpu::free_memory_bytes(); }

  // Everything is done when it returns: queues have nothing to wait for.
  Outcome upload_in(Queue, void* to, const void* from, std::size_t bytes) override { return copy(to, from, bytes); }
  Outcome download_in(Queue, void* to, const void* from, std::size_t bytes) override { return copy(to, from, bytes); }
  Event create_event() override { return this; }
  void release_event(Event) override {}
  Outcome record(Event, Queue) override { return nullptr; }
  Outcome wait(Queue, Event) override { return nullptr; }
  Outcome await(Event) override { return nullptr; }

  Outcome synchronize() override { return nullptr; }
  Outcome start_timer() override {
    start_ = std::chrono::steady_clock::now();
    return nullptr;
  }
  Outcome stop_timer(double* us) override {
    *us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start_).count();
    return nullptr;
  }

  /// Twice the cache: one pass of its size leaves part of it behind. Where the size is unknown, 64 MiB.
  Outcome flush_cache() override {
    constexpr std::size_t piece = std::size_t{1} << 20;
    const std::size_t bytes = std::max<std::uint64_t>(2 * facts_.cache_bytes, std::uint64_t{64} << 20);
    auto* buffer = reinterpret_cast<char*>(context_.floats(cpu::shared_flush, bytes / sizeof(float)));
    if (buffer == nullptr) return cpu::out_of_memory;
    ++flushes_;
    context_.pool.parallel_for(bytes / piece, [&](std::size_t i, unsigned) { std::memset(buffer + i * piece, flushes_, piece); });
    return nullptr;
  }

  Outcome dense(const AttentionArgs& args) override { return cpu::dense(context_, args); }
  Outcome a_shape(const AttentionArgs& args, std::uint32_t sink, std::uint32_t local) override { return cpu::a_shape(context_, args, sink, local); }
  Outcome sparse(const AttentionArgs& args, const SparseIndex& index) override { return cpu::sparse(context_, args, index); }
  Outcome decode(const DecodeArgs& args) override { return cpu::decode(context_, args); }
  Outcome merge(const MergeArgs& args) override { return cpu::merge(context_, args); }
  Outcome strip(const StripArgs& args) override { return cpu::strip(context_, args); }
  Outcome select(const SelectArgs& args) override { return cpu::select(context_, args); }
  Outcome convert(const ConvertArgs& args) override { return cpu::convert(context_, args); }
  Outcome pool(const PoolArgs& args) override { return cpu::pool(context_, args); }
  Outcome select_blocks(const BlockSelectArgs& args) override { return cpu::select_blocks(context_, args); }
  Outcome lag_score(const LagArgs& args) override { return cpu::lag_score(context_, args); }
  Outcome hash(const HashArgs& args) override { return cpu::hash(context_, args); }
  Outcome sort_buckets(const BucketArgs& args) override { return cpu::sort_buckets(context_, args); }
  Outcome reduce(const ReduceArgs& args) override { return cpu::reduce(context_, args); }
  Outcome embed(const EmbedArgs& args) override { return cpu::embed(context_, args); }
  Outcome norm(const NormArgs& args) override { return cpu::norm(context_, args); }
  Outcome multiply(const MultiplyArgs& args) override { return cpu::multiply(context_, args); }
  Outcome rotate(const RotateArgs& args) override { return cpu::rotate(context_, args); }
  Outcome activate(const ActivateArgs& args) override { return cpu::activate(context_, args); }
  Outcome cast(const CastArgs& args) override { return cpu::cast(context_, args); }
  Outcome gather(const GatherArgs& args) override { return cpu::gather(context_, args); }
  Outcome count_non_finite(const NonFiniteArgs& args) override { return cpu::count_non_finite(context_, args); }
  Outcome moments(const MomentsArgs& args) override { return cpu::moments(context_, args); }
  Outcome coverage(const CoverageArgs& args) override { return cpu::coverage(context_, args); }

  std::size_t workspace_bytes(const DecodeArgs&) override { return 0; }
  std::size_t workspace_bytes(const StripArgs& args) override { return cpu::strip_workspace(context_, args); }
  std::size_t workspace_bytes(const SelectArgs&) override { return 0; }
  std::size_t workspace_bytes(const ConvertArgs&) override { return 0; }
  std::size_t workspace_bytes(const BlockSelectArgs&) override { return 0; }
  std::size_t workspace_bytes(const MultiplyArgs&) override { return 0; }
  std::size_t shared_bytes(const CoverageArgs&) override { return 0; }

 private:
  static constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector
  cpu::Context context_;
  std::string name_, driver_;
  DeviceFacts facts_;
  std::chrono::steady_clock::time_point start_;
  int flushes_ = 0;
};

}  // namespace

std::unique_ptr<KernelDevice> open_cpu_device(unsigned threads) {
  return std::make_unique<CpuDevice>(threads != 0 ? threads : machine_info().threads);
}

}  // namespace attnscope
