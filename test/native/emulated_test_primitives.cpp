// The emulation itself: what kernels rely on, and that it notices what a GPU would punish.
#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "core/dtype.h"
#include "core/timing/work.h"
#include "cuda/device.h"
#include "cuda/mma_tile.h"

using namespace attnscope;
using namespace attnscope::gpu;

namespace {

bool fails_with(const char* answer, const char* words) {
  if (answer != nullptr && std::strstr(answer, words) != nullptr) return true;
  std::printf("  answer: %s\n", answer == nullptr ? "(none)" : answer);
  return false;
}

// ---- barriers ----

/// Every thread writes a word, and reads its neighbour's.
template <bool Synchronised>
void neighbours(std::uint32_t* out) {
  auto* words = reinterpret_cast<std::uint32_t*>(shared_memory());
  words[thread_index()] = 100 + thread_index();
  if (Synchronised) sync_block();
  out[block_x() * block_threads() + thread_index()] = words[(thread_index() + 1) % block_threads()];
}

bool neighbours_are_right(bool synchronised, std::uint64_t seed) {
  std::vector<std::uint32_t> out(3 * 96, 0);
  emulation::set_seed(seed);
  CHECK(launch(synchronised ? neighbours<true> : neighbours<false>, {3}, 96, 96 * 4, {}, out.data()) == nullptr);
  for (unsigned i = 0; i < out.size(); ++i)
    if (out[i] != 100 + (i % 96 + 1) % 96) return false;
  return true;
}

void half_leave(int) {
  if (thread_index() < 32) return;
  sync_block();
}
void warp_parts(int) {
  if (lane_index() < 16) shuffle_xor(1u, 1);
  else ballot(true);
}
void never_waits(Chunk* from) {
  copy_async(shared_memory(), from, true);
  commit_copies();
}
void crooked_copy(std::uint16_t* from) { copy_async(shared_memory(), from + 1, true); }

// ---- copies ----

struct CopyCase {
  const Chunk* from;
  std::uint32_t* early;
  std::uint32_t* late;
};
void copies(CopyCase c) {
  auto* to = reinterpret_cast<Chunk*>(shared_memory());
  copy_async(to, c.from, true);
  commit_copies();
  copy_async(to + 1, c.from + 1, false);
  commit_copies();
  *c.early = to[0].word[0];
  wait_copies<1>();
  c.late[0] = to[0].word[0];
  c.late[1] = to[1].word[0];
  wait_copies<0>();
  c.late[2] = to[1].word[0];
}
void copies_of_one(CopyCase c) {
  if (thread_index() == 0) copies(c);
}

// ---- warp functions ----

void warp_functions(std::uint32_t* out) {
  const unsigned lane = lane_index();
  std::uint32_t* mine = out + thread_index() * 8;
  mine[0] = shuffle(thread_index(), 5);
  mine[1] = shuffle_xor(thread_index(), 3);
  mine[2] = shuffle_up(thread_index(), 2);
  mine[3] = ballot(lane % 3 == 0);
  mine[4] = match_any(lane / 10);
  mine[5] = warp_sum(lane);
  mine[6] = warp_max<8>(lane);
  mine[7] = atomic_add(out + 64 * 8, 1u) < 64;
}

// ---- matrices ----

/// One product from registers alone, addressed by the formulas of the PTX manual for mma.m16n8k16.
struct ProductCase { const std::uint16_t *a, *b; float* c; };
template <class T>
void product_by_the_manual(ProductCase p) {
  const unsigned group = lane_index() >> 2, in_group = lane_index() % 4;
  std::uint16_t a[8], b[4];
  for (unsigned i = 0; i < 8; ++i) {
    const unsigned row = i < 2 || (i >= 4 && i < 6) ? group : group + 8;
    const unsigned column = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
    a[i] = p.a[row * 16 + column];
  }
  for (unsigned i = 0; i < 4; ++i) b[i] = p.b[(in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0)) * 8 + group];
  std::uint32_t left[4], right[2];
  std::memcpy(left, a, sizeof a);
  std::memcpy(right, b, sizeof b);
  float c[4] = {1, 1, 1, 1};
  multiply_add<T>(c, left, right[0], right[1]);
  for (unsigned i = 0; i < 4; ++i) p.c[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)] = c[i];
}

/// The tile products of mma_tile.h: scores of 16 RowTiles rows a warp, and those times values.
struct TileCase {
  RowSource q, k, v;
  std::uint32_t rows, keys;
  float *scores, *out;
};
template <class T, unsigned Dim, unsigned RowTiles>
void tile_products(TileCase c) {
  using Layout = TileLayout<Dim>;
  const unsigned rows = 16 * RowTiles * block_threads() / warp_size;
  auto* queries = reinterpret_cast<Chunk*>(shared_memory());
  Chunk *keys = queries + rows * Layout::chunks, *values = keys + tile_keys * Layout::chunks;
  const auto same = [](unsigned row) -> std::uint32_t { return row; };
  copy_rows<Dim>(queries, c.q, rows, c.rows, same);
  copy_rows<Dim>(keys, c.k, tile_keys, c.keys, same);
  copy_rows<Dim>(values, c.v, tile_keys, c.keys, same);
  commit_copies();
  wait_copies<0>();
  sync_block();
  float s[RowTiles][8][4], o[RowTiles][Dim / 8][4] = {};
  const unsigned first = warp_index() * 16 * RowTiles, group = lane_index() / 4, pair = 2 * (lane_index() % 4);
  multiply_keys<T, Dim, RowTiles>(s, queries, first, keys);
  std::uint32_t packed[tile_keys / 16][RowTiles][4];
  pack_scores<T, RowTiles>(packed, s);
  multiply_values<T, Dim, RowTiles>(o, packed, values);
  for (unsigned t = 0; t < RowTiles; ++t)
    for (unsigned e = 0; e < 4; ++e) {
      const unsigned row = first + 16 * t + group + 8 * (e / 2);
      for (unsigned n = 0; n < 8; ++n) c.scores[row * 64 + 8 * n + pair + e % 2] = s[t][n][e];
      for (unsigned n = 0; n < Dim / 8; ++n) c.out[row * Dim + 8 * n + pair + e % 2] = o[t][n][e];
    }
}

std::vector<std::uint16_t> random_elements(DType dtype, std::size_t n, unsigned seed, std::vector<float>& values) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  values.resize(n);
  for (float& x : values) x = normal(random);
  round_in_place(dtype, values);
  std::vector<std::uint16_t> bits(n);
  from_float(dtype, values.data(), n, bits.data());
  return bits;
}

template <class T, unsigned Dim, unsigned RowTiles>
void check_tile(DType dtype, std::uint32_t dim, std::uint32_t rows, std::uint32_t keys, bool chunks) {
  constexpr unsigned threads = 64, all_rows = 32 * RowTiles;
  std::vector<float> q, k, v;
  const auto q_bits = random_elements(dtype, rows * dim, 1, q), k_bits = random_elements(dtype, keys * dim, 2, k), v_bits = random_elements(dtype, keys * dim, 3, v);
  // A GPU's allocations are aligned; so must these be.
  const auto aligned = [](const std::vector<std::uint16_t>& from, std::vector<Chunk>& to) {
    to.resize((from.size() + 7) / 8);
    std::memcpy(to.data(), from.data(), from.size() * 2);
    return reinterpret_cast<const std::uint16_t*>(to.data());
  };
  std::vector<Chunk> buffers[3];
  std::vector<float> scores(all_rows * 64, NAN), out(all_rows * Dim, NAN);
  const TileCase c{{aligned(q_bits, buffers[0]), dim, dim, chunks}, {aligned(k_bits, buffers[1]), dim, dim, chunks}, {aligned(v_bits, buffers[2]), dim, dim, chunks},
                   rows, keys, scores.data(), out.data()};
  CHECK(launch(tile_products<T, Dim, RowTiles>, {1}, threads, TileLayout<Dim>::bytes(all_rows + 128), {}, c) == nullptr);
  for (unsigned i = 0; i < all_rows; ++i) {
    std::vector<double> row(64, 0.0);
    for (unsigned j = 0; j < 64; ++j) {
      for (unsigned d = 0; d < dim && i < rows && j < keys; ++d) row[j] += static_cast<double>(q[i * dim + d]) * static_cast<double>(k[j * dim + d]);
      CHECK_NEAR(scores[i * 64 + j], row[j], 1e-5, 1e-5);
    }
    for (unsigned d = 0; d < Dim; ++d) {
      double expected = 0;
      for (unsigned j = 0; j < keys && d < dim; ++j) {
        float p = scores[i * 64 + j];
        round_in_place(dtype, std::span(&p, 1));
        expected += static_cast<double>(p) * static_cast<double>(v[j * dim + d]);
      }
      CHECK_NEAR(out[i * Dim + d], expected, 1e-5, 2e-4);
    }
  }
}

}  // namespace

TEST("a barrier orders shared memory; without it some order of turns shows") {
  int wrong = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    CHECK(neighbours_are_right(true, seed));
    wrong += !neighbours_are_right(false, seed);
  }
  CHECK_EQUAL(wrong, 8);
}

TEST("threads that wait for ever, warps that part, copies nobody waits for, crooked addresses and oversized blocks are errors") {
  CHECK(fails_with(launch(half_leave, {1}, 64, 0, {}, 0), "wait for each other"));
  CHECK(fails_with(launch(warp_parts, {1}, 32, 0, {}, 0), "lanes of a warp part"));
  std::vector<Chunk> memory(4);
  CHECK(fails_with(launch(never_waits, {1}, 32, 64, {}, memory.data()), "never waited"));
  CHECK(fails_with(launch(crooked_copy, {1}, 32, 64, {}, reinterpret_cast<std::uint16_t*>(memory.data())), "multiple of 16"));
  std::uint32_t* nothing = nullptr;
  CHECK(fails_with(launch(neighbours<true>, {1}, 48, 4, {}, nothing), "whole warps"));
  CHECK(fails_with(launch(neighbours<true>, {1}, 32, 200 * 1024, {}, nothing), "shared memory"));
  CHECK(neighbours_are_right(true, 1));  // and the next launch works again
}

TEST("a copy arrives when it is waited for, not before; an invalid one is zeros") {
  std::vector<Chunk> memory(2);
  memory[0].word[0] = 7;
  memory[1].word[0] = 8;
  std::uint32_t early = 0, late[3] = {};
  CHECK(launch(copies_of_one, {1}, 32, 32, {}, CopyCase{memory.data(), &early, late}) == nullptr);
  CHECK_EQUAL(early, ~0u);
  CHECK_EQUAL(late[0], 7);
  CHECK_EQUAL(late[1], ~0u);
  CHECK_EQUAL(late[2], 0);
}

TEST("shuffles, votes, matches and sums of a warp") {
  std::vector<std::uint32_t> out(64 * 8 + 1, 0);
  CHECK(launch(warp_functions, {1}, 64, 0, {}, out.data()) == nullptr);
  for (unsigned thread = 0; thread < 64; ++thread) {
    const unsigned lane = thread % 32, base = thread - lane;
    const std::uint32_t* mine = out.data() + thread * 8;
    CHECK_EQUAL(mine[0], base + 5);
    CHECK_EQUAL(mine[1], base + (lane ^ 3));
    CHECK_EQUAL(mine[2], lane < 2 ? thread : thread - 2);
    std::uint32_t thirds = 0, same = 0;
    for (unsigned l = 0; l < 32; ++l) thirds |= (l % 3 == 0) * (1u << l), same |= (l / 10 == lane / 10) * (1u << l);
    CHECK_EQUAL(mine[3], thirds);
    CHECK_EQUAL(mine[4], same);
    CHECK_EQUAL(mine[5], 31 * 32 / 2);
    CHECK_EQUAL(mine[6], lane / 8 * 8 + 7);
    CHECK_EQUAL(mine[7], 1);
  }
  CHECK_EQUAL(out[64 * 8], 64);
}

TEST("16-bit conversions equal the engine's for every pattern and for values between") {
  std::vector<float> values;
  std::mt19937 random(3);
  for (unsigned i = 0; i < 200'000; ++i) {
    const float x = emulation::f16_value(static_cast<std::uint16_t>(i % 65536));
    if (!std::isnan(x)) values.push_back(i < 65536 ? x : std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) + (i % 3 == 0 ? 0x1000u : static_cast<std::uint32_t>(random() % 0x2000))));
  }
  std::erase_if(values, [](float x) { return std::isnan(x); });
  for (const DType dtype : {DType::f16, DType::bf16}) {
    std::vector<std::uint16_t> bits(values.size());
    std::vector<float> back(values.size());
    from_float(dtype, values.data(), values.size(), bits.data());
    to_float(dtype, bits.data(), bits.size(), back.data());
    for (std::size_t i = 0; i < values.size(); ++i) {
      CHECK_EQUAL(dtype == DType::f16 ? from_float<F16>(values[i]).bits : from_float<Bf16>(values[i]).bits, bits[i]);
      CHECK_EQUAL(dtype == DType::f16 ? to_float(F16{bits[i]}) : to_float(Bf16{bits[i]}), back[i]);
    }
  }
}

TEST("a matrix product from registers laid out by the manual") {
  const auto run = [](auto element, DType dtype) {
    std::vector<float> a, b, c(16 * 8);
    const auto a_bits = random_elements(dtype, 16 * 16, 5, a), b_bits = random_elements(dtype, 16 * 8, 6, b);
    CHECK(launch(product_by_the_manual<decltype(element)>, {1}, 32, 0, {}, ProductCase{a_bits.data(), b_bits.data(), c.data()}) == nullptr);
    for (unsigned i = 0; i < 16; ++i)
      for (unsigned j = 0; j < 8; ++j) {
        double expected = 1;
        for (unsigned k = 0; k < 16; ++k) expected += static_cast<double>(a[i * 16 + k]) * static_cast<double>(b[k * 8 + j]);
        CHECK_NEAR(c[i * 8 + j], expected, 1e-5, 1e-5);
      }
  };
  run(F16{}, DType::f16);
  run(Bf16{}, DType::bf16);
}

TEST("tiles of scores and values equal plain products, ragged rows, keys and dims included") {
  check_tile<F16, 64, 1>(DType::f16, 64, 32, 64, true);
  check_tile<F16, 96, 1>(DType::f16, 96, 31, 63, true);
  check_tile<Bf16, 128, 2>(DType::bf16, 128, 64, 64, true);
  check_tile<F16, 128, 1>(DType::f16, 104, 17, 40, true);
  check_tile<F16, 64, 2>(DType::f16, 20, 63, 1, false);
}

TEST("rows of a matrix load lie in different banks") {
  const auto check_banks = [](auto dim) {
    using Layout = TileLayout<decltype(dim)::value>;
    for (unsigned row = 0; row < 64; row += 8)
      for (unsigned chunk = 0; chunk < Layout::chunks; ++chunk) {
        std::uint32_t banks = 0;  // groups of four banks, 16 bytes
        for (unsigned r = row; r < row + 8; ++r) banks |= 1u << Layout::chunk_place(r, chunk) % 8;
        CHECK_EQUAL(banks, 0xFFu);
      }
  };
  check_banks(DimTag<64>{});
  check_banks(DimTag<96>{});
  check_banks(DimTag<128>{});
}

TEST("the sizes kernels are compiled for are those that times are looked up by") {
  for (std::uint32_t head_dim = 1; head_dim <= largest_dim; ++head_dim)
    CHECK(for_instance(DType::f16, head_dim, [&](auto, auto dim) -> Outcome {
      CHECK_EQUAL(compiled_dim(head_dim), decltype(dim)::value);
      return nullptr;
    }) == nullptr);
  CHECK(for_instance(DType::f16, largest_dim + 1, [](auto, auto) -> Outcome { return nullptr; }) != nullptr);
}
