// SimHash: signs of projections as bits, packed into the codes of hash tables. Projection rows are the "keys" of a product with 256
// tokens on tensor cores; (x - centre) . w > 0 becomes x . w > centre . w, so that x is not rounded anew.
//
// A block keeps its share of the tokens' blocks of 256 to itself and computes the thresholds centre . w once. A warp has 32 tokens;
// signs of 64 columns are two words a token, and the last four words are kept: a code lies in two neighbouring ones.
#include <cmath>

#include "channels.h"
#include "indices.h"
#include "ops.h"

namespace attnscope::gpu {
namespace {

constexpr unsigned row_tiles = 2, warps = 8, warp_rows = 16 * row_tiles, rows = warps * warp_rows, threads = warps * warp_size;
constexpr unsigned lane_rows = 2 * row_tiles, kept_words = 4;
static_assert(warp_rows == warp_size && rows == threads);  // a thread packs the codes of one token

struct HashPlan {
  std::uint32_t columns = 0, column_tiles = 0, token_tiles = 0;
  bool x_chunks = false, projection_chunks = false;
};

template <class T, unsigned Dim>
ATTNSCOPE_DEVICE void find_thresholds(float* threshold, const HashArgs& args, const HashPlan& plan, const RowSource& projection, std::uint32_t head) {
  for (std::uint32_t column = thread_index(); column < plan.column_tiles * tile_keys; column += threads) {
    float sum = 0;
    if (args.centre != nullptr && column < plan.columns)
      for (unsigned chunk = 0; chunk * chunk_elements < args.head_dim; ++chunk) {
        float w[chunk_elements];
        to_channels<T>(w, load_channels(projection, column, chunk));
#pragma unroll
        for (unsigned c = 0; c < chunk_elements; ++c) {
          const unsigned channel = chunk * chunk_elements + c;
          if (channel < args.head_dim) sum += args.centre[std::uint64_t{head} * args.head_dim + channel] * w[c];
        }
      }
    threshold[column] = sum;
  }
}

/// Signs of the warp's tokens on 64 columns, as two words a token.
ATTNSCOPE_DEVICE void pack_signs(const float (&s)[row_tiles][tile_keys / 8][4], const float* threshold, std::uint32_t* low_words, std::uint32_t* high_words) {
  const unsigned lane = lane_index(), x = lane % 4;
#pragma unroll
  for (unsigned half = 0; half < 2; ++half) {
    std::uint32_t word[lane_rows] = {};
#pragma unroll
    for (unsigned n = 0; n < 4; ++n)
#pragma unroll
      for (unsigned e = 0; e < 2; ++e) {
        const unsigned bit = 8 * n + 2 * x + e;
        const float least = threshold[32 * half + bit];
#pragma unroll
        for (unsigned r = 0; r < lane_rows; ++r) word[r] |= static_cast<std::uint32_t>(s[r / 2][4 * half + n][r % 2 * 2 + e] > least) << bit;
      }
#pragma unroll
    for (unsigned r = 0; r < lane_rows; ++r) {
      word[r] |= shuffle_xor(word[r], 1);
      word[r] |= shuffle_xor(word[r], 2);
      if (x == r) (half == 0 ? low_words : high_words)[lane / 4 + 8 * r] = word[r];
    }
  }
}

template <class T, unsigned Dim>
ATTNSCOPE_KERNEL(threads) hash_tokens(HashArgs args, HashPlan plan) {
  using Layout = TileLayout<Dim>;
  auto* tokens = reinterpret_cast<Chunk*>(shared_memory());
  Chunk* columns = tokens + rows * Layout::chunks;
  auto* signs = reinterpret_cast<std::uint32_t*>(columns + 2 * tile_keys * Layout::chunks);  // [4][256]: word w of a token at w % 4
  auto* threshold = reinterpret_cast<float*>(signs + kept_words * rows);
  const std::uint32_t head = block_y(), thread = thread_index();
  const RowSource x = rows_of(args.x, head, args.head_dim, plan.x_chunks);
  const RowSource projection{static_cast<const std::uint16_t*>(args.projection), args.head_dim, args.head_dim, plan.projection_chunks};
  find_thresholds<T, Dim>(threshold, args, plan, projection, head);

  const auto copy_columns = [&](std::uint32_t tile) {
    copy_rows<Dim>(columns + tile % 2 * tile_keys * Layout::chunks, projection, tile_keys, plan.columns, [tile](unsigned row) { return tile * tile_keys + row; });
    commit_copies();
  };
  const Range share = part_of(plan.token_tiles, grid_x(), block_x());
  for (std::uint32_t token_tile = share.begin; token_tile < share.end; ++token_tile) {
    sync_block();  // nobody reads the tokens or columns before any more
    copy_rows<Dim>(tokens, x, rows, args.tokens, [token_tile](unsigned row) { return token_tile * rows + row; });
    copy_columns(0);
    const std::uint32_t token = token_tile * rows + thread;
    std::uint32_t table = 0;  // the next to be packed
    for (std::uint32_t tile = 0; tile < plan.column_tiles; ++tile) {
      wait_copies<0>();
      sync_block();
      if (tile + 1 < plan.column_tiles) copy_columns(tile + 1);
      float s[row_tiles][tile_keys / 8][4];
      multiply_keys<T, Dim, row_tiles>(s, tokens, warp_index() * warp_rows, columns + tile % 2 * tile_keys * Layout::chunks);
      std::uint32_t* words = signs + tile % 2 * 2 * rows + warp_index() * warp_rows;
      pack_signs(s, threshold + tile * tile_keys, words, words + rows);
      sync_warp();
      for (; table < args.tables && (table + 1) * args.bits <= (tile + 1) * tile_keys; ++table) {
        const SignPlace place = sign_place(table, args.bits);
        const std::uint32_t low = signs[place.word % kept_words * rows + thread], high = signs[(place.word + 1) % kept_words * rows + thread];
        if (token < args.tokens) args.codes[(std::uint64_t{head} * args.tables + table) * args.tokens + token] = static_cast<std::uint16_t>(code_of(low, high, place.shift, args.bits));
      }
      sync_warp();
    }
  }
}

}  // namespace

Outcome run_hash(const HashArgs& args, Stream stream) {
  if (args.bits == 0 || args.bits > 15) return "E_KERNEL_SHAPE a code has 1 to 15 bits";
  if (args.tables == 0) return nullptr;
  const std::uint32_t columns = args.tables * args.bits, token_tiles = ceil_div(args.tokens, rows);
  const HeadTensor projection{const_cast<void*>(args.projection), args.head_dim, args.head_dim};
  const HashPlan plan{columns, ceil_div(columns, tile_keys), token_tiles, whole_chunks(args.x, args.head_dim), whole_chunks(projection, args.head_dim)};
  return for_instance(args.dtype, args.head_dim, [&](auto element, auto dim) -> Outcome {
    constexpr unsigned Dim = decltype(dim)::value;
    const std::size_t shared_bytes = TileLayout<Dim>::bytes(rows + 2 * tile_keys) + (kept_words * rows + std::size_t{plan.column_tiles} * tile_keys) * sizeof(std::uint32_t);
    if (shared_bytes > 163 * 1024) return "E_KERNEL_SHAPE tables * bits is more than 15000 columns";
    // Two blocks each for 132 multiprocessors, none for one tile of tokens: thresholds are to pay.
    const std::uint32_t shares = token_tiles > 0 ? parts_for(token_tiles, args.heads, 264, 2) : 0;
    return launch(hash_tokens<decltype(element), Dim>, Grid{shares, args.heads}, threads, shared_bytes, stream, args, plan);
  });
}

}  // namespace attnscope::gpu
