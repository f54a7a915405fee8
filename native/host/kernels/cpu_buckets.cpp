// Keys of a hash table by code: a counting sort, stable, so that ids ascend within a bucket.
#include <algorithm>

#include "host/kernels/cpu_operations.h"

namespace attnscope::cpu {

Outcome sort_buckets(Context& context, const BucketArgs& args) {
  const std::size_t buckets = std::size_t{1} << args.bits, tokens = args.tokens;
  context.pool.parallel_for(args.tables, [&](std::size_t table, unsigned worker) {
    const std::uint16_t* codes = args.codes + table * tokens;
    std::uint32_t* start = args.start + table * (buckets + 1);
    std::uint32_t* ids = args.ids + table * tokens;
    auto* next = reinterpret_cast<std::uint32_t*>(context.scratch[worker].floats(slot_rows, buckets));
    std::fill_n(start, buckets + 1, 0u);
    for (std::size_t i = 0; i < tokens; ++i) ++start[codes[i] + std::size_t{1}];
    for (std::size_t b = 0; b < buckets; ++b) start[b + 1] += start[b];
    std::copy_n(start, buckets, next);
    for (std::size_t i = 0; i < tokens; ++i) ids[next[codes[i]]++] = static_cast<std::uint32_t>(i);
  });
  return nullptr;
}

}  // namespace attnscope::cpu
