#include "host/failure.h"
#include "host/timing/timing_options.h"

namespace attnscope {
namespace timing {

/// Published budgets, one scaled to every length, and thin ones, so that sparsities spread from 0 to above 99 %.
const std::vector<std::string> budgets = {
    "a-shape:preset=search-100-800", "a-shape:preset=default", "a-shape:preset=default@N",
    "vertical-slash:preset=search-100-750", "vertical-slash:preset=default", "vertical-slash:preset=default@N", "vertical-slash:preset=search-3500-100",
    "block-sparse:top_k=16", "block-sparse:preset=default", "block-sparse:preset=default@N",
};

/// Measured within 7 minutes of one H200 (docs/gpu-checks.md adds it up): short cells, so that all lengths are reached, and patience for
/// the few long ones that decide (dense at 128K). The first run length is the one measured head by head, too.
TimingPlan gpu_plan() {
  TimingPlan plan;
  plan.device = "cuda";
  plan.dtype = DType::bf16;
  plan.shapes = {{32, 8, 128}};
  for (std::uint32_t tokens = 1024; tokens <= 1u << 20; tokens *= 2) plan.lengths.push_back(tokens);
  plan.edges = {1024, 16384};
  plan.policies = budgets;
  plan.runs = {16, 1, 0};
  plan.shares = {0.01, 0.05, 0.25};
  plan.copies = {4ull << 10, 64ull << 10, 1ull << 20, 16ull << 20, 256ull << 20, 1ull << 30};
  plan.warmups = 10;
  plan.cell_seconds = 0.3;
  plan.patience = 12;
  plan.budget_seconds = 420;
  return plan;
}

TimingPlan cpu_plan() {
  TimingPlan plan = gpu_plan();
  plan.device = "cpu";
  plan.dtype = DType::f32;
  plan.shapes = {{4, 2, 32}, {8, 2, 64}, {8, 2, 128}};
  // Halfway points, too: at few blocks a core what a length costs beside its work is as large as the work.
  plan.lengths = {256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 65536};
  plan.edges = {1024, 4096};
  plan.policies = {"a-shape:preset=search-100-800", "a-shape:preset=default@N", "vertical-slash:preset=search-100-750", "vertical-slash:preset=default@N",
                   "block-sparse:top_k=16", "block-sparse:preset=default@N"};
  plan.runs = {1, 16, 0};
  plan.shares = {0.02, 0.1, 0.5};
  plan.copies = {4ull << 10, 64ull << 10, 1ull << 20, 16ull << 20, 64ull << 20, 256ull << 20};
  plan.warmups = 2;
  plan.cell_seconds = 1;
  plan.patience = 3;
  plan.budget_seconds = 1170;
  return plan;
}

/// A look at every kernel within seconds.
TimingPlan quick_plan() {
  TimingPlan plan = cpu_plan();
  plan.shapes = {{4, 2, 32}};
  plan.lengths = {256, 512, 1024};
  plan.edges = {};
  plan.runs = {16};
  plan.shares = {0.1};
  plan.copies = {64ull << 10, 1ull << 20};
  plan.warmups = 1;
  plan.cell_seconds = 0.1;
  plan.budget_seconds = 60;
  return plan;
}

}  // namespace timing

Result<TimingPlan> preset_timing_plan(std::string_view name) {
  if (name == "cpu") return timing::cpu_plan();
  if (name == "gpu") return timing::gpu_plan();
  if (name == "quick") return timing::quick_plan();
  return failure("E_TIMING_OPTION", "--preset ", name, " is not known; cpu, gpu and quick are.");
}

}  // namespace attnscope
