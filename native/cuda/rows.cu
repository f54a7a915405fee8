// Whole rows of a model's activations: token embeddings, RMSNorm, and rows picked by number. A block works on one row, for gather a warp.
#include <cmath>

#include "elements.h"
#include "indices.h"
#include "ops.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned threads = 256, warps = threads / warp_size;

template <class T>
ATTNSCOPE_KERNEL(threads) embed_rows(EmbedArgs args, bool chunks) {
  const T* from = static_cast<const T*>(args.table) + std::uint64_t{args.ids[block_x()]} * args.width;
  float* to = args.out + std::uint64_t{block_x()} * args.width;
  for (std::uint32_t first = thread_index() * chunk_elements; first < args.width; first += threads * chunk_elements) {
    float x[chunk_elements];
    load_eight(x, from, first, args.width, chunks);
    store_eight(to, x, first, args.width, chunks);
  }
}

/// The row is read twice, the second time from a cache.
template <class T>
ATTNSCOPE_KERNEL(threads) norm_rows(NormArgs args, bool chunks) {
  auto* of_warp = reinterpret_cast<float*>(shared_memory());
  const float* from = args.x + std::uint64_t{block_x()} * args.width;
  T* to = static_cast<T*>(args.out) + std::uint64_t{block_x()} * args.width;
  float sum = 0;
  for (std::uint32_t first = thread_index() * chunk_elements; first < args.width; first += threads * chunk_elements) {
    float x[chunk_elements];
    load_eight(x, from, first, args.width, chunks);
#pragma unroll
    for (unsigned e = 0; e < chunk_elements; ++e) sum += x[e] * x[e];
  }
  sum = warp_sum(sum);
  if (lane_index() == 0) of_warp[warp_index()] = sum;
  sync_block();
  float total = 0;
#pragma unroll
  for (unsigned w = 0; w < warps; ++w) total += of_warp[w];
  const float scale = 1 / sqrtf(total / static_cast<float>(args.width) + args.epsilon);
  for (std::uint32_t first = thread_index() * chunk_elements; first < args.width; first += threads * chunk_elements) {
    float x[chunk_elements], weight[chunk_elements];
    load_eight(x, from, first, args.width, chunks);
    load_eight(weight, args.weight, first, args.width, chunks);
#pragma unroll
    for (unsigned e = 0; e < chunk_elements; ++e) x[e] = weight[e] * (x[e] * scale);
    store_eight(to, x, first, args.width, chunks);
  }
}

/// Unit: the largest piece that rows, strides and addresses are whole numbers of.
template <class Unit>
ATTNSCOPE_KERNEL(threads) gather_rows(GatherArgs args) {
  const std::uint32_t row = block_x() * warps + warp_index();
  if (row >= args.count) return;
  const auto* from = reinterpret_cast<const Unit*>(static_cast<const std::byte*>(args.from) + args.rows[row] * args.from_stride_bytes);
  auto* to = reinterpret_cast<Unit*>(static_cast<std::byte*>(args.out) + row * args.row_bytes);
  for (std::uint64_t i = lane_index(); i < args.row_bytes / sizeof(Unit); i += warp_size) to[i] = from[i];
}

}  // namespace

Outcome run_embed(const EmbedArgs& args, Stream stream) {
  const bool chunks = rows_in_chunks(args.table, args.width) && rows_in_chunks(args.out, args.width);
  return for_element(args.dtype, [&](auto element) { return launch(embed_rows<decltype(element)>, {args.rows}, threads, 0, stream, args, chunks); });
}

Outcome run_norm(const NormArgs& args, Stream stream) {
  const bool chunks = rows_in_chunks(args.x, args.width) && rows_in_chunks(args.weight, args.width) && rows_in_chunks(args.out, args.width);
  return for_element(args.dtype, [&](auto element) { return launch(norm_rows<decltype(element)>, {args.rows}, threads, warps * sizeof(float), stream, args, chunks); });
}

Outcome run_gather(const GatherArgs& args, Stream stream) {
  const Grid grid{ceil_div(args.count, warps)};
  const std::uint64_t common = args.row_bytes | args.from_stride_bytes | reinterpret_cast<std::uintptr_t>(args.from) | reinterpret_cast<std::uintptr_t>(args.out);
  if (common % sizeof(Chunk) == 0) return launch(gather_rows<Chunk>, grid, threads, 0, stream, args);
  if (common % sizeof(std::uint32_t) == 0) return launch(gather_rows<std::uint32_t>, grid, threads, 0, stream, args);
  if (common % sizeof(std::uint16_t) == 0) return launch(gather_rows<std::uint16_t>, grid, threads, 0, stream, args);
  return launch(gather_rows<std::uint8_t>, grid, threads, 0, stream, args);
}

}  // namespace attnscope::gpu
