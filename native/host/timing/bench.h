// What all measurements share: memory of the device within a limit, the loop over repetitions, and where rows go.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "core/timing/work.h"
#include "host/cancellation.h"
#include "host/kernels/kernel_device.h"
#include "host/timing/timing_plan.h"
#include "host/timing/timing_row.h"

namespace attnscope {

/// Receives what is measured, in order, on the thread that measures. An error stops the run.
class TimingSink {
 public:
  virtual ~TimingSink() = default;
  virtual Status row(const TimingRow& row) = 0;
  virtual void skipped(const TimingSkip& skip) = 0;
  /// Operations finished and in all, one for each length and shape; `what` is the next.
  virtual void progress(std::uint32_t done, std::uint32_t total, const std::string& what) = 0;
  /// A length of a shape is done: the moment to write to disk.
  virtual Status group_done() = 0;
};

namespace timing {

class Bench;

/// Memory of the device, given back when it goes out of scope.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(DeviceMemory&& other) noexcept : bench_(std::exchange(other.bench_, nullptr)), data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(bench_, other.bench_), std::swap(data_, other.data_), std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceMemory();

  template <class T = void>
  T* as() const { return static_cast<T*>(data_); }

 private:
  friend class Bench;
  Bench* bench_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// One length of one shape. Queries at positions [0, tokens).
struct Group {
  TimingShape shape;
  std::uint32_t tokens = 0;
  const CapturedLayer* captured = nullptr;
  DeviceMemory q, k, v, out;
  AttentionArgs attention;                 // of all heads; lse is null
};

class Bench {
 public:
  Bench(KernelDevice& device, const TimingPlan& plan, TimingSink& sink, const Cancellation& cancellation);

  KernelDevice& device() { return device_; }
  const TimingPlan& plan() const { return plan_; }
  const Cancellation& cancellation() const { return cancellation_; }
  TimingSink& sink() { return sink_; }

  /// Uninitialised. The error's message is a reason to leave measurements out.
  Result<DeviceMemory> allocate(std::uint64_t bytes, const char* what);
  template <class T>
  Result<DeviceMemory> upload(const std::vector<T>& values, const char* what) {
    auto memory = allocate(values.size() * sizeof(T), what);
    if (!memory) return memory;
    if (const Status status = passed(device_.upload(memory.value().as(), values.data(), values.size() * sizeof(T))); !status) return status.error();
    return memory;
  }
  /// Normal numbers, mean 0 and variance 1, of the plan's dtype; the same 2^20 of them over and over, out of step with every
  /// row length (an odd period), because drawing them costs more than most kernels.
  Result<DeviceMemory> normals(std::uint64_t count, std::uint64_t purpose, const char* what);

  /// A row with everything but times filled in.
  TimingRow row(const char* op, const char* phase) const;
  TimingRow row(const Group& group, const char* op, const char* phase) const;

  /// Measures `op`, which queues on the device and waits for nothing, and hands the row on. `work` fills in the row's work, bytes
  /// and flops. Fails only where the run cannot go on: cancelled, a sink that stops, a device that no longer answers.
  Status measure(TimingRow row, const KernelShape& work, const std::function<Outcome()>& op);
  /// Keeps the device busy for a moment, so that the first measurements do not run at the clock of an idle one.
  Status wake(const std::function<Outcome()>& op);
  /// Says why a measurement is not made.
  void skip(const TimingRow& row, const std::string& reason);
  /// Seconds of the budget are used up.
  bool out_of_time() const { return plan_.budget_seconds > 0 && seconds() > plan_.budget_seconds; }

  /// An Outcome as a Status.
  static Status passed(Outcome outcome);

 private:
  friend class DeviceMemory;
  using Clock = std::chrono::steady_clock;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  /// What a repetition may take at most, so that the fewest of them fit the plan's patience.
  double longest_us() const { return plan_.patience * plan_.cell_seconds * 1e6 / kFewestRepetitions; }
  Status repeat(TimingRow& row, const std::function<Outcome()>& op, std::string& reason);

  KernelDevice& device_;
  const TimingPlan& plan_;
  TimingSink& sink_;
  const Cancellation& cancellation_;
  const Clock::time_point start_ = Clock::now();
  std::uint64_t limit_ = 0, used_ = 0;
  std::string device_name_, driver_, date_, source_;
  std::uint16_t threads_ = 0;
  std::vector<std::uint8_t> normals_;      // in the plan's dtype
  /// Microseconds a unit of work where an operation was last measured: what the next length will take.
  std::map<std::string, double> rate_;
};

}  // namespace timing
}  // namespace attnscope
