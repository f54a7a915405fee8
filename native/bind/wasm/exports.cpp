// The numerical core behind a C ABI for loader.ts: pointers into linear memory, handles are addresses, no imports needed.
// One translation unit holds the sources that tiles need: the compiler runs inside Node and starts once.
#include <cstdlib>
#include <new>
#include <vector>

#include "core/block_product.cpp"
#include "core/dtype.cpp"
#include "core/key_panels.cpp"
#include "core/score_block.cpp"
#include "core/tile.cpp"
#include "core/views.cpp"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

using namespace attnscope;

namespace {

struct TileJob {
  TileGrid grid;
  float scale;
  Visibility visibility;
  std::vector<float> mean, max;  // mean holds sums until finished
  std::vector<std::uint32_t> count;
};

std::size_t cells_of(const TileGrid& grid) { return std::size_t{grid.edge} * grid.edge; }

}  // namespace

/// 16-byte aligned memory, or 0 when there is none left.
EXPORT(allocate) void* allocate(std::size_t bytes) { return std::malloc(bytes); }
EXPORT(release) void release(void* p) { std::free(p); }

EXPORT(tile_new)
TileJob* tile_new(std::uint32_t edge, std::uint32_t cell, std::uint32_t row0, std::uint32_t column0, float scale, std::uint32_t window) {
  const TileGrid grid{edge, cell, row0, column0};
  const std::size_t n = cells_of(grid);
  return new TileJob{grid, scale, {window}, std::vector<float>(n), std::vector<float>(n), std::vector<std::uint32_t>(n)};
}

EXPORT(tile_add)
void tile_add(TileJob* job, std::uint32_t dtype, const void* q, std::uint32_t first_query, std::uint32_t queries, const void* k,
              std::uint32_t first_key, std::uint32_t keys, std::uint32_t dim, const float* lse) {
  tile_accumulate(job->grid, static_cast<DType>(dtype), q, first_query, queries, k, first_key, keys, dim, {lse, queries}, job->scale,
                  job->visibility, job->mean, job->max, job->count);
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
  tile_counts(grid, {row_begin, row_end}, {window}, {count, cells_of(grid)});
}

EXPORT(attention_at)
double attention_at(std::uint32_t dtype, const void* q, const void* k, std::uint32_t dim, float scale, float lse) {
  return attention_value(static_cast<DType>(dtype), q, k, dim, scale, lse);
}

EXPORT(decode_floats)
void decode_floats(std::uint32_t dtype, const void* source, std::uint32_t n, float* out) { to_float(static_cast<DType>(dtype), source, n, out); }
