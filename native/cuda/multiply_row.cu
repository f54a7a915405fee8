// Matrix products with one row, as decoding has them: w is read once from memory, and what counts is how many of its loads are on
// their way. A block sums four outputs, its threads over different elements, so that a thread waits for several chunks at once: some
// 70 KB a multiprocessor with six blocks, where 4.8 TB/s at 700 ns of latency take 26.
#include "multiply.h"

#include "elements.h"
#include "indices.h"
#include "scatter_sum.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned threads = 256, warps = threads / warp_size, outputs = 4;

template <class T, bool Chunks>
ATTNSCOPE_KERNEL(threads) multiply_row(MultiplyArgs args) {
  auto* of_warp = reinterpret_cast<float*>(shared_memory());  // [warps][outputs]
  const std::uint32_t first_output = block_x() * outputs, last_output = args.out_width - 1;
  const RowSource x{static_cast<const std::uint16_t*>(args.x), 0, args.in, Chunks}, w{static_cast<const std::uint16_t*>(args.w), args.in, args.in, Chunks};

  float sum[outputs] = {};
  for (std::uint32_t chunk = thread_index(); chunk * chunk_elements < args.in; chunk += threads) {
    Chunk w_chunk[outputs];  // outputs past the last read its row again
#pragma unroll
    for (unsigned o = 0; o < outputs; ++o) w_chunk[o] = load_channels(w, lesser(first_output + o, last_output), chunk);
    float left[chunk_elements], right[outputs][chunk_elements];
    to_channels<T>(left, load_channels(x, 0, chunk));
#pragma unroll
    for (unsigned o = 0; o < outputs; ++o) to_channels<T>(right[o], w_chunk[o]);
    // Outputs inside: four chains of additions side by side, and all four chunks asked for before the first is needed.
#pragma unroll
    for (unsigned e = 0; e < chunk_elements; ++e)
#pragma unroll
      for (unsigned o = 0; o < outputs; ++o) sum[o] += left[e] * right[o][e];
  }
  const unsigned first = scatter_sum<warp_size / 2, 1, outputs>(sum);
  if (lane_index() % (warp_size / outputs) == 0) of_warp[warp_index() * outputs + first] = sum[0];
  sync_block();

  const std::uint32_t output = first_output + thread_index();
  if (thread_index() >= outputs || output > last_output) return;
  float total = 0;
#pragma unroll
  for (unsigned v = 0; v < warps; ++v) total += of_warp[v * outputs + thread_index()];
  if (args.out_dtype != DType::f32) {
    static_cast<T*>(args.out)[output] = from_float<T>(total);
  } else {
    float& out = static_cast<float*>(args.out)[output];
    out = args.add ? out + total : total;
  }
}

}  // namespace

Outcome run_multiply_row(const MultiplyArgs& args, Stream stream) {
  const bool chunks = rows_in_chunks(args.x, args.in) && rows_in_chunks(args.w, args.in);
  return for_half(args.dtype, [&](auto element) {
    using T = decltype(element);
    return launch(chunks ? multiply_row<T, true> : multiply_row<T, false>, {ceil_div(args.out_width, outputs)}, threads, warps * outputs * sizeof(float), stream, args);
  });
}

}  // namespace attnscope::gpu
