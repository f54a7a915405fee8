// Attention of a policy run's heads on its device: what the CPU runner's attend_layer() does, with the device's kernels. Dense prompts,
// plans, caches that lost rows, and what single queries retrieve.
#pragma once
#include "host/device/policy_cache.h"
#include "host/policy_attention.h"

namespace attnscope {

/// Query heads [head, head + heads), which read kv heads [kv_head, kv_head + kv_heads) as a call of a kernel's own.
struct CalledHeads {
  std::uint32_t head = 0, heads = 0, kv_head = 0, kv_heads = 0;
};

class DevicePolicyAttention {
 public:
  /// All arguments outlive this.
  DevicePolicyAttention(const Plan& plan, KernelDevice& device, DeviceMemory& memory, DevicePolicyCache& cache)
      : plan_(plan), device_(device), memory_(memory), cache_(cache) {}

  /// `count` queries at positions first, first + 1, ... and their output: [count][heads * head dim] in the plan's precision.
  struct Block {
    std::byte *queries = nullptr, *out = nullptr;
    std::uint32_t first = 0, count = 0;
  };
  /// Nothing of the layer was dropped; `first` is a multiple of 64. `plans`: [heads], tokens == 0: dense; or none.
  Status prompt(std::uint32_t layer, const Block& block, std::span<const PrefillPlan> plans);
  /// Any position; positions[kv head]: of what the head holds, ascending.
  Status held(std::uint32_t layer, const Block& block, std::span<const std::span<const std::uint32_t>> positions);
  /// One query [heads * head dim], which sees all that is held or what it selected, [heads] or none. `out`: fp32.
  Status step(std::uint32_t layer, void* query, std::span<const SelectedKeys> selected, float* out);

 private:
  AttentionArgs arguments(const Block& block, const CalledHeads& run) const;
  Status prompt_run(std::uint32_t layer, const Block& block, const CalledHeads& run, std::span<const PrefillPlan> plans);
  Status held_run(std::uint32_t layer, const Block& block, std::uint32_t kv_head, std::span<const std::uint32_t> positions);
  Status step_held(std::uint32_t layer, DecodeArgs args);
  Status step_run(std::uint32_t layer, DecodeArgs args, const CalledHeads& run, std::span<const SelectedKeys> selected);
  Status decode(DecodeArgs args);
  /// Brings packed_ to the device.
  Status upload_packed();

  const Plan& plan_;
  KernelDevice& device_;
  DeviceMemory& memory_;
  DevicePolicyCache& cache_;
  std::vector<std::uint32_t> packed_;  // lists of a call, in one piece
  DeviceBuffer lists_, workspace_, lse_, held_keys_, held_values_;
};

}  // namespace attnscope
