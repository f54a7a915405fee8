// K and V of a policy run on its device: a cache that loses rows. Kv heads lie one after the other in a layer and each holds as many rows
// as it has left, in the order of their positions.
#pragma once
#include <span>
#include <vector>

#include "host/device/device_memory.h"
#include "host/plan.h"

namespace attnscope {

/// Makes a buffer to work in at least `bytes` long, with room for what grows a little at every call; what was in it is lost.
Status grow(KernelDevice& device, DeviceMemory& memory, DeviceBuffer& buffer, std::uint64_t bytes, const char* what);

class DevicePolicyCache {
 public:
  /// All arguments outlive this.
  DevicePolicyCache(const Plan& plan, KernelDevice& device, DeviceMemory& memory);

  /// Room for `rows` in every kv head of a layer; what is held stays. `exact`: no more than that, else an eighth on top.
  Status reserve(std::uint32_t layer, std::size_t rows, bool exact);
  /// Adds rows that lie token by token, [rows][kv heads * head dim].
  Status append(std::uint32_t layer, const void* keys, const void* values, std::uint32_t rows);
  /// Counts rows that were written behind the last one of every kv head, all of which hold as many.
  void appended_in_place(std::uint32_t layer, std::uint32_t rows);
  /// Drops rows by their ascending indices, slots[kv head], which are there. Memory that falls to less than half used is given back.
  Status evict(std::uint32_t layer, std::span<const std::vector<std::uint32_t>> slots);

  /// Rows of kv heads `kv_head`, `kv_head` + 1, ... from `row` on.
  HeadTensor keys(std::uint32_t layer, std::uint32_t kv_head = 0, std::size_t row = 0) const { return rows_of(layers_[layer].keys, layer, kv_head, row); }
  HeadTensor values(std::uint32_t layer, std::uint32_t kv_head = 0, std::size_t row = 0) const { return rows_of(layers_[layer].values, layer, kv_head, row); }
  std::size_t row_bytes() const { return row_bytes_; }
  std::size_t length(std::uint32_t layer, std::uint32_t kv_head) const { return layers_[layer].held[kv_head]; }
  std::size_t longest(std::uint32_t layer) const;
  bool uniform(std::uint32_t layer) const;
  std::size_t appended(std::uint32_t layer) const { return layers_[layer].appended; }
  std::uint64_t tokens() const { return tokens_; }

  /// 0, 1, 2, ... on the device, at least `count` of them.
  Result<const std::uint32_t*> counting(std::size_t count);

 private:
  struct Layer {
    DeviceBuffer keys, values;        // [kv heads][capacity][head dim]
    std::size_t capacity = 0, appended = 0;
    std::vector<std::uint32_t> held;  // [kv heads]
  };
  HeadTensor rows_of(const DeviceBuffer& buffer, std::uint32_t layer, std::uint32_t kv_head, std::size_t row) const;
  Status allocate(DeviceBuffer& keys, DeviceBuffer& values, std::size_t capacity);

  const Plan& plan_;
  KernelDevice& device_;
  DeviceMemory& memory_;
  std::uint32_t kv_heads_;
  std::size_t row_bytes_;
  std::uint64_t tokens_ = 0;
  std::vector<Layer> layers_;
  // What a layer's rows were moved out of, if the next one fits in there; lists of rows.
  DeviceBuffer spare_keys_, spare_values_, list_, counting_;
};

}  // namespace attnscope
