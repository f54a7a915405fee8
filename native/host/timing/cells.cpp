#include "host/timing/cells.h"

namespace attnscope::timing {

KernelShape work_of(const Bench& bench, const Group& group, const TimingRow& row) {
  KernelShape shape;
  shape.op = row.op, shape.phase = row.phase;
  shape.tokens = row.tokens, shape.queries = row.queries;
  shape.heads = group.shape.heads, shape.kv_heads = group.shape.kv_heads, shape.head_dim = group.shape.head_dim;
  shape.bytes_per_element = static_cast<double>(size_of(bench.plan().dtype));
  return shape;
}

double sparsity_of(const Group& group, double blocks) { return 1 - blocks * (64.0 * 64.0) / (0.5 * group.tokens * (group.tokens + 1.0) * group.shape.heads); }

std::vector<Batching> batchings(const TimingPlan& plan) {
  std::vector<Batching> all;
  if (plan.batched) all.push_back({"batched", false});
  if (plan.per_head) all.push_back({"per head", true});
  return all;
}

HeadTensor of_head(const HeadTensor& tensor, std::uint32_t head, DType dtype) {
  return {static_cast<std::uint8_t*>(tensor.data) + head * tensor.head_stride * size_of(dtype), tensor.head_stride, tensor.row_stride};
}

AttentionArgs of_head(const AttentionArgs& all, std::uint32_t head) {
  AttentionArgs one = all;
  const std::uint32_t kv_head = head / (all.heads / all.kv_heads);
  one.heads = one.kv_heads = 1;
  one.q = of_head(all.q, head, all.dtype);
  one.k = of_head(all.k, kv_head, all.dtype);
  one.v = of_head(all.v, kv_head, all.dtype);
  one.out = of_head(all.out, head, all.dtype);
  if (all.lse != nullptr) one.lse = all.lse + std::size_t{head} * all.queries;
  return one;
}

SparseIndex of_head(const SparseIndex& all, std::uint32_t head, std::uint32_t row_blocks) {
  SparseIndex one = all;
  one.tile_offset += head * (row_blocks + std::size_t{1});
  one.tile += head * all.tile_capacity;
  if (all.column_offset == nullptr) return one;
  one.column_offset += head * (row_blocks + std::size_t{1});
  one.column += head * all.column_capacity;
  return one;
}

Result<IndexMemory> allocate_index(Bench& bench, const Group& group, std::uint64_t tiles, std::uint64_t columns) {
  IndexMemory memory;
  const std::uint64_t heads = group.shape.heads, offsets = heads * (group.attention.row_blocks() + 1);
  const auto take = [&](DeviceMemory& to, std::uint64_t count) -> Status {
    auto part = bench.allocate(4 * count, "index arrays");
    if (!part) return part.error();
    to = part.take();
    return success();
  };
  for (const auto& [to, count] : {std::pair<DeviceMemory*, std::uint64_t>{&memory.tile_offset, offsets}, {&memory.tile, heads * tiles}})
    if (const Status status = take(*to, count); !status) return status.error();
  if (columns > 0)
    for (const auto& [to, count] : {std::pair<DeviceMemory*, std::uint64_t>{&memory.column_offset, offsets}, {&memory.column, heads * columns}})
      if (const Status status = take(*to, count); !status) return status.error();
  memory.index = {memory.tile_offset.as<std::uint32_t>(), memory.tile.as<std::uint32_t>(), memory.column_offset.as<std::uint32_t>(), memory.column.as<std::uint32_t>(), tiles, columns};
  return memory;
}

Result<IndexWork> count_index(Bench& bench, const Group& group, const SparseIndex& index) {
  const std::uint32_t row_blocks = group.attention.row_blocks();
  std::vector<std::uint32_t> offset(group.shape.heads * (row_blocks + std::size_t{1}));
  IndexWork work;
  for (const std::uint32_t* on_device : {index.tile_offset, index.column_offset}) {
    if (on_device == nullptr) continue;
    if (const Status status = Bench::passed(bench.device().download(offset.data(), on_device, 4 * offset.size())); !status) return status.error();
    if (const Status status = Bench::passed(bench.device().synchronize()); !status) return status.error();
    for (std::uint32_t h = 0; h < group.shape.heads; ++h) {
      const std::uint32_t* of = offset.data() + h * (row_blocks + std::size_t{1});
      for (std::uint32_t m = 0; m < row_blocks; ++m) {
        if (on_device == index.tile_offset) work.tiles += of[m + 1] - of[m];
        else work.column_tiles += (of[m + 1] - of[m] + 63) / 64;
      }
    }
  }
  work.sparsity = sparsity_of(group, static_cast<double>(work.tiles + work.column_tiles));
  return work;
}

}  // namespace attnscope::timing
