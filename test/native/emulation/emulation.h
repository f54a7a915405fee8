// What native/cuda/device.h offers kernels, on a CPU: the threads of a block are fibres that take turns. A fibre runs until it
// meets a barrier or a warp instruction; which of the ready ones goes on is drawn from a seed, so that a missing barrier
// shows. Shared memory is a heap block of exactly the size asked for, filled with NaN, and an asynchronous copy arrives only
// when it is waited for: sanitizers and poison see what a GPU would let pass. Blocks run one after the other.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define ATTNSCOPE_DEVICE inline
#define ATTNSCOPE_KERNEL(threads) void

namespace attnscope::gpu {

/// Emulated work is done when a launch returns.
struct Stream {};

namespace emulation {

/// Where the running fibre stands.
struct Place {
  unsigned thread = 0, threads = 0, block[3] = {}, grid[3] = {};
  std::byte* shared = nullptr;
};
const Place& place();

/// Seed of the order in which fibres take turns, for launches from now on.
void set_seed(std::uint64_t seed);
/// Collectives and barriers met so far, of all threads: what an emulated run costs.
std::uint64_t switches();

/// Every thread of the block.
void block_barrier();
/// All 32 lanes of the warp, with the same `name`; the last to arrive performs it with every lane's operand.
void collective(const char* name, void* operand, void (*perform)(void* const (&operands)[warp_size]));
/// Ends the launch with a sentence of these parts; does not return, and what the fibre holds is never destroyed.
[[noreturn]] void fail(const char* what, const char* detail = "");

void copy(void* to, const void* from, bool valid);
void commit();
void wait(unsigned pending);

const char* run(Grid grid, unsigned threads, std::size_t shared_bytes, const std::function<void()>& kernel);

inline std::uint16_t bf16_bits(float x) {
  auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return 0x7FFF;
  bits += 0x7FFF + (bits >> 16 & 1);
  return static_cast<std::uint16_t>(bits >> 16);
}
std::uint16_t f16_bits(float x);
float f16_value(std::uint16_t bits);

/// Of a chunk.
inline void check_aligned(const void* address, const char* what) {
  if (reinterpret_cast<std::uintptr_t>(address) % sizeof(Chunk) != 0) fail("address is not a multiple of 16 in ", what);
}

}  // namespace emulation

inline unsigned thread_index() { return emulation::place().thread; }
inline unsigned block_threads() { return emulation::place().threads; }
inline unsigned block_x() { return emulation::place().block[0]; }
inline unsigned block_y() { return emulation::place().block[1]; }
inline unsigned block_z() { return emulation::place().block[2]; }
inline unsigned grid_x() { return emulation::place().grid[0]; }
inline unsigned grid_y() { return emulation::place().grid[1]; }
inline std::byte* shared_memory() { return emulation::place().shared; }

inline void sync_block() { emulation::block_barrier(); }
inline void sync_warp() {
  emulation::collective("sync_warp", nullptr, [](void* const (&)[warp_size]) {});
}

namespace emulation {

template <class T>
struct Shuffle {
  T value, result;
  unsigned source;
};

/// `source` is a lane; at or past 32 the lane keeps its own value.
template <class T>
T exchange(const char* name, T value, unsigned source) {
  Shuffle<T> mine{value, value, source};
  collective(name, &mine, [](void* const (&lanes)[warp_size]) {
    for (void* lane : lanes) {
      auto& to = *static_cast<Shuffle<T>*>(lane);
      if (to.source < warp_size) to.result = static_cast<Shuffle<T>*>(lanes[to.source])->value;
    }
  });
  return mine.result;
}

}  // namespace emulation

template <class T> T shuffle(T value, unsigned lane) { return emulation::exchange("shuffle", value, lane % warp_size); }
template <class T> T shuffle_xor(T value, unsigned mask) { return emulation::exchange("shuffle_xor", value, (thread_index() % warp_size) ^ mask); }
template <class T> T shuffle_up(T value, unsigned delta) {
  const unsigned lane = thread_index() % warp_size;
  return emulation::exchange("shuffle_up", value, lane < delta ? warp_size : lane - delta);
}

inline std::uint32_t match_any(std::uint32_t value) {
  struct Match { std::uint32_t value, result; } mine{value, 0};
  emulation::collective("match_any", &mine, [](void* const (&lanes)[warp_size]) {
    for (void* lane : lanes)
      for (unsigned other = 0; other < warp_size; ++other)
        if (static_cast<Match*>(lanes[other])->value == static_cast<Match*>(lane)->value) static_cast<Match*>(lane)->result |= 1u << other;
  });
  return mine.result;
}
inline std::uint32_t ballot(bool predicate) {
  const std::uint32_t same = match_any(predicate);
  return predicate ? same : ~same;
}
inline unsigned popcount(std::uint32_t word) { return static_cast<unsigned>(std::popcount(word)); }

// Fibres do not interrupt each other, so plain code is atomic.
inline void atomic_add(float* to, float value) { *to += value; }
inline void atomic_add(double* to, double value) { *to += value; }
inline std::uint32_t atomic_add(std::uint32_t* to, std::uint32_t value) { return (*to += value) - value; }
inline void atomic_max_positive(float* to, float value) {
  if (!(value >= 0)) emulation::fail("atomic_max_positive: value is negative or NaN");
  if (value > *to) *to = value;
}

inline void copy_async(void* to, const void* from, bool valid) { emulation::copy(to, from, valid); }
inline void commit_copies() { emulation::commit(); }
template <int Pending> void wait_copies() { emulation::wait(Pending); }

namespace emulation {

struct MatrixLoad {
  const std::uint16_t* row;  // eight elements
  std::uint32_t* result;     // four words
};

template <bool Transposed>
void load(const char* name, std::uint32_t (&r)[4], const void* row) {
  check_aligned(row, name);
  MatrixLoad mine{static_cast<const std::uint16_t*>(row), r};
  collective(name, &mine, [](void* const (&lanes)[warp_size]) {
    for (unsigned lane = 0; lane < warp_size; ++lane)
      for (unsigned m = 0; m < 4; ++m) {
        const auto element = [&](unsigned i, unsigned j) -> std::uint32_t { return static_cast<MatrixLoad*>(lanes[8 * m + i])->row[j]; };
        const unsigned i = lane / 4, j = 2 * (lane % 4);
        static_cast<MatrixLoad*>(lanes[lane])->result[m] =
            Transposed ? element(j, i) | element(j + 1, i) << 16 : element(i, j) | element(i, j + 1) << 16;
      }
  });
}

}  // namespace emulation

inline void load_matrices(std::uint32_t (&r)[4], const void* row) { emulation::load<false>("load_matrices", r, row); }
inline void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) { emulation::load<true>("load_matrices_transposed", r, row); }

inline float power_of_two(float x) {
  const float y = std::exp2(x);
  return std::fabs(y) < 0x1p-126f ? 0.0f : y;
}
inline std::uint32_t float_bits(float x) { return std::bit_cast<std::uint32_t>(x); }
inline float float_of_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

inline float to_float(Bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }
inline float to_float(F16 x) { return emulation::f16_value(x.bits); }
template <class T> T from_float(float x);
template <> inline Bf16 from_float<Bf16>(float x) { return {emulation::bf16_bits(x)}; }
template <> inline F16 from_float<F16>(float x) { return {emulation::f16_bits(x)}; }
template <class T> std::uint32_t pack(float low, float high) { return from_float<T>(low).bits | static_cast<std::uint32_t>(from_float<T>(high).bits) << 16; }

namespace emulation {

struct Product {
  float* c;
  const std::uint32_t* a;
  std::uint32_t b[2];
};

/// A of lane l: registers hold (l / 4, 2 (l % 4)), the row 8 below, the column 8 right, both; B: (2 (l % 4), l / 4) and 8 further down;
/// c: (l / 4, 2 (l % 4)) and the row 8 below (PTX, matrix fragments of mma.m16n8k16 with 16-bit elements).
template <class T>
void multiply(void* const (&lanes)[warp_size]) {
  float a[16][16], b[16][8];
  const auto half = [](std::uint32_t word, unsigned high) { return to_float(T{static_cast<std::uint16_t>(high ? word >> 16 : word)}); };
  for (unsigned lane = 0; lane < warp_size; ++lane) {
    const auto& mine = *static_cast<Product*>(lanes[lane]);
    const unsigned group = lane / 4, pair = 2 * (lane % 4);
    for (unsigned e = 0; e < 2; ++e) {
      for (unsigned r = 0; r < 4; ++r) a[group + 8 * (r % 2)][pair + e + 8 * (r / 2)] = half(mine.a[r], e);
      for (unsigned r = 0; r < 2; ++r) b[pair + e + 8 * r][group] = half(mine.b[r], e);
    }
  }
  for (unsigned lane = 0; lane < warp_size; ++lane)
    for (unsigned e = 0; e < 4; ++e) {
      const unsigned row = lane / 4 + 8 * (e / 2), column = 2 * (lane % 4) + e % 2;
      float sum = 0;
      for (unsigned k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
      static_cast<Product*>(lanes[lane])->c[e] += sum;
    }
}

}  // namespace emulation

template <class T>
void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  emulation::Product mine{c, a, {b0, b1}};
  emulation::collective("multiply_add", &mine, emulation::multiply<T>);
}

template <class... Parameters>
const char* launch(void (*kernel)(Parameters...), Grid grid, unsigned threads, std::size_t shared_bytes, Stream, Parameters... arguments) {
  return emulation::run(grid, threads, shared_bytes, [&] { kernel(arguments...); });
}

inline const char* fill_bytes(void* to, std::uint8_t byte, std::size_t bytes, Stream) {
  if (bytes > 0) std::memset(to, byte, bytes);
  return nullptr;
}

}  // namespace attnscope::gpu
