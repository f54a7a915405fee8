// The largest scores of every row.
#include <algorithm>

#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_top.h"

namespace attnscope::cpu {

TopCut find_cut(const std::uint32_t* value, std::size_t n, std::uint32_t count) {
  constexpr unsigned shifts[] = {21, 10, 0}, widths[] = {11, 11, 10};
  std::uint32_t prefix = 0, known = 0;  // bits of the threshold found so far
  for (std::size_t pass = 0; pass < 3; ++pass) {
    const std::uint32_t mask = (1u << widths[pass]) - 1;
    std::uint32_t histogram[1 << 11] = {};
    for (std::size_t i = 0; i < n; ++i) histogram[value[i] >> shifts[pass] & mask] += (value[i] & known) == prefix;
    std::uint32_t digit = mask;
    for (; histogram[digit] < count; --digit) count -= histogram[digit];
    prefix |= digit << shifts[pass];
    known |= mask << shifts[pass];
  }
  return {prefix, count};
}

Outcome select(Context& context, const SelectArgs& args) {
  context.pool.parallel_for(args.rows, [&](std::size_t row, unsigned worker) {
    const float* score = args.score + row * args.score_stride;
    auto* value = reinterpret_cast<std::uint32_t*>(context.scratch[worker].floats(slot_rows, args.entries));
    const std::uint32_t forced = std::min(args.forced, args.count);
    for (std::size_t i = forced; i < args.entries; ++i) value[i] = order_of(score[i]);

    std::uint32_t* out = args.index + row * std::size_t{args.count};
    std::uint32_t* next = args.descending ? out + args.count - 1 : out;
    const std::ptrdiff_t step = args.descending ? -1 : 1;
    const auto keep = [&](std::uint32_t i) {
      *next = i;
      next += step;
    };
    for (std::uint32_t i = 0; i < forced; ++i) keep(i);
    for_top(value + forced, args.entries - forced, args.count - forced, [&](std::uint32_t i) { keep(forced + i); });
  });
  return nullptr;
}

}  // namespace attnscope::cpu
