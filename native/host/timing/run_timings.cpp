#include "host/timing/run_timings.h"

#include <cmath>

#include "host/failure.h"
#include "host/timing/cells.h"

namespace attnscope {
namespace timing {

struct Operation {
  const char* name;
  Status (*time)(Bench& bench, const Group& group);
};
constexpr Operation operations[] = {
    {"dense", time_dense}, {"a-shape", time_a_shape}, {"vertical-slash", time_vertical_slash}, {"block-sparse", time_block_sparse}, {"decode", time_decode},
    {"decode-list", time_decode_list}, {"lagkv", time_lagkv}, {"simhash", time_simhash}, {"reduce", time_reduce},
};

std::string name_of(const Group& group) {
  return text(group.tokens, " tokens, ", group.shape.heads, "/", group.shape.kv_heads, "x", group.shape.head_dim);
}

/// What is measured, in order.
std::vector<Group> groups_of(const TimingPlan& plan) {
  std::vector<Group> groups;
  const auto add = [&](const TimingShape& shape, std::uint32_t tokens, const CapturedLayer* captured) {
    groups.emplace_back();
    groups.back().shape = shape, groups.back().tokens = tokens, groups.back().captured = captured;
  };
  if (plan.synthetic)
    for (const std::uint32_t tokens : all_lengths(plan))
      for (const TimingShape& shape : plan.shapes) add(shape, tokens, nullptr);
  for (const CapturedLayer& layer : plan.captured) add(layer.shape, layer.tokens, &layer);
  return groups;
}

Result<DeviceMemory> captured_rows(Bench& bench, const std::vector<float>& values, const char* what) {
  std::vector<std::uint8_t> stored(values.size() * size_of(bench.plan().dtype));
  if (from_float(bench.plan().dtype, values.data(), values.size(), stored.data()) > 0)
    return Error{"E_VECTORS_OVERFLOW", std::string("captured ") + what + " exceed f16; measure with --dtype bf16."};
  return bench.upload(stored, what);
}

/// Queries, keys, values and outputs on the device.
Status fill(Bench& bench, Group& group) {
  const auto& [heads, kv_heads, dim] = group.shape;
  const std::uint64_t head = std::uint64_t{group.tokens} * dim;
  const CapturedLayer* captured = group.captured;
  auto q = captured ? captured_rows(bench, captured->q, "queries") : bench.normals(heads * head, 1, "queries");
  auto k = captured ? captured_rows(bench, captured->k, "keys") : bench.normals(kv_heads * head, 2, "keys");
  auto v = captured ? captured_rows(bench, captured->v, "values") : bench.normals(kv_heads * head, 3, "values");
  auto out = bench.allocate(heads * head * size_of(bench.plan().dtype), "outputs");
  for (const auto* each : {&q, &k, &v, &out})
    if (!each->ok()) return each->error();
  group.q = q.take(), group.k = k.take(), group.v = v.take(), group.out = out.take();
  AttentionArgs& args = group.attention;
  args.dtype = bench.plan().dtype;
  args.heads = heads, args.kv_heads = kv_heads, args.head_dim = dim;
  args.queries = args.keys = group.tokens;
  args.scale = 1 / std::sqrt(static_cast<float>(dim));
  args.q = {group.q.as(), head, dim}, args.k = {group.k.as(), head, dim}, args.v = {group.v.as(), head, dim}, args.out = {group.out.as(), head, dim};
  return success();
}

/// Captured vectors are there for their indices: other operations do not look at them.
bool applies(const Group& group, std::string_view op) { return group.captured == nullptr || op == "vertical-slash" || op == "block-sparse"; }

class Run {
 public:
  Run(KernelDevice& device, const TimingPlan& plan, TimingSink& sink, const Cancellation& cancellation) : bench_(device, plan, sink, cancellation), plan_(plan), sink_(sink) {}

  Status all() {
    std::vector<Group> groups = groups_of(plan_);
    for (const Group& group : groups)
      for (const Operation& operation : operations) total_ += measures(plan_, operation.name) && applies(group, operation.name);
    const bool merge = plan_.synthetic && measures(plan_, "merge"), copies = plan_.synthetic && measures(plan_, "copy");
    total_ += (merge + copies) * static_cast<std::uint32_t>(plan_.shapes.size());
    // What depends on no length takes seconds: before the lengths, which use up whatever budget there is.
    for (const TimingShape& shape : plan_.shapes) {
      if (!merge && !copies) break;
      ATTNSCOPE_TRY(wake(shape));
      if (merge) ATTNSCOPE_TRY(step("merge", [&] { return time_merge(bench_, shape); }));
      if (copies) ATTNSCOPE_TRY(step("copy", [&] { return time_copies(bench_, shape); }));
      ATTNSCOPE_TRY(sink_.group_done());
    }
    for (Group& each : groups) {
      Group group = std::move(each);  // its memory goes when it has been measured
      ATTNSCOPE_TRY(measure(group));
      ATTNSCOPE_TRY(sink_.group_done());
    }
    sink_.progress(total_, total_, "");
    return success();
  }

 private:
  /// Once in a run; who asks for a single warm-up is in a hurry.
  Status wake(const Group& group) {
    if (plan_.warmups <= 1 || std::exchange(awake_, true)) return success();
    return bench_.wake([&] { return bench_.device().a_shape(group.attention, 64, 64); });
  }

  Status wake(const TimingShape& shape) {
    if (plan_.warmups <= 1 || awake_ || bench_.out_of_time()) return success();
    Group group;
    group.shape = shape, group.tokens = 1024;
    return fill(bench_, group) ? wake(group) : success();
  }

  Status measure(Group& group) {
    // Nothing is filled in that the budget leaves no time for.
    const Status filled = bench_.out_of_time() ? success() : fill(bench_, group);
    if (filled) ATTNSCOPE_TRY(wake(group));
    for (const Operation& operation : operations) {
      if (!measures(plan_, operation.name) || !applies(group, operation.name)) continue;
      const TimingRow row = bench_.row(group, operation.name, "");
      ATTNSCOPE_TRY(step(std::string(operation.name) + ", " + name_of(group), [&] {
        if (bench_.out_of_time()) return bench_.skip(row, "the time budget is used up"), success();
        if (!filled) return bench_.skip(row, filled.error().message), success();
        return operation.time(bench_, group);
      }));
    }
    return success();
  }

  template <class Work>
  Status step(const std::string& what, const Work& work) {
    if (bench_.cancellation().requested()) return cancelled();
    sink_.progress(done_, total_, what);
    const Status status = work();
    ++done_;
    return status;
  }

  Bench bench_;
  const TimingPlan& plan_;
  TimingSink& sink_;
  std::uint32_t done_ = 0, total_ = 0;
  bool awake_ = false;
};

}  // namespace timing

Result<TimingOutcome> run_timings(KernelDevice& device, const TimingPlan& plan, TimingSink& sink, const Cancellation& cancellation) {
  ATTNSCOPE_TRY(validate(plan));
  const Status status = timing::Run(device, plan, sink, cancellation).all();
  if (status) return TimingOutcome::complete;
  // Whatever ended the run: what was measured before is handed on first.
  const Status kept = sink.group_done();
  if (!is_cancelled(status.error())) return status.error();
  ATTNSCOPE_TRY(kept);
  return TimingOutcome::cancelled;
}

}  // namespace attnscope
