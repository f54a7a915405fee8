// Keys of every table by code: a stable counting sort. A block has one table, each of its warps one stretch of the keys and its own
// count of every bucket; counts become places in the order bucket, warp, and every warp then writes its keys in order. Ranks
// among the 32 keys of a step come from a match of codes, so the result is the only one there is.
#include "indices.h"
#include "ops.h"
#include "team.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned most_warps = 8;
constexpr std::size_t most_bytes = 128 * 1024;  // of counts: 8 warps up to 12 bits, 1 at 15

ATTNSCOPE_KERNEL(most_warps * warp_size) sort_table(BucketArgs args) {
  const std::uint32_t buckets = 1u << args.bits;
  auto* scratch = reinterpret_cast<std::uint32_t*>(shared_memory());
  std::uint32_t* place = scratch + warp_size;  // [warps][buckets]
  const BlockTeam team{scratch};
  const std::uint16_t* codes = args.codes + std::uint64_t{block_x()} * args.tokens;
  std::uint32_t* ids = args.ids + std::uint64_t{block_x()} * args.tokens;
  std::uint32_t* start = args.start + std::uint64_t{block_x()} * (buckets + 1);
  for (std::uint32_t i = thread_index(); i < team.warps() * buckets; i += block_threads()) place[i] = 0;
  sync_block();

  std::uint32_t* mine = place + warp_index() * buckets;
  const Range range = part_in_units(args.tokens, team.warps(), warp_index(), warp_size);
  for (std::uint32_t i = range.begin + lane_index(); i < range.end; i += warp_size) atomic_add(mine + codes[i], 1u);
  sync_block();

  std::uint32_t before = 0;
  for (std::uint32_t first = 0; first < buckets; first += block_threads()) {
    const std::uint32_t bucket = first + thread_index();
    std::uint32_t count = 0, total;
    if (bucket < buckets)
      for (unsigned w = 0; w < team.warps(); ++w) count += place[w * buckets + bucket];
    std::uint32_t at = before + sum_before(team, count, total);
    before += total;
    if (bucket >= buckets) continue;
    start[bucket] = at;
    for (unsigned w = 0; w < team.warps(); ++w) {
      const std::uint32_t of_warp = place[w * buckets + bucket];
      place[w * buckets + bucket] = at;
      at += of_warp;
    }
  }
  if (thread_index() == 0) start[buckets] = args.tokens;
  sync_block();

  const std::uint32_t below = (1u << lane_index()) - 1;
  std::uint32_t next = range.begin + lane_index() < range.end ? codes[range.begin + lane_index()] : 0;
  for (std::uint32_t first = range.begin; first < range.end; first += warp_size) {
    const std::uint32_t i = first + lane_index(), code = next;
    if (i + warp_size < range.end) next = codes[i + warp_size];
    const bool inside = i < range.end;
    const std::uint32_t same = match_any(inside ? code : buckets + lane_index()), rank = popcount(same & below);
    std::uint32_t at = 0;
    if (inside && rank == 0) at = atomic_add(mine + code, popcount(same));
    at = shuffle(at, popcount((same & (~same + 1)) - 1));  // from the lowest lane with this code
    if (inside) ids[at + rank] = i;
  }
}

}  // namespace

Outcome run_sort_buckets(const BucketArgs& args, Stream stream) {
  if (args.bits > 15) return "E_KERNEL_SHAPE a code has up to 15 bits";
  const std::size_t table_bytes = sizeof(std::uint32_t) << args.bits;
  const std::size_t warps = most_bytes / table_bytes < most_warps ? most_bytes / table_bytes : most_warps;
  return launch(sort_table, Grid{args.tables}, static_cast<unsigned>(warps * warp_size), warp_size * sizeof(std::uint32_t) + warps * table_bytes, stream, args);
}

}  // namespace attnscope::gpu
