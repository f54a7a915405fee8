// What kernels may use of a GPU, and the only place that names intrinsics. nvcc compiles it for sm_80 and newer; without nvcc
// the same functions come from the emulation in test/native/emulation, where threads are fibres and matrix instructions loops.
// Blocks are one-dimensional and a multiple of 32 threads; all shared memory is dynamic; warp functions are called by whole warps.
#pragma once
#include <cstddef>
#include <cstdint>

namespace attnscope::gpu {

/// 16-bit elements as they lie in memory.
struct Bf16 { std::uint16_t bits; };
struct F16 { std::uint16_t bits; };

/// 16 bytes, read and written by one instruction.
struct alignas(16) Chunk { std::uint32_t word[4]; };
/// Elements of a chunk.
inline constexpr unsigned chunk_elements = 8;

struct Grid { unsigned x = 1, y = 1, z = 1; };

inline constexpr unsigned warp_size = 32;

}  // namespace attnscope::gpu

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define ATTNSCOPE_DEVICE __device__ __forceinline__
/// A kernel of at most `threads` threads a block: ATTNSCOPE_KERNEL(128) name(Args args) {...}
#define ATTNSCOPE_KERNEL(threads) __global__ void __launch_bounds__(threads)

namespace attnscope::gpu {

using Stream = cudaStream_t;

ATTNSCOPE_DEVICE unsigned thread_index() { return threadIdx.x; }
ATTNSCOPE_DEVICE unsigned block_threads() { return blockDim.x; }
ATTNSCOPE_DEVICE unsigned block_x() { return blockIdx.x; }
ATTNSCOPE_DEVICE unsigned block_y() { return blockIdx.y; }
ATTNSCOPE_DEVICE unsigned block_z() { return blockIdx.z; }
ATTNSCOPE_DEVICE unsigned grid_x() { return gridDim.x; }
ATTNSCOPE_DEVICE unsigned grid_y() { return gridDim.y; }

/// The block's shared memory, 128-byte aligned.
ATTNSCOPE_DEVICE std::byte* shared_memory() {
  extern __shared__ __align__(128) unsigned char attnscope_shared[];
  return reinterpret_cast<std::byte*>(attnscope_shared);
}

ATTNSCOPE_DEVICE void sync_block() { __syncthreads(); }
/// Orders shared and global memory among the threads of a warp.
ATTNSCOPE_DEVICE void sync_warp() { __syncwarp(); }

template <class T> ATTNSCOPE_DEVICE T shuffle(T value, unsigned lane) { return __shfl_sync(~0u, value, static_cast<int>(lane)); }
template <class T> ATTNSCOPE_DEVICE T shuffle_xor(T value, unsigned mask) { return __shfl_xor_sync(~0u, value, static_cast<int>(mask)); }
/// Value of the lane `delta` below; a lane's own where there is none.
template <class T> ATTNSCOPE_DEVICE T shuffle_up(T value, unsigned delta) { return __shfl_up_sync(~0u, value, delta); }
ATTNSCOPE_DEVICE std::uint32_t ballot(bool predicate) { return __ballot_sync(~0u, predicate); }
/// Lanes that hold the same value.
ATTNSCOPE_DEVICE std::uint32_t match_any(std::uint32_t value) { return __match_any_sync(~0u, value); }
ATTNSCOPE_DEVICE unsigned popcount(std::uint32_t word) { return static_cast<unsigned>(__popc(word)); }

ATTNSCOPE_DEVICE void atomic_add(float* to, float value) { atomicAdd(to, value); }
ATTNSCOPE_DEVICE void atomic_add(double* to, double value) { atomicAdd(to, value); }
ATTNSCOPE_DEVICE std::uint32_t atomic_add(std::uint32_t* to, std::uint32_t value) { return atomicAdd(to, value); }
/// Maximum where both are at least +0: such floats order as their bits do.
ATTNSCOPE_DEVICE void atomic_max_positive(float* to, float value) { atomicMax(reinterpret_cast<unsigned*>(to), __float_as_uint(value)); }

/// 16 bytes from global to shared memory, zeros where not `valid` (`from` is then not read). Both 16-byte aligned.
ATTNSCOPE_DEVICE void copy_async(void* to, const void* from, bool valid) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
}
ATTNSCOPE_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// This thread's copies but those of the last `Pending` groups are there; other threads see them after a barrier.
template <int Pending> ATTNSCOPE_DEVICE void wait_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory"); }

/// Four 8 x 8 matrices of 16-bit elements; lanes 8 m .. 8 m + 7 give the rows of matrix m. A lane receives of each the
/// elements (lane / 4, 2 (lane % 4)) and the next in that row; transposed: (2 (lane % 4), lane / 4) and the next row's.
ATTNSCOPE_DEVICE void load_matrices(std::uint32_t (&r)[4], const void* row) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}
ATTNSCOPE_DEVICE void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

/// c += A B on a warp: A 16 x 16 row-major, B 16 x 8 column-major, c 16 x 8 in fp32, fragments as PTX mma.m16n8k16 lays them out.
template <class T> ATTNSCOPE_DEVICE void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1);
template <> ATTNSCOPE_DEVICE void multiply_add<Bf16>(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <> ATTNSCOPE_DEVICE void multiply_add<F16>(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// 2^x to 2 ulp; subnormal results are 0.
ATTNSCOPE_DEVICE float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

ATTNSCOPE_DEVICE std::uint32_t float_bits(float x) { return __float_as_uint(x); }
ATTNSCOPE_DEVICE float float_of_bits(std::uint32_t bits) { return __uint_as_float(bits); }

ATTNSCOPE_DEVICE float to_float(Bf16 x) { return __uint_as_float(static_cast<std::uint32_t>(x.bits) << 16); }
ATTNSCOPE_DEVICE float to_float(F16 x) { return __half2float(__ushort_as_half(x.bits)); }
/// Rounded to nearest, ties to even.
template <class T> ATTNSCOPE_DEVICE T from_float(float x);
template <> ATTNSCOPE_DEVICE Bf16 from_float<Bf16>(float x) { return {__bfloat16_as_ushort(__float2bfloat16_rn(x))}; }
template <> ATTNSCOPE_DEVICE F16 from_float<F16>(float x) { return {__half_as_ushort(__float2half_rn(x))}; }
/// Two elements as they lie in memory, `low` first.
template <class T> ATTNSCOPE_DEVICE std::uint32_t pack(float low, float high);
template <> ATTNSCOPE_DEVICE std::uint32_t pack<Bf16>(float low, float high) {
  std::uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
template <> ATTNSCOPE_DEVICE std::uint32_t pack<F16>(float low, float high) {
  std::uint32_t word;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

/// Queues a kernel; nullptr, or what the driver says.
template <class... Parameters>
const char* launch(void (*kernel)(Parameters...), Grid grid, unsigned threads, std::size_t shared_bytes, Stream stream, Parameters... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return nullptr;
  // Above 48 KiB a kernel must ask; a device of 8.6 or 8.9 has 99 KiB where 8.0 has 163.
  if (shared_bytes > 48 * 1024)
    if (const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)); error != cudaSuccess) {
      cudaGetLastError();
      return error == cudaErrorInvalidValue ? "E_KERNEL_SHARED a kernel needs more shared memory a block than this device has; compute capability 8.0 and 9.0 have enough" : cudaGetErrorString(error);
    }
  kernel<<<dim3(grid.x, grid.y, grid.z), threads, shared_bytes, stream>>>(arguments...);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

/// Queues the filling of `bytes` bytes.
inline const char* fill_bytes(void* to, std::uint8_t byte, std::size_t bytes, Stream stream) {
  const cudaError_t error = cudaMemsetAsync(to, byte, bytes, stream);
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace attnscope::gpu

#else

#include "emulation.h"

#endif

namespace attnscope::gpu {

// fp32 as an element like the others.
ATTNSCOPE_DEVICE float to_float(float x) { return x; }
template <> ATTNSCOPE_DEVICE float from_float<float>(float x) { return x; }

ATTNSCOPE_DEVICE unsigned lane_index() { return thread_index() % warp_size; }
ATTNSCOPE_DEVICE unsigned warp_index() { return thread_index() / warp_size; }

/// Over the `Lanes` (a power of two) neighbouring lanes that share lane / Lanes; every lane receives the result.
template <unsigned Lanes = warp_size, class T>
ATTNSCOPE_DEVICE T warp_sum(T value) {
#pragma unroll
  for (unsigned mask = Lanes / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}
template <unsigned Lanes = warp_size, class T>
ATTNSCOPE_DEVICE T warp_max(T value) {
#pragma unroll
  for (unsigned mask = Lanes / 2; mask > 0; mask /= 2) {
    const T other = shuffle_xor(value, mask);
    value = other > value ? other : value;
  }
  return value;
}

}  // namespace attnscope::gpu
