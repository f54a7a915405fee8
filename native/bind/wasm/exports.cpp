// Tiles behind a C ABI for loader.ts: pointers into linear memory, handles are addresses.
#include <cstdlib>
#include <new>
#include <vector>

#include "bind/wasm/out_of_memory.h"
#include "core/block_product.h"
#include "core/score_block.h"
#include "core/tile.h"

using namespace attnscope;

namespace {

struct TileJob {
  TileGrid grid;
  float scale;
  Visibility visibility;
  std::vector<float> mean, max;  // mean holds sums until finished
  std::vector<std::uint32_t> count;
};

std::uint64_t cells_of(const TileGrid& grid) { return std::uint64_t{grid.edge} * grid.edge; }

/// What tile_accumulate allocates at most: both blocks as floats, the keys once more as panels, one block of scores and queries.
std::uint64_t tile_add_bytes(std::uint64_t queries, std::uint64_t keys, std::uint64_t dim) {
  return 4 * (dim * (queries + 2 * keys + panel_width + query_block) + score_floats + key_block);
}

}  // namespace

/// 16-byte aligned memory, or 0 when there is none left.
EXPORT(allocate) void* allocate(std::size_t bytes) { return std::malloc(bytes); }
EXPORT(release) void release(void* p) { std::free(p); }

/// 0 when there is no memory.
EXPORT(tile_new)
TileJob* tile_new(std::uint32_t edge, std::uint32_t cell, std::uint32_t row0, std::uint32_t column0, float scale, std::uint32_t window) {
  const TileGrid grid{edge, cell, row0, column0};
  if (!has_room(12 * cells_of(grid) + sizeof(TileJob))) return nullptr;
  const auto n = static_cast<std::size_t>(cells_of(grid));
  return new TileJob{grid, scale, {window}, std::vector<float>(n), std::vector<float>(n), std::vector<std::uint32_t>(n)};
}

/// False, and nothing added, when there is no memory.
EXPORT(tile_add)
bool tile_add(TileJob* job, std::uint32_t dtype, const void* q, std::uint32_t first_query, std::uint32_t queries, const void* k,
              std::uint32_t first_key, std::uint32_t keys, std::uint32_t dim, const float* lse) {
  if (!has_room(tile_add_bytes(queries, keys, dim))) return false;
  tile_accumulate(job->grid, static_cast<DType>(dtype), q, first_query, queries, k, first_key, keys, dim, {lse, queries}, job->scale,
                  job->visibility, job->mean, job->max, job->count);
  return true;
}

EXPORT(tile_finish_job) void tile_finish_job(TileJob* job) { tile_finish(job->mean, job->max, job->count); }
EXPORT(tile_mean) const float* tile_mean(const TileJob* job) { return job->mean.data(); }
EXPORT(tile_max) const float* tile_max(const TileJob* job) { return job->max.data(); }
EXPORT(tile_count) const std::uint32_t* tile_count(const TileJob* job) { return job->count.data(); }
EXPORT(tile_free) void tile_free(TileJob* job) { delete job; }

EXPORT(merge_tiles)
void merge_tiles(std::uint32_t cells, float* mean, float* max, std::uint32_t* count, const float* mean2, const float* max2, const std::uint32_t* count2) {
  tile_merge({mean, cells}, {max, cells}, {count, cells}, {mean2, cells}, {max2, cells}, {count2, cells});
}

EXPORT(count_tile)
void count_tile(std::uint32_t edge, std::uint32_t cell, std::uint32_t row0, std::uint32_t column0, std::uint32_t row_begin,
                std::uint32_t row_end, std::uint32_t window, std::uint32_t* count) {
  const TileGrid grid{edge, cell, row0, column0};
  tile_counts(grid, {row_begin, row_end}, {window}, {count, static_cast<std::size_t>(cells_of(grid))});
}

EXPORT(attention_at)
double attention_at(std::uint32_t dtype, const void* q, const void* k, std::uint32_t dim, float scale, float lse) {
  return attention_value(static_cast<DType>(dtype), q, k, dim, scale, lse);
}

EXPORT(decode_floats)
void decode_floats(std::uint32_t dtype, const void* source, std::uint32_t n, float* out) { to_float(static_cast<DType>(dtype), source, n, out); }
