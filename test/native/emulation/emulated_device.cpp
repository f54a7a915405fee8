#include "emulated_device.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <new>

#include "cuda/ops.h"

namespace attnscope {
namespace {

/// What a queue of copies has yet to do. It does nothing before somebody waits for it, the latest that a GPU could: whoever reads
/// too early, or gives memory away too early, shows.
struct LateQueue {
  std::deque<std::function<void()>> work;
  std::uint64_t done = 0;
  std::uint64_t queued() const { return done + work.size(); }
  void run_to(std::uint64_t point) {
    for (; done < point; ++done) {
      work.front()();
      work.pop_front();
    }
  }
};

struct EmulatedEvent {
  LateQueue* queue = nullptr;  // nullptr: never recorded, or in the compute queue, whose work is done at once
  std::uint64_t point = 0;
};

class EmulatedDevice : public KernelDevice {
 public:
  explicit EmulatedDevice(std::size_t block_bytes) {
    facts_.kind = "emulated";
    facts_.name = "CUDA sources on a CPU";
    facts_.driver = "fibres, one block at a time";
    facts_.memory_bytes = std::uint64_t{1} << 32;
    facts_.units = 1;
    facts_.compute_capability = 80;
    facts_.products = "own kernel";
    facts_.shared_bytes = block_bytes;
  }
  const DeviceFacts& facts() override { return facts_; }

  // Aligned as a GPU's allocations are, and exactly as long as asked.
  void* allocate(std::size_t bytes) override { return ::operator new(bytes, kAlignment, std::nothrow); }
  void release(void* memory) override { ::operator delete(memory, kAlignment); }
  void* allocate_host(std::size_t bytes) override { return std::malloc(bytes); }
  void release_host(void* memory) override { std::free(memory); }
  Outcome upload(void* to, const void* from, std::size_t bytes) override { return copy(to, from, bytes); }
  Outcome download(void* to, const void* from, std::size_t bytes) override { return copy(to, from, bytes); }
  Outcome copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
    return nullptr;
  }
  Outcome fill(void* to, std::uint8_t byte, std::size_t bytes) override { return gpu::fill_bytes(to, byte, bytes, {}); }

  std::uint64_t free_bytes() override { return facts_.memory_bytes; }

  Outcome upload_in(Queue queue, void* to, const void* from, std::size_t bytes) override { return copy_in(queue, to, from, bytes); }
  Outcome download_in(Queue queue, void* to, const void* from, std::size_t bytes) override { return copy_in(queue, to, from, bytes); }
  Event create_event() override { return new EmulatedEvent; }
  void release_event(Event event) override { delete static_cast<EmulatedEvent*>(event); }
  Outcome record(Event event, Queue queue) override {
    LateQueue* late = late_queue(queue);
    *static_cast<EmulatedEvent*>(event) = {late, late == nullptr ? 0 : late->queued()};
    return nullptr;
  }
  Outcome wait(Queue queue, Event event) override {
    LateQueue* late = late_queue(queue);
    if (late == nullptr) return await(event);
    const EmulatedEvent awaited = *static_cast<EmulatedEvent*>(event);
    if (awaited.queue != nullptr && awaited.queue != late) late->work.push_back([awaited] { awaited.queue->run_to(awaited.point); });
    return nullptr;
  }
  Outcome await(Event event) override {
    const EmulatedEvent& awaited = *static_cast<EmulatedEvent*>(event);
    if (awaited.queue != nullptr) awaited.queue->run_to(awaited.point);
    return nullptr;
  }

  Outcome synchronize() override {
    for (LateQueue& queue : late_) queue.run_to(queue.queued());
    return nullptr;
  }
  Outcome start_timer() override {
    start_ = std::chrono::steady_clock::now();
    return nullptr;
  }
  Outcome stop_timer(double* us) override {
    *us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start_).count();
    return nullptr;
  }
  Outcome flush_cache() override { return nullptr; }

  Outcome dense(const AttentionArgs& args) override { return gpu::run_dense(args, {}); }
  Outcome a_shape(const AttentionArgs& args, std::uint32_t sink, std::uint32_t local) override { return gpu::run_a_shape(args, sink, local, {}); }
  Outcome sparse(const AttentionArgs& args, const SparseIndex& index) override { return gpu::run_sparse(args, index, {}); }
  Outcome decode(const DecodeArgs& args) override { return gpu::run_decode(args, {}); }
  Outcome merge(const MergeArgs& args) override { return gpu::run_merge(args, {}); }
  Outcome strip(const StripArgs& args) override { return gpu::run_strip(args, {}); }
  Outcome select(const SelectArgs& args) override { return gpu::run_select(args, {}); }
  Outcome convert(const ConvertArgs& args) override { return gpu::run_convert(args, {}); }
  Outcome pool(const PoolArgs& args) override { return gpu::run_pool(args, {}); }
  Outcome select_blocks(const BlockSelectArgs& args) override { return gpu::run_select_blocks(args, {}); }
  Outcome lag_score(const LagArgs& args) override { return gpu::run_lag_score(args, {}); }
  Outcome hash(const HashArgs& args) override { return gpu::run_hash(args, {}); }
  Outcome sort_buckets(const BucketArgs& args) override { return gpu::run_sort_buckets(args, {}); }
  Outcome reduce(const ReduceArgs& args) override { return gpu::run_reduce(args, {}); }
  Outcome embed(const EmbedArgs& args) override { return gpu::run_embed(args, {}); }
  Outcome norm(const NormArgs& args) override { return gpu::run_norm(args, {}); }
  Outcome multiply(const MultiplyArgs& args) override { return gpu::run_multiply(args, {}); }
  Outcome rotate(const RotateArgs& args) override { return gpu::run_rotate(args, {}); }
  Outcome activate(const ActivateArgs& args) override { return gpu::run_activate(args, {}); }
  Outcome cast(const CastArgs& args) override { return gpu::run_cast(args, {}); }
  Outcome gather(const GatherArgs& args) override { return gpu::run_gather(args, {}); }
  Outcome count_non_finite(const NonFiniteArgs& args) override { return gpu::run_count_non_finite(args, {}); }
  Outcome moments(const MomentsArgs& args) override { return gpu::run_moments(args, {}); }
  Outcome coverage(const CoverageArgs& args) override { return gpu::run_coverage(args, {}); }

  std::size_t workspace_bytes(const DecodeArgs& args) override { return gpu::workspace_of(args); }
  std::size_t workspace_bytes(const StripArgs& args) override { return gpu::workspace_of(args); }
  std::size_t workspace_bytes(const SelectArgs& args) override { return gpu::workspace_of(args); }
  std::size_t workspace_bytes(const ConvertArgs& args) override { return gpu::workspace_of(args); }
  std::size_t workspace_bytes(const BlockSelectArgs& args) override { return gpu::workspace_of(args); }
  std::size_t workspace_bytes(const MultiplyArgs& args) override { return gpu::workspace_of(args); }
  std::size_t shared_bytes(const CoverageArgs& args) override { return gpu::shared_of(args); }

 private:
  LateQueue* late_queue(Queue queue) { return queue == Queue::compute ? nullptr : &late_[queue == Queue::upload ? 0 : 1]; }
  Outcome copy_in(Queue queue, void* to, const void* from, std::size_t bytes) {
    if (LateQueue* late = late_queue(queue)) late->work.push_back([this, to, from, bytes] { copy(to, from, bytes); });
    else copy(to, from, bytes);
    return nullptr;
  }

  static constexpr std::align_val_t kAlignment{256};
  LateQueue late_[2];
  DeviceFacts facts_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace

std::unique_ptr<KernelDevice> open_emulated_device(std::size_t block_bytes) { return std::make_unique<EmulatedDevice>(block_bytes); }

}  // namespace attnscope
