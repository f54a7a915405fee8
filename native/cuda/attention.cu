// Attention of blocks of queries over tiles of 64 keys: dense, a-shape, vertical-slash and block-sparse are one kernel that
// walks different keys. Tensor cores with fp32 accumulation, running softmax; values are on their way while scores are
// computed, the next keys while values are multiplied (the scheme of FlashAttention-2, Dao 2023).
#include <cmath>

#include "attention.h"
#include "constants.h"
#include "mma_tile.h"
#include "ops.h"
#include "shapes.h"

namespace attnscope::gpu {
namespace {

using Kind = KeyWalk::Kind;

struct Parameters {
  KeyWalk walk;
  HeadTensor q, k, v, out;
  float* lse;
  std::uint32_t heads_per_kv, head_dim, keys;
  float scale;
  bool chunks;  // q, k and v are read in chunks of 16 bytes, out is written so
  std::uint64_t tile_stride, column_stride;
};

/// A block of queries of one head; every warp has 16 RowTiles of them. With two row tiles a warp reads each fragment of K and V once
/// for 32 rows, which halves the traffic of shared memory, what warps of 16 rows wait for. Walks that are arithmetic have blocks of
/// 128 queries, which halves what is copied, too; lists are made for blocks of 64.
template <class T, unsigned Dim, Kind Walk, unsigned RowTiles, unsigned Warps>
ATTNSCOPE_KERNEL(Warps * warp_size) attention(const Parameters p) {
  using Layout = TileLayout<Dim>;
  constexpr unsigned threads = Warps * warp_size, rows = 16 * RowTiles * Warps, key_tiles = tile_keys / 8;
  constexpr bool listed = Walk == Kind::listed;
  static_assert(threads >= tile_keys);
  auto* queries = reinterpret_cast<Chunk*>(shared_memory());
  Chunk* keys = queries + rows * Layout::chunks;
  Chunk* values = keys + tile_keys * Layout::chunks;
  auto* listed_keys = reinterpret_cast<std::uint32_t*>(values + tile_keys * Layout::chunks);  // [2][64]: of this segment and the next

  // Long rows first: the last blocks to start are the short ones.
  const std::uint32_t m = grid_x() - 1 - block_x(), head = block_y(), kv_head = head / p.heads_per_kv;
  KeyWalk walk = p.walk;
  walk.kind = Walk;  // said here, the compiler drops what other walks need
  if constexpr (listed) {
    const std::uint64_t offsets = head * std::uint64_t{grid_x() + 1};
    walk.tile_offset += offsets;
    walk.tile += head * p.tile_stride;
    if (walk.column_offset != nullptr) walk.column_offset += offsets, walk.column += head * p.column_stride;
  }
  const BlockKeys block = walk.block(m);
  const RowSource q_rows = rows_of(p.q, head, p.head_dim, p.chunks), k_rows = rows_of(p.k, kv_head, p.head_dim, p.chunks), v_rows = rows_of(p.v, kv_head, p.head_dim, p.chunks);
  const std::uint32_t segments = block.segments();
  const unsigned lane = lane_index(), group = lane / 4, pair = 2 * (lane % 4), warp_row = warp_index() * 16 * RowTiles;
  const std::uint32_t first = walk.first_of(m) + warp_row;  // query of the warp

  const auto keys_of = [&](std::uint32_t i) { return listed_keys + i % 2 * tile_keys; };
  std::uint32_t from = block.first(0);  // of the arithmetic tile at hand
  const auto copy_segment = [&](Chunk* to, const RowSource& source, std::uint32_t i) {
    if (listed && i >= block.tiles) copy_listed<Dim, tile_keys, threads>(to, source, keys_of(i), p.keys);
    else copy_consecutive<Dim, tile_keys, threads>(to, source, listed ? keys_of(i)[0] : from, p.keys);
  };

  float output[RowTiles][Dim / 8][4] = {};
  float top[RowTiles][2], sum[RowTiles][2];
#pragma unroll
  for (unsigned t = 0; t < RowTiles; ++t)
#pragma unroll
    for (unsigned h = 0; h < 2; ++h) top[t][h] = -INFINITY, sum[t][h] = 0;
  const float scale = p.scale * log2_of_e;  // scores in units of ln 2: the softmax needs powers of two only

  copy_consecutive<Dim, rows, threads>(queries, q_rows, m * rows, walk.end_of(m) - walk.first_query);
  if (segments > 0) {
    if constexpr (listed) {
      if (thread_index() < tile_keys) keys_of(0)[thread_index()] = block.key(0, thread_index());
      sync_block();
    }
    copy_segment(keys, k_rows, 0);
  }
  commit_copies();

  for (std::uint32_t i = 0; i < segments; ++i) {
    wait_copies<0>();  // queries and keys
    sync_block();      // and every warp is through with the values before
    copy_segment(values, v_rows, i);
    commit_copies();
    // What the next segment's keys are is on its way while scores are computed.
    std::uint32_t next_key = no_key;
    if (listed && i + 1 < segments && thread_index() < tile_keys) next_key = block.key(i + 1, thread_index());
    float score[RowTiles][key_tiles][4];
    multiply_keys<T, Dim, RowTiles>(score, queries, warp_row, keys);

    if (!walk.all_see(first, first + 16 * RowTiles - 1, listed ? keys_of(i)[0] : from, listed ? keys_of(i)[tile_keys - 1] : from + tile_keys - 1)) {
#pragma unroll
      for (unsigned t = 0; t < RowTiles; ++t)
#pragma unroll
        for (unsigned h = 0; h < 2; ++h) {
          const std::uint32_t query = first + 16 * t + group + 8 * h;
#pragma unroll
          for (unsigned n = 0; n < key_tiles; ++n)
#pragma unroll
            for (unsigned e = 0; e < 2; ++e) {
              const unsigned at = 8 * n + pair + e;
              if (!walk.sees(query, listed ? keys_of(i)[at] : from + at)) score[t][n][2 * h + e] = -INFINITY;
            }
        }
    }

#pragma unroll
    for (unsigned t = 0; t < RowTiles; ++t)
#pragma unroll
      for (unsigned h = 0; h < 2; ++h) {
        float largest = top[t][h];
#pragma unroll
        for (unsigned n = 0; n < key_tiles; ++n) largest = fmaxf(largest, fmaxf(score[t][n][2 * h], score[t][n][2 * h + 1]));
        largest = fmaxf(largest, shuffle_xor(largest, 1));
        largest = fmaxf(largest, shuffle_xor(largest, 2));
        // A row that has seen no key yet: shifted by 0 its scores give 0, not NaN.
        const float shift = largest == -INFINITY ? 0.0f : largest * scale;
        const float shrink = power_of_two(top[t][h] * scale - shift);
        float added = 0;
#pragma unroll
        for (unsigned n = 0; n < key_tiles; ++n)
#pragma unroll
          for (unsigned e = 0; e < 2; ++e) {
            float& s = score[t][n][2 * h + e];
            s = power_of_two(s * scale - shift);
            added += s;
          }
        sum[t][h] = sum[t][h] * shrink + added;
        top[t][h] = largest;
#pragma unroll
        for (unsigned n = 0; n < Dim / 8; ++n) output[t][n][2 * h] *= shrink, output[t][n][2 * h + 1] *= shrink;
      }

    if (listed && thread_index() < tile_keys) keys_of(i + 1)[thread_index()] = next_key;
    std::uint32_t packed[tile_keys / 16][RowTiles][4];
    pack_scores<T, RowTiles>(packed, score);
    wait_copies<0>();  // values
    sync_block();      // and every warp is through with the keys
    if (i + 1 < segments) {
      if constexpr (!listed) from = block.first(i + 1);
      copy_segment(keys, k_rows, i + 1);
      commit_copies();
    }
    multiply_values<T, Dim, RowTiles>(output, packed, values);
  }
  wait_copies<0>();
  sync_block();

  // Out through the warp's own rows of the queries' memory, so that rows leave in chunks.
#pragma unroll
  for (unsigned t = 0; t < RowTiles; ++t)
#pragma unroll
    for (unsigned h = 0; h < 2; ++h) {
      float total = sum[t][h];
      total += shuffle_xor(total, 1);
      total += shuffle_xor(total, 2);
      const float inverse = total == 0 ? 0.0f : 1 / total;
      const unsigned row = warp_row + 16 * t + group + 8 * h;
#pragma unroll
      for (unsigned n = 0; n < Dim / 8; ++n)
        queries[Layout::chunk_place(row, n)].word[lane % 4] = pack<T>(output[t][n][2 * h] * inverse, output[t][n][2 * h + 1] * inverse);
      const std::uint32_t query = m * rows + row;
      if (p.lse != nullptr && lane % 4 == 0 && query < walk.queries)
        p.lse[head * std::uint64_t{walk.queries} + query] = total == 0 ? -INFINITY : top[t][h] * p.scale + logf(total);
    }
  sync_warp();
  std::uint16_t* out = static_cast<std::uint16_t*>(p.out.data) + head * p.out.head_stride;
  for (unsigned i = lane; i < 16 * RowTiles * Layout::chunks; i += warp_size) {
    const unsigned row = warp_row + i / Layout::chunks, chunk = i % Layout::chunks, channel = chunk * chunk_elements;
    const std::uint32_t query = m * rows + row;
    if (query >= walk.queries || channel >= p.head_dim) continue;
    const Chunk& staged = queries[Layout::chunk_place(row, chunk)];
    std::uint16_t* to = out + query * p.out.row_stride + channel;
    if (p.chunks) *reinterpret_cast<Chunk*>(to) = staged;
    else
      for (unsigned e = 0; e < chunk_elements && channel + e < p.head_dim; ++e) to[e] = static_cast<std::uint16_t>(staged.word[e / 2] >> (16 * (e % 2)));
  }
}

Outcome check(const AttentionArgs& args) {
  if (const Outcome wrong = check_heads(args.heads, args.kv_heads)) return wrong;
  if (args.first_query % 64 != 0 || args.keys < args.first_query + args.queries) return "E_KERNEL_SHAPE first_query is not a multiple of 64, or keys end before the last query";
  return nullptr;
}

template <Kind Walk, unsigned RowTiles, unsigned Warps>
Outcome run(const AttentionArgs& args, KeyWalk walk, const SparseIndex& index, Stream stream) {
  if (const Outcome wrong = check(args)) return wrong;
  constexpr unsigned rows = 16 * RowTiles * Warps;
  constexpr std::size_t list_bytes = Walk == Kind::listed ? 2 * tile_keys * sizeof(std::uint32_t) : 0;
  walk.rows = rows;
  walk.first_query = args.first_query;
  walk.queries = args.queries;
  const bool chunks = whole_chunks(args.q, args.head_dim) && whole_chunks(args.k, args.head_dim) && whole_chunks(args.v, args.head_dim) && whole_chunks(args.out, args.head_dim);
  const Parameters parameters{walk, args.q, args.k, args.v, args.out, args.lse, args.heads / args.kv_heads, args.head_dim, args.keys, args.scale, chunks,
                              index.tile_capacity, index.column_capacity};
  return for_instance(args.dtype, args.head_dim, [&](auto element, auto dim) -> Outcome {
    constexpr unsigned Dim = decltype(dim)::value;
    return launch(attention<decltype(element), Dim, Walk, RowTiles, Warps>, Grid{(args.queries + rows - 1) / rows, args.heads}, Warps * warp_size,
                  TileLayout<Dim>::bytes(rows + 2 * tile_keys) + list_bytes, stream, parameters);
  });
}

std::uint64_t blocks_of(const AttentionArgs& args, std::uint32_t rows) { return std::uint64_t{(args.queries + rows - 1) / rows} * args.heads; }

}  // namespace

Outcome run_dense(const AttentionArgs& args, Stream stream) { return run<Kind::dense, 2, 4>(args, {}, {}, stream); }

Outcome run_a_shape(const AttentionArgs& args, std::uint32_t sink, std::uint32_t local, Stream stream, std::uint32_t many) {
  const KeyWalk walk{.sink = sink, .local = local};
  return blocks_of(args, 128) < many ? run<Kind::a_shape, 1, 4>(args, walk, {}, stream) : run<Kind::a_shape, 2, 4>(args, walk, {}, stream);
}

Outcome run_sparse(const AttentionArgs& args, const SparseIndex& index, Stream stream, std::uint32_t many) {
  const KeyWalk walk{.tile_offset = index.tile_offset, .tile = index.tile, .column_offset = index.column_offset, .column = index.column};
  return blocks_of(args, 64) < many ? run<Kind::listed, 1, 4>(args, walk, index, stream) : run<Kind::listed, 2, 2>(args, walk, index, stream);
}

}  // namespace attnscope::gpu
