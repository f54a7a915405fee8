// Block-sparse: means of every 64 rows, and for every row block the key blocks with the largest products of means. Products are
// fp32 and stay in shared memory, where the selection reads them.
#include <cmath>

#include "channels.h"
#include "ops.h"
#include "radix_select.h"
#include "shapes.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned block = 64;

// ---- means ----------------------------------------------------------------------------------------------------------

constexpr unsigned pool_threads = 128;

struct PoolPlan {
  std::uint32_t blocks = 0;
  bool chunks = false;
};

/// One block a mean: lanes of a row have eight channels each, groups of them every groups-th row.
template <class T, unsigned Lanes>
ATTNSCOPE_KERNEL(pool_threads) pool_rows(PoolArgs args, PoolPlan plan) {
  constexpr unsigned groups = pool_threads / Lanes, channels = Lanes * chunk_elements;
  auto* partial = reinterpret_cast<float*>(shared_memory());  // [groups][channels]
  const unsigned lane = thread_index() % Lanes, group = thread_index() / Lanes;
  const std::uint32_t b = block_x(), head = block_y(), end = lesser((b + 1) * block, args.tokens);
  const RowSource source = rows_of(args.x, head, args.head_dim, plan.chunks);
  float sum[chunk_elements] = {};
#pragma unroll
  for (unsigned i = 0; i < block / groups; ++i) {
    const std::uint32_t row = b * block + group + i * groups;
    float x[chunk_elements];
    to_channels<T>(x, row < end ? load_channels(source, row, lane) : Chunk{});
#pragma unroll
    for (unsigned c = 0; c < chunk_elements; ++c) sum[c] += x[c];
  }
#pragma unroll
  for (unsigned c = 0; c < chunk_elements; ++c) partial[group * channels + lane * chunk_elements + c] = sum[c];
  sync_block();
  for (unsigned c = thread_index(); c < args.head_dim; c += pool_threads) {
    float total = 0;
    for (unsigned g = 0; g < groups; ++g) total += partial[g * channels + c];
    args.mean[(std::uint64_t{head} * plan.blocks + b) * args.head_dim + c] = total / block;
  }
}

// ---- selection ------------------------------------------------------------------------------------------------------

/// Eight warps multiply 256 mean keys at a time, 16 channels of them in shared memory at once, with up to eight rows; then each warp
/// selects of a row.
constexpr unsigned warps = 8, threads = warps * warp_size;
constexpr unsigned slab = 16, slab_stride = slab + 4;  // rows of 20 words: eight neighbours read 16 bytes each from different banks
constexpr unsigned bits = 8;
constexpr std::uint32_t most_blocks = 16384;  // 1M tokens

struct BlockPlan {
  std::uint32_t blocks = 0, top_k = 0, score_stride = 0;
  bool aligned = false;  // means can be read in pieces of 16 bytes
};

struct alignas(16) Four { float x[4]; };

/// Rows of a block: as many as leave a block for each of 132 multiprocessors, with 128 KiB of scores at most, so that the rest fits in
/// the 163 KiB of an sm_80 block.
constexpr std::uint32_t rows_for(std::uint32_t blocks, std::uint32_t heads) {
  std::uint32_t rows = blocks <= 4096 ? 8 : blocks <= 8192 ? 4 : 2;
  while (rows > 2 && std::uint64_t{blocks} * heads < 132 * rows) rows /= 2;
  return rows;
}

template <unsigned Rows>
struct BlockShared {
  union {
    struct {
      float key[threads * slab_stride], query[Rows * largest_dim];
    };
    std::uint32_t bins[Rows][bin_copies << bits];  // once products are done
  };
  std::uint32_t result[Rows][2];
  // Scores follow: [Rows][score_stride].
};

/// Channels [channel, channel + 4) of a mean; zeros past the end.
ATTNSCOPE_DEVICE Four load_four(const float* mean, std::uint32_t channel, std::uint32_t head_dim, bool aligned) {
  if (aligned) return channel < head_dim ? *reinterpret_cast<const Four*>(mean + channel) : Four{};
  Four four;
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) four.x[i] = channel + i < head_dim ? mean[channel + i] : 0;
  return four;
}

template <unsigned Rows>
ATTNSCOPE_KERNEL(threads) select_blocks(BlockSelectArgs args, BlockPlan plan) {
  auto& shared = *reinterpret_cast<BlockShared<Rows>*>(shared_memory());
  auto* score = reinterpret_cast<float*>(&shared + 1);
  // Long rows first: the last blocks to start are the short ones.
  const std::uint32_t head = block_x(), m0 = (grid_y() - 1 - block_y()) * Rows;
  const unsigned thread = thread_index();
  const float* q = args.pooled_q + std::uint64_t{head} * plan.blocks * args.head_dim;
  const float* k = args.pooled_k + std::uint64_t{head / (args.heads / args.kv_heads)} * plan.blocks * args.head_dim;
  const std::uint32_t last = lesser(m0 + Rows, plan.blocks);

  for (unsigned i = thread; i < Rows * largest_dim; i += threads) {
    const std::uint32_t m = m0 + i / largest_dim, c = i % largest_dim;
    shared.query[i] = m < plan.blocks && c < args.head_dim ? q[std::uint64_t{m} * args.head_dim + c] : 0;
  }
  // Rows that keep all of their blocks need no scores.
  if (last > plan.top_k)
    for (std::uint32_t first = 0; first < last; first += threads) {
      float sum[Rows] = {};
      for (std::uint32_t channel = 0; channel < args.head_dim; channel += slab) {
        sync_block();  // the queries are there; nobody reads the slab before any more
#pragma unroll
        for (unsigned i = 0; i < slab / 4; ++i) {
          const unsigned key = (i * threads + thread) / (slab / 4), four = thread % (slab / 4);
          const std::uint32_t b = first + key;
          *reinterpret_cast<Four*>(shared.key + key * slab_stride + four * 4) =
              b < last ? load_four(k + std::uint64_t{b} * args.head_dim, channel + four * 4, args.head_dim, plan.aligned) : Four{};
        }
        sync_block();
#pragma unroll
        for (unsigned c = 0; c < slab; c += 4) {
          const Four x = *reinterpret_cast<const Four*>(shared.key + thread * slab_stride + c);
#pragma unroll
          for (unsigned r = 0; r < Rows; ++r) {
            const Four y = *reinterpret_cast<const Four*>(shared.query + r * largest_dim + channel + c);
#pragma unroll
            for (unsigned i = 0; i < 4; ++i) sum[r] += x.x[i] * y.x[i];
          }
        }
      }
      if (first + thread < last)
#pragma unroll
        for (unsigned r = 0; r < Rows; ++r) score[r * plan.score_stride + first + thread] = sum[r];
    }
  sync_block();

  const unsigned row = warp_index();
  const std::uint32_t m = m0 + row;
  if (row >= Rows || m >= plan.blocks) return;
  std::uint32_t* tile = args.out.tile + head * args.out.tile_capacity + block_list_offset(m, plan.top_k);
  if (m < plan.top_k) {
    for (std::uint32_t b = lane_index(); b <= m; b += warp_size) tile[b] = b * block;
    return;
  }
  const float* scores = score + row * plan.score_stride;
  const auto key_of = [scores](std::uint32_t i) { return ordered_bits(float_bits(scores[i])); };
  const Threshold threshold = find_threshold<bits>(WarpTeam{}, shared.bins[row], shared.result[row], m + 1, plan.top_k, key_of);
  visit_selected<8>(WarpTeam{}, 0, m + 1, threshold, {}, key_of, [tile](std::uint32_t b, std::uint32_t rank) { tile[rank] = b * block; });
}

/// Where the lists begin follows from top_k alone.
ATTNSCOPE_KERNEL(threads) block_offsets(BlockSelectArgs args, BlockPlan plan) {
  const std::uint32_t m = block_y() * threads + thread_index();
  if (m <= plan.blocks) args.out.tile_offset[std::uint64_t{block_x()} * (plan.blocks + 1) + m] = static_cast<std::uint32_t>(block_list_offset(m, plan.top_k));
}

}  // namespace

Outcome run_pool(const PoolArgs& args, Stream stream) {
  const PoolPlan plan{ceil_div(args.tokens, block), whole_chunks(args.x, args.head_dim)};
  return for_lanes(args.dtype, args.head_dim, [&](auto element, auto lanes) -> Outcome {
    return launch(pool_rows<decltype(element), decltype(lanes)::value>, Grid{plan.blocks, args.heads}, pool_threads, pool_threads * chunk_elements * sizeof(float), stream, args, plan);
  });
}

std::size_t workspace_of(const BlockSelectArgs&) { return 0; }

Outcome run_select_blocks(const BlockSelectArgs& args, Stream stream) {
  if (args.head_dim == 0 || args.head_dim > largest_dim) return "E_KERNEL_HEAD_DIM CUDA kernels take head_dim from 1 to 128; run this model on the CPU";
  if (const Outcome wrong = check_heads(args.heads, args.kv_heads)) return wrong;
  const std::uint32_t blocks = ceil_div(args.tokens, block), rows = rows_for(blocks, args.heads);
  if (blocks > most_blocks) return "E_KERNEL_SHAPE block selection takes up to 16384 blocks of 64 tokens";
  const auto aligned = [](const float* mean) { return reinterpret_cast<std::uintptr_t>(mean) % sizeof(Four) == 0; };
  const BlockPlan plan{blocks, lesser(args.top_k, blocks), ceil_div(blocks, 4) * 4, args.head_dim % 4 == 0 && aligned(args.pooled_k)};
  if (const Outcome failed = launch(block_offsets, Grid{args.heads, ceil_div(blocks + 1, threads)}, threads, 0, stream, args, plan)) return failed;
  if (plan.top_k == 0) return nullptr;
  const auto start = [&](void (*kernel)(BlockSelectArgs, BlockPlan), std::size_t fixed_bytes) {
    return launch(kernel, Grid{args.heads, ceil_div(blocks, rows)}, threads, fixed_bytes + std::size_t{rows} * plan.score_stride * sizeof(float), stream, args, plan);
  };
  if (rows == 8) return start(select_blocks<8>, sizeof(BlockShared<8>));
  return rows == 4 ? start(select_blocks<4>, sizeof(BlockShared<4>)) : start(select_blocks<2>, sizeof(BlockShared<2>));
}

}  // namespace attnscope::gpu
