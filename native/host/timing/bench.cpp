#include "host/timing/bench.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "core/policy/seeded.h"
#include "host/failure.h"
#include "host/machine.h"
#include "host/timing/statistics.h"

namespace attnscope::timing {
namespace {

constexpr std::uint64_t kDrawn = (1u << 20) - 1;

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

const char* name_of(DType dtype) { return dtype == DType::f32 ? "f32" : dtype == DType::f16 ? "f16" : "bf16"; }

std::string rounded(double value, const char* unit) {
  char text[48];
  std::snprintf(text, sizeof text, "%.3g %s", value, unit);
  return text;
}

}  // namespace

DeviceMemory::~DeviceMemory() {
  if (bench_ == nullptr) return;
  bench_->device_.release(data_);
  bench_->used_ -= bytes_;
}

Bench::Bench(KernelDevice& device, const TimingPlan& plan, TimingSink& sink, const Cancellation& cancellation)
    : device_(device), plan_(plan), sink_(sink), cancellation_(cancellation) {
  const DeviceFacts& facts = device.facts();
  limit_ = plan.memory_bytes != 0 ? plan.memory_bytes : facts.memory_bytes / 5 * 4;
  device_name_ = facts.name;
  driver_ = facts.driver;
  date_ = now_utc();
  source_ = std::string("attnscope ") + machine_info().version;
  threads_ = std::string_view(facts.kind) == "cuda" ? 0 : static_cast<std::uint16_t>(facts.units);
}

Status Bench::passed(Outcome outcome) {
  if (outcome == nullptr) return success();
  const std::string_view text = outcome;
  const std::size_t space = text.find(' ');
  return Error{std::string(text.substr(0, space)), space == std::string_view::npos ? std::string(text) : std::string(text.substr(space + 1))};
}

Result<DeviceMemory> Bench::allocate(std::uint64_t bytes, const char* what) {
  bytes = std::max<std::uint64_t>(bytes, 1);
  const auto refused = [&] {
    return Error{"E_OUT_OF_MEMORY", std::string(what) + " take " + rounded(double(bytes) / 1e9, "GB") + "; " + rounded(double(used_) / 1e9, "GB") + " of " +
                                        rounded(double(limit_) / 1e9, "GB") + " are in use"};
  };
  if (limit_ != 0 && bytes > limit_ - std::min(limit_, used_)) return refused();
  DeviceMemory memory;
  memory.data_ = device_.allocate(bytes);
  if (memory.data_ == nullptr) return refused();
  memory.bench_ = this;
  memory.bytes_ = bytes;
  used_ += bytes;
  return memory;
}

Result<DeviceMemory> Bench::normals(std::uint64_t count, std::uint64_t purpose, const char* what) {
  const std::size_t element = size_of(plan_.dtype);
  if (normals_.empty()) {
    const seeded::Stream stream("timing normals", {plan_.seed});
    std::vector<float> drawn(kDrawn + 1);
    for (std::uint64_t pair = 0; 2 * pair < kDrawn; ++pair) stream.normal_pair(pair, drawn[2 * pair], drawn[2 * pair + 1]);
    normals_.resize(kDrawn * element);
    from_float(plan_.dtype, drawn.data(), kDrawn, normals_.data());
  }
  auto memory = allocate(count * element, what);
  if (!memory) return memory;
  auto* to = memory.value().as<std::uint8_t>();
  // Every tensor begins at another place of the period.
  std::uint64_t from = purpose * 349'525 % kDrawn;
  for (std::uint64_t at = 0; at < count; from = 0) {
    const std::uint64_t part = std::min(count - at, kDrawn - from);
    if (const Status status = passed(device_.upload(to + at * element, normals_.data() + from * element, part * element)); !status) return status.error();
    at += part;
  }
  return memory;
}

TimingRow Bench::row(const char* op, const char* phase) const {
  TimingRow row;
  row.device = device_name_, row.driver = driver_, row.date = date_, row.source = source_;
  row.op = op, row.phase = phase, row.batching = "batched", row.dtype = name_of(plan_.dtype);
  row.threads = threads_;
  row.flushed = plan_.flush;
  return row;
}

TimingRow Bench::row(const Group& group, const char* op, const char* phase) const {
  TimingRow row = this->row(op, phase);
  row.tokens = row.queries = group.tokens;
  row.heads = static_cast<std::uint16_t>(group.shape.heads);
  row.kv_heads = static_cast<std::uint16_t>(group.shape.kv_heads);
  row.head_dim = static_cast<std::uint16_t>(group.shape.head_dim);
  return row;
}

void Bench::skip(const TimingRow& row, const std::string& reason) {
  sink_.skipped({row.op, row.phase, row.policy, row.indices, row.batching, row.tokens, row.heads, row.kv_heads, row.head_dim, reason});
}

Status Bench::wake(const std::function<Outcome()>& op) {
  constexpr double enough = 0.3;  // seconds: governors of processors and GPUs look some times in a tenth of one
  for (const double begin = seconds(); seconds() - begin < enough;) {
    if (cancellation_.requested()) return cancelled();
    // What the device refuses is said where it is measured.
    if (op() != nullptr || device_.synchronize() != nullptr) break;
  }
  return success();
}

Status Bench::measure(TimingRow row, const KernelShape& shape, const std::function<Outcome()>& op) {
  if (cancellation_.requested()) return cancelled();
  if (out_of_time()) return skip(row, "the budget of " + rounded(plan_.budget_seconds, "s") + " is used up"), success();
  const auto known_work = kernel_work(shape);
  if (!known_work) return known_work.error();
  const KernelWork& work = known_work.value();
  if (!(work.work + work.column_work > 0)) return skip(row, "there is nothing to compute"), success();
  row.work = work.work, row.column_work = work.column_work, row.work_unit = work.unit;
  row.bytes = work.bytes, row.flops = work.flops;

  const std::string key = text(row.op, ' ', row.phase, ' ', row.batching, ' ', row.heads, '/', row.kv_heads, 'x', row.head_dim);
  const double units = std::max(1.0, work.work + work.column_work);
  if (const auto known = rate_.find(key); known != rate_.end() && known->second * units > longest_us())
    return skip(row, "one repetition would take about " + rounded(known->second * units / 1e6, "s") + ", five more than the " + rounded(plan_.patience * plan_.cell_seconds, "s") + " they may take"), success();

  std::string reason;
  if (const Status status = repeat(row, op, reason); !status) return status;
  if (row.count == 0) return skip(row, reason), success();
  rate_[key] = row.median_us / units;
  return sink_.row(row);
}

Status Bench::repeat(TimingRow& row, const std::function<Outcome()>& op, std::string& reason) {
  std::vector<double> times;
  const auto once = [&](double& us) {
    if (plan_.flush)
      if (const Outcome outcome = device_.flush_cache()) return outcome;
    if (const Outcome outcome = device_.start_timer()) return outcome;
    if (const Outcome outcome = op()) return outcome;
    return device_.stop_timer(&us);
  };
  const auto failed = [&](Outcome outcome) -> Status {
    reason = outcome;
    row.count = 0;
    // An operation that the device refuses is left out; a device that does not answer any more ends the run.
    if (const Outcome dead = device_.synchronize()) return failure("E_TIMING_DEVICE", row.device, " stopped answering in ", row.op, "/", row.phase, ": ", std::string_view(dead));
    return success();
  };

  // Whether there is patience for five is judged by the quickest so far: another process may hold the first one up.
  double us = 0, warm_seconds = 0, quickest = std::numeric_limits<double>::infinity();
  for (row.warmups = 0; row.warmups < std::max(1u, plan_.warmups) || (row.warmups == 1 && quickest > longest_us());) {
    if (cancellation_.requested()) return cancelled();
    if (const Outcome outcome = once(us)) return failed(outcome);
    ++row.warmups;
    quickest = std::min(quickest, us);
    warm_seconds += us / 1e6;
    if (warm_seconds > plan_.cell_seconds / 4 && quickest <= longest_us()) break;
  }
  if (quickest > longest_us()) {
    reason = "one repetition takes " + rounded(quickest / 1e6, "s") + ", five more than the " + rounded(plan_.patience * plan_.cell_seconds, "s") + " they may take";
    return success();
  }
  const double begin = seconds();
  while (times.size() < plan_.repeats && (times.size() < kFewestRepetitions || seconds() - begin < plan_.cell_seconds)) {
    if (cancellation_.requested()) return cancelled();
    if (const Outcome outcome = once(us)) return failed(outcome);
    times.push_back(us);
  }
  const double clock = device_.facts().clock_mhz;
  row.clock_mhz = clock > 0 ? clock : kNotKnown;
  const TimeStatistics of = time_statistics(std::move(times));
  row.count = of.count;
  row.median_us = of.median, row.p10_us = of.p10, row.p90_us = of.p90, row.min_us = of.min, row.mean_us = of.mean;
  if (row.count < plan_.repeats) row.note = text(row.note, row.note.empty() ? "" : "; ", "fewer repetitions: ", rounded(plan_.cell_seconds, "s"), " used up");
  return success();
}

}  // namespace attnscope::timing
