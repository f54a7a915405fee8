// The CPU's device with queues that do nothing before somebody waits for them, any of the three, the latest that a GPU could: whoever reads too
// early, writes too early or gives memory away too early, shows. Memory is full of NaNs before it is written and after it is released.
#pragma once
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "host/kernels/cpu_device.h"

namespace attnscope {

class LateDevice final : public KernelDevice {
 public:
  /// Which queues are late; the others do their work at once, as soon as what it waits for is done.
  LateDevice(bool compute, bool copies) : cpu_(open_cpu_device(1)), facts_(cpu_->facts()) {
    facts_.kind = "late";
    queues_[0].late = compute, queues_[1].late = queues_[2].late = copies;
  }
  ~LateDevice() override {
    for (void* memory : released_) std::free(memory);
  }
  const DeviceFacts& facts() override { return facts_; }

  void* allocate(std::size_t bytes) override { return make(bytes, device_); }
  void release(void* memory) override {
    (void)synchronize();  // as a GPU's driver does
    bury(memory, device_);
  }
  void* allocate_host(std::size_t bytes) override { return make(bytes, pinned_); }
  void release_host(void* memory) override { bury(memory, pinned_); }
  Outcome upload(void* to, const void* from, std::size_t bytes) override {
    const auto after = pinned_.upper_bound(const_cast<void*>(from));
    if (after != pinned_.begin() && from < static_cast<const std::byte*>(std::prev(after)->first) + std::prev(after)->second) return copy(to, from, bytes);
    std::vector<std::byte> kept(bytes);
    if (bytes > 0) std::memcpy(kept.data(), from, bytes);
    return push(queues_[0], [to, kept = std::move(kept)] { std::memcpy(to, kept.data(), kept.size()); });
  }
  Outcome download(void* to, const void* from, std::size_t bytes) override { return copy(to, from, bytes); }
  Outcome copy(void* to, const void* from, std::size_t bytes) override { return push(queues_[0], [=] { std::memmove(to, from, bytes); }); }
  Outcome fill(void* to, std::uint8_t byte, std::size_t bytes) override { return push(queues_[0], [=] { std::memset(to, byte, bytes); }); }
  std::uint64_t free_bytes() override { return cpu_->free_bytes(); }

  Outcome upload_in(Queue queue, void* to, const void* from, std::size_t bytes) override { return push(of(queue), [=] { std::memcpy(to, from, bytes); }); }
  Outcome download_in(Queue queue, void* to, const void* from, std::size_t bytes) override { return push(of(queue), [=] { std::memcpy(to, from, bytes); }); }
  Event create_event() override { return new Point; }
  void release_event(Event event) override { delete static_cast<Point*>(event); }
  Outcome record(Event event, Queue queue) override {
    *static_cast<Point*>(event) = {&of(queue), of(queue).queued()};
    return nullptr;
  }
  Outcome wait(Queue queue, Event event) override {
    const Point point = *static_cast<Point*>(event);
    return push(of(queue), [point] { reach(point); });
  }
  Outcome await(Event event) override {
    reach(*static_cast<Point*>(event));
    return nullptr;
  }
  Outcome synchronize() override {
    for (Lane& lane : queues_) reach({&lane, lane.queued()});
    return nullptr;
  }
  Outcome start_timer() override { return cpu_->start_timer(); }
  Outcome stop_timer(double* us) override { return cpu_->stop_timer(us); }
  Outcome flush_cache() override { return nullptr; }

#define ATTNSCOPE_LATE(operation, Args) \
  Outcome operation(const Args& args) override { return push(queues_[0], [this, args] { (void)cpu_->operation(args); }); }
  ATTNSCOPE_LATE(dense, AttentionArgs)
  ATTNSCOPE_LATE(decode, DecodeArgs)
  ATTNSCOPE_LATE(merge, MergeArgs)
  ATTNSCOPE_LATE(strip, StripArgs)
  ATTNSCOPE_LATE(select, SelectArgs)
  ATTNSCOPE_LATE(convert, ConvertArgs)
  ATTNSCOPE_LATE(pool, PoolArgs)
  ATTNSCOPE_LATE(select_blocks, BlockSelectArgs)
  ATTNSCOPE_LATE(lag_score, LagArgs)
  ATTNSCOPE_LATE(hash, HashArgs)
  ATTNSCOPE_LATE(sort_buckets, BucketArgs)
  ATTNSCOPE_LATE(reduce, ReduceArgs)
  ATTNSCOPE_LATE(embed, EmbedArgs)
  ATTNSCOPE_LATE(norm, NormArgs)
  ATTNSCOPE_LATE(multiply, MultiplyArgs)
  ATTNSCOPE_LATE(rotate, RotateArgs)
  ATTNSCOPE_LATE(activate, ActivateArgs)
  ATTNSCOPE_LATE(cast, CastArgs)
  ATTNSCOPE_LATE(gather, GatherArgs)
  ATTNSCOPE_LATE(count_non_finite, NonFiniteArgs)
  ATTNSCOPE_LATE(moments, MomentsArgs)
  ATTNSCOPE_LATE(coverage, CoverageArgs)
#undef ATTNSCOPE_LATE
  Outcome a_shape(const AttentionArgs& args, std::uint32_t sink, std::uint32_t local) override {
    return push(queues_[0], [=, this] { (void)cpu_->a_shape(args, sink, local); });
  }
  Outcome sparse(const AttentionArgs& args, const SparseIndex& index) override {
    return push(queues_[0], [=, this] { (void)cpu_->sparse(args, index); });
  }

  std::size_t workspace_bytes(const DecodeArgs& args) override { return cpu_->workspace_bytes(args); }
  std::size_t workspace_bytes(const StripArgs& args) override { return cpu_->workspace_bytes(args); }
  std::size_t workspace_bytes(const SelectArgs& args) override { return cpu_->workspace_bytes(args); }
  std::size_t workspace_bytes(const ConvertArgs& args) override { return cpu_->workspace_bytes(args); }
  std::size_t workspace_bytes(const BlockSelectArgs& args) override { return cpu_->workspace_bytes(args); }
  std::size_t workspace_bytes(const MultiplyArgs& args) override { return cpu_->workspace_bytes(args); }
  std::size_t shared_bytes(const CoverageArgs& args) override { return cpu_->shared_bytes(args); }

 private:
  struct Lane {
    bool late = false;
    std::deque<std::function<void()>> work;
    std::uint64_t done = 0;
    std::uint64_t queued() const { return done + work.size(); }
  };
  struct Point {
    Lane* lane = nullptr;  // nullptr: never recorded
    std::uint64_t at = 0;
  };
  static void reach(const Point& point) {
    while (point.lane != nullptr && point.lane->done < point.at) {
      const std::function<void()> work = std::move(point.lane->work.front());
      work();
      point.lane->work.pop_front();
      ++point.lane->done;
    }
  }
  Lane& of(Queue queue) { return queues_[static_cast<std::size_t>(queue)]; }
  Outcome push(Lane& lane, std::function<void()> work) {
    lane.work.push_back(std::move(work));
    if (!lane.late) reach({&lane, lane.queued()});
    return nullptr;
  }
  static void* make(std::size_t bytes, std::map<void*, std::size_t>& held) {
    const std::size_t rounded = (bytes + 255) / 256 * 256 + 256;
    void* memory = std::aligned_alloc(256, rounded);
    if (memory == nullptr) return nullptr;
    std::memset(memory, 0xFF, rounded);
    held[memory] = rounded;
    return memory;
  }
  void bury(void* memory, std::map<void*, std::size_t>& held) {
    if (memory == nullptr) return;
    std::memset(memory, 0xFF, held[memory]);
    held.erase(memory);
    released_.push_back(memory);
  }

  std::unique_ptr<KernelDevice> cpu_;
  DeviceFacts facts_;
  Lane queues_[3];
  std::map<void*, std::size_t> device_, pinned_;
  std::vector<void*> released_;
};

}  // namespace attnscope
