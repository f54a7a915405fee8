// Rows of fp32 vectors to the precision that attention reads, rotated by position or only rounded. A thread has one pair of channels
// of one head, or one channel.
#include "elements.h"
#include "indices.h"
#include "ops.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned threads = 256;

template <class T, bool Rotated>
ATTNSCOPE_KERNEL(threads) rotate_rows(RotateArgs args) {
  const std::uint32_t row = block_x(), of_head = Rotated ? args.head_dim / 2 : args.head_dim;
  const std::uint32_t i = block_y() * threads + thread_index(), head = i / of_head, channel = i % of_head;
  std::uint32_t overflows = 0;
  if (head < args.heads) {
    const float* from = args.x + (std::uint64_t{row} * args.heads + head) * args.head_dim;
    T* to = static_cast<T*>(args.out.data) + head * args.out.head_stride + row * args.out.row_stride;
    const auto put = [&](std::uint32_t at, float x) {
      to[at] = from_float<T>(x);
      overflows += is_finite(x) && !is_finite(to_float(from_float<T>(x)));
    };
    if constexpr (Rotated) {
      const std::uint64_t angle = std::uint64_t{row} * of_head + channel;
      const float a = from[channel], b = from[channel + of_head], cosine = args.cosine[angle], sine = args.sine[angle];
      put(channel, a * cosine - b * sine);
      put(channel + of_head, b * cosine + a * sine);
    } else {
      put(channel, from[channel]);
    }
  }
  count_in(args.overflowed, overflows);
}

}  // namespace

Outcome run_rotate(const RotateArgs& args, Stream stream) {
  const bool rotated = args.cosine != nullptr;
  if (rotated && args.head_dim % 2 != 0) return "E_KERNEL_SHAPE rotation pairs channels: head_dim is odd";
  if (args.overflowed == nullptr) return "E_KERNEL_SHAPE rotate counts overflows: the counter is missing";
  const Grid grid{args.rows, ceil_div(args.heads * (rotated ? args.head_dim / 2 : args.head_dim), threads)};
  return for_element(args.dtype, [&](auto element) {
    using T = decltype(element);
    return launch(rotated ? rotate_rows<T, true> : rotate_rows<T, false>, grid, threads, 0, stream, args);
  });
}

}  // namespace attnscope::gpu
