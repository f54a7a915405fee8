// Operations on every element by itself: casts, SwiGLU, and the count of values that are not finite. A thread has eight elements.
#include "constants.h"
#include "elements.h"
#include "indices.h"
#include "ops.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned threads = 256;

/// Blocks for `count` elements; a grid holds 2^31 - 1 of them, which are 2^42 elements.
Grid grid_of(std::uint64_t count) { return {static_cast<unsigned>((count + threads * chunk_elements - 1) / (threads * chunk_elements))}; }
ATTNSCOPE_DEVICE std::uint64_t first_element() { return (std::uint64_t{block_x()} * threads + thread_index()) * chunk_elements; }
bool in_chunks(const void* data) { return rows_in_chunks(data, 0); }

template <class From, class To>
ATTNSCOPE_KERNEL(threads) cast_elements(CastArgs args, bool chunks) {
  const std::uint64_t first = first_element();
  if (first >= args.count) return;
  float x[chunk_elements];
  load_eight(x, static_cast<const From*>(args.from), first, args.count, chunks);
  store_eight(static_cast<To*>(args.to), x, first, args.count, chunks);
}

template <class T>
ATTNSCOPE_KERNEL(threads) activate_elements(ActivateArgs args, bool chunks) {
  const std::uint64_t first = first_element();
  if (first >= args.count) return;
  T* gate = static_cast<T*>(args.gate);
  float x[chunk_elements], up[chunk_elements];
  load_eight(x, gate, first, args.count, chunks);
  load_eight(up, static_cast<const T*>(args.up), first, args.count, chunks);
#pragma unroll
  for (unsigned e = 0; e < chunk_elements; ++e) x[e] = x[e] / (1 + power_of_two(-x[e] * log2_of_e)) * up[e];
  store_eight(gate, x, first, args.count, chunks);
}

ATTNSCOPE_KERNEL(threads) count_elements(NonFiniteArgs args, bool chunks) {
  float x[chunk_elements];
  load_eight(x, args.x, first_element(), args.count, chunks);
  std::uint32_t found = 0;
#pragma unroll
  for (unsigned e = 0; e < chunk_elements; ++e) found += !is_finite(x[e]);
  count_in(args.found, found);
}

}  // namespace

Outcome run_cast(const CastArgs& args, Stream stream) {
  const bool chunks = in_chunks(args.from) && in_chunks(args.to);
  return for_element(args.from_dtype, [&](auto from) {
    return for_element(args.to_dtype, [&](auto to) { return launch(cast_elements<decltype(from), decltype(to)>, grid_of(args.count), threads, 0, stream, args, chunks); });
  });
}

Outcome run_activate(const ActivateArgs& args, Stream stream) {
  const bool chunks = in_chunks(args.gate) && in_chunks(args.up);
  return for_half(args.dtype, [&](auto element) { return launch(activate_elements<decltype(element)>, grid_of(args.count), threads, 0, stream, args, chunks); });
}

Outcome run_count_non_finite(const NonFiniteArgs& args, Stream stream) { return launch(count_elements, grid_of(args.count), threads, 0, stream, args, in_chunks(args.x)); }

}  // namespace attnscope::gpu
