// A device that computes: memory, queues, and the kernels that a model's forward pass, a capture and policies are made of. Behind it
// stand the CPU (host/kernels), CUDA (a shared library that is loaded at run time), and the CUDA sources under emulation (tests). The
// runner on a device (host/device), checks and the timing harness know only this.
//
// Pointers in arguments are memory of the device. Strides and counts are in elements. Operations are queued in order and
// may run on after they return; synchronize() waits. Nothing here throws: an Outcome other than nullptr is
// "CODE sentence", owned by the device and valid until its next call.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace attnscope {

/// Raised with every change of this file: a library of another version is refused.
inline constexpr std::uint32_t kKernelInterfaceVersion = 3;

using Outcome = const char*;

struct DeviceFacts {
  const char* kind = "";           // "cpu", "cuda" or "emulated"
  const char* name = "";           // "NVIDIA H200", "AMD EPYC ..."
  const char* driver = "";         // CUDA driver and runtime, or compiler and vector instructions of the CPU build
  std::uint64_t memory_bytes = 0;  // that the device has
  std::uint32_t units = 0;         // multiprocessors, or threads used
  std::uint32_t compute_capability = 0;  // 90 for 9.0; 0 for a CPU
  double clock_mhz = 0;            // at the moment of asking; 0: unknown
  std::uint64_t cache_bytes = 0;   // last-level cache, what flush_cache() overwrites
  const char* products = "";       // what multiply() runs: "cuBLAS 13.1" or "own kernel"
  std::size_t shared_bytes = 0;    // shared memory that a block of a kernel may have at most; 0: no such bound
};

/// Work in a queue runs in order; queues run beside each other. Operations run in `compute`.
enum class Queue : std::uint8_t { compute, upload, download };
/// A point in a queue that others can wait for.
using Event = void*;

/// Rows of vectors by head: element (head, row, channel) at data + head * head_stride + row * row_stride + channel.
struct HeadTensor {
  void* data = nullptr;
  std::uint64_t head_stride = 0, row_stride = 0;
};

/// What all attention over a prompt shares. Query i stands at position first_query + i and sees keys [0, that position].
/// Query head h reads kv head h / (heads / kv_heads).
struct AttentionArgs {
  DType dtype = DType::f32;        // of q, k, v and out; f32 on the CPU only
  std::uint32_t heads = 1, kv_heads = 1, head_dim = 0;
  std::uint32_t queries = 0, first_query = 0;  // first_query is a multiple of 64
  std::uint32_t keys = 0;                      // >= first_query + queries
  float scale = 1;
  HeadTensor q{}, k{}, v{}, out{};
  float* lse = nullptr;            // [heads][queries], natural logarithm; may be null

  std::uint32_t row_blocks() const { return (queries + 63) / 64; }
};

/// What a sparse kernel reads, by head and by block of 64 queries (m-th block of the call): tiles of 64 consecutive keys from
/// any start, disjoint, ascending; then single columns, ascending, outside the tiles. Causality is the kernel's to mask in both.
struct SparseIndex {
  std::uint32_t* tile_offset = nullptr;    // [heads][row_blocks + 1], from 0 in every head
  std::uint32_t* tile = nullptr;           // [heads][tile_capacity] first key
  std::uint32_t* column_offset = nullptr;  // [heads][row_blocks + 1]; null: no columns
  std::uint32_t* column = nullptr;         // [heads][column_capacity]
  std::uint64_t tile_capacity = 0, column_capacity = 0;
};

/// Attention of one new token a head over listed keys, or over all.
struct DecodeArgs {
  DType dtype = DType::f32;
  std::uint32_t heads = 1, kv_heads = 1, head_dim = 0;
  std::uint32_t keys = 0;
  float scale = 1;
  HeadTensor q{};                          // one row a head
  HeadTensor k{}, v{};
  /// lists == kv_heads: one list for all query heads of a kv head; lists == heads: one each. Distinct keys in any order.
  const std::uint32_t* list = nullptr;     // [lists][list_capacity]; null: keys [0, keys)
  const std::uint32_t* list_count = nullptr;  // [lists]
  const float* log_weight = nullptr;       // [lists][list_capacity], added to the scores; null: 0
  std::uint32_t lists = 0;
  std::uint64_t list_capacity = 0;
  float* out = nullptr;                    // [heads][head_dim]; zeros where a list is empty
  float* lse = nullptr;                    // [heads]; -infinity where a list is empty
  void* workspace = nullptr;               // workspace_bytes(args)
};

/// Joins attention over disjoint sets of keys: out = sum of exp(lse_p - lse) out_p, lse = log sum exp(lse_p).
struct MergeArgs {
  std::uint32_t parts = 0, rows = 0, head_dim = 0;
  const float* part_out = nullptr;         // [parts][rows][head_dim]
  const float* part_lse = nullptr;         // [parts][rows]
  float* out = nullptr;                    // [rows][head_dim]
  float* lse = nullptr;                    // [rows]
};

/// Vertical-slash, phase 1: softmax of the last queries against all keys they see, summed by column and by distance
/// query - key (raw sums over the rows).
struct StripArgs {
  DType dtype = DType::f32;
  std::uint32_t heads = 1, kv_heads = 1, head_dim = 0;
  std::uint32_t tokens = 0;                // queries are the last min(64, tokens) of them
  float scale = 1;
  HeadTensor q{}, k{};                       // q: rows by position, [tokens]
  float* column_score = nullptr;           // [heads][tokens]
  float* distance_score = nullptr;         // [heads][tokens]
  void* workspace = nullptr;               // workspace_bytes(args)
};

/// The `count` largest scores of every row, indices [0, forced) in front of all others, ties to the lowest index; NaN counts as
/// -infinity. Indices are written in index order: ascending, or descending.
struct SelectArgs {
  const float* score = nullptr;            // [rows][score_stride]
  std::uint64_t score_stride = 0;
  std::uint32_t rows = 0, entries = 0;     // count <= entries, forced <= count
  std::uint32_t count = 0, forced = 0;
  bool descending = false;
  std::uint32_t* index = nullptr;          // [rows][count]
  void* workspace = nullptr;               // workspace_bytes(args)
};

/// Vertical-slash, phase 3: columns and distances of every head to tiles and columns of every row block.
struct ConvertArgs {
  std::uint32_t heads = 1, tokens = 0;
  const std::uint32_t* column = nullptr;   // [heads][columns] ascending
  const std::uint32_t* distance = nullptr; // [heads][distances] descending
  std::uint32_t columns = 0, distances = 0;
  SparseIndex out{};                         // capacities of at least convert_capacity()
  void* workspace = nullptr;               // workspace_bytes(args)
};

/// Mean of every 64 rows: sums divided by 64 also where the last block is ragged, as the published code pads with zeros.
struct PoolArgs {
  DType dtype = DType::f32;
  std::uint32_t heads = 1, head_dim = 0, tokens = 0;
  HeadTensor x{};
  float* mean = nullptr;                   // [heads][ceil(tokens / 64)][head_dim]
};

/// Block-sparse: for row block m the top_k of key blocks [0, m] by pooled q . pooled k, ascending, ties to the lowest block.
struct BlockSelectArgs {
  std::uint32_t heads = 1, kv_heads = 1, head_dim = 0, tokens = 0;
  const float* pooled_q = nullptr;         // [heads][blocks][head_dim]
  const float* pooled_k = nullptr;         // [kv_heads][blocks][head_dim]
  std::uint32_t top_k = 0;
  SparseIndex out{};                         // tiles only; tile_capacity >= blocks * min(top_k, blocks)
  void* workspace = nullptr;               // workspace_bytes(args)
};

/// LagKV: score of every token of the full partitions, each judged against the next (core/policy/lag_score.h, fp32 form).
struct LagArgs {
  DType dtype = DType::f32;
  std::uint32_t kv_heads = 1, head_dim = 0, tokens = 0;
  std::uint32_t sink = 0, lag = 0;
  float value_weight = 1;
  HeadTensor k{}, v{};
  float* score = nullptr;                  // [kv_heads][partitions()][lag]
  std::uint32_t partitions() const { return tokens < sink + 2 * lag ? 0 : (tokens - sink) / lag - 1; }
};

/// SimHash: bit j of codes[head][table][i] = [(x_i - centre) . w > 0], w = projection row table * bits + j.
struct HashArgs {
  DType dtype = DType::f32;
  std::uint32_t heads = 1, head_dim = 0, tokens = 0;
  std::uint32_t bits = 0, tables = 0;      // bits <= 15
  HeadTensor x{};
  const void* projection = nullptr;        // [tables * bits][head_dim] in dtype, shared by all heads
  const float* centre = nullptr;           // [heads][head_dim]; null: none
  std::uint16_t* codes = nullptr;          // [heads][tables][tokens]
};

/// Keys of every table by code: ids ascending within a bucket.
struct BucketArgs {
  const std::uint16_t* codes = nullptr;    // [tables][tokens]; tables counts those of all heads
  std::uint32_t tables = 0, tokens = 0, bits = 0;
  std::uint32_t* ids = nullptr;            // [tables][tokens]
  std::uint32_t* start = nullptr;          // [tables][2^bits + 1]
};

/// Capture, pass 2: P = exp(q.k * scale - lse) recomputed and reduced (core/reduce.h says what each means).
struct ReduceArgs {
  AttentionArgs attention{};                // q, k, lse; v and out are not read
  std::uint32_t cell = 64, cells = 0;      // cells = ceil(keys / cell); cell is a power of two
  std::uint32_t sink_tokens = 4, local_tokens = 64;
  double* cell_sum = nullptr;              // [heads][cells][cells]
  float* cell_max = nullptr;               // [heads][cells][cells]
  double* column_sum = nullptr;            // [heads][keys]
  double* diagonal_sum = nullptr;          // [heads][keys]
  float *entropy = nullptr, *sink_mass = nullptr, *local_mass = nullptr, *previous_mass = nullptr, *top1_mass = nullptr;  // [heads][queries]
  std::uint32_t* top1_key = nullptr;       // [heads][queries]
};

/// Token embeddings, widened: out[i] = table[ids[i]].
struct EmbedArgs {
  DType dtype = DType::f32;                // of the table
  std::uint32_t rows = 0, width = 0;
  const void* table = nullptr;             // [vocabulary][width]
  const std::uint32_t* ids = nullptr;      // [rows]
  float* out = nullptr;                    // [rows][width]
};

/// RMSNorm: weight * (x / sqrt(mean(x^2) + epsilon)), computed in fp32, rounded to dtype.
struct NormArgs {
  DType dtype = DType::f32;                // of out
  std::uint32_t rows = 0, width = 0;
  const float* x = nullptr;                // [rows][width]
  const float* weight = nullptr;           // [width]
  float epsilon = 0;
  void* out = nullptr;                     // [rows][width]
};

/// out[i][o] = sum over k of x[i][k] w[o][k], accumulated in fp32.
struct MultiplyArgs {
  DType dtype = DType::f32;                // of x and w; f32 on the CPU only
  DType out_dtype = DType::f32;            // f32, or dtype
  bool add = false;                        // onto out instead of over it; out_dtype f32 only
  std::uint32_t rows = 0, in = 0, out_width = 0;
  const void* x = nullptr;                 // [rows][in]
  const void* w = nullptr;                 // [out_width][in], as checkpoints store it
  void* out = nullptr;                     // [rows][out_width]
  void* workspace = nullptr;               // workspace_bytes(args)
};

/// Rows of fp32 vectors of all heads to the precision that attention reads, rotated by position where tables are given
/// (core/rope.h: channels c and c + head_dim / 2 are a pair).
struct RotateArgs {
  DType dtype = DType::f32;                // of out
  std::uint32_t rows = 0, heads = 1, head_dim = 0;
  const float* x = nullptr;                // [rows][heads * head_dim]
  const float *cosine = nullptr, *sine = nullptr;  // [rows][head_dim / 2], of these rows' positions; null: rounding alone
  HeadTensor out{};
  std::uint32_t* overflowed = nullptr;     // one counter, added to: finite values that dtype turns into infinities
};

/// SwiGLU, in place: gate = silu(gate) * up, computed in fp32.
struct ActivateArgs {
  DType dtype = DType::f32;
  std::uint64_t count = 0;
  void* gate = nullptr;
  const void* up = nullptr;
};

/// Values of one precision as another, rounded to nearest even.
struct CastArgs {
  DType from_dtype = DType::f32, to_dtype = DType::f32;
  std::uint64_t count = 0;
  const void* from = nullptr;
  void* to = nullptr;
};

/// Whole rows picked by number: out[i] = from[rows[i]].
struct GatherArgs {
  std::uint32_t count = 0;
  std::uint64_t row_bytes = 0, from_stride_bytes = 0;
  const void* from = nullptr;
  const std::uint32_t* rows = nullptr;     // [count]
  void* out = nullptr;                     // [count][row_bytes], apart from `from`
};

/// How many values are NaN or infinite.
struct NonFiniteArgs {
  std::uint64_t count = 0;
  const float* x = nullptr;
  std::uint32_t* found = nullptr;          // one counter, added to
};

/// First and second moments of fp32 vectors about a pivot, added to what is there: of every head, with y = x - pivot,
/// sum[c] += y[c] and product[a][b] += y[a] y[b].
struct MomentsArgs {
  std::uint32_t rows = 0, heads = 1, head_dim = 0;
  const float* x = nullptr;                // [rows][heads * head_dim]
  const float* pivot = nullptr;            // [heads][head_dim]: a value near the mean keeps the sums small
  double* sum = nullptr;                   // [heads][head_dim]
  double* product = nullptr;               // [heads][head_dim][head_dim], both triangles
};

/// Capture, pass 2: how many keys hold 90, 95 and 99 % of every row, an upper bound (core/coverage.h).
struct CoverageArgs {
  AttentionArgs attention{};               // q, k, lse; v and out are not read
  /// Maxima that reduce() found for the same rows; tiles of keys whose values cannot matter are passed over. Null: none are.
  std::uint32_t cell = 64, cells = 0;
  const float* cell_max = nullptr;         // [heads][cells][cells]
  std::uint32_t *coverage_90 = nullptr, *coverage_95 = nullptr, *coverage_99 = nullptr;  // [heads][queries]
};

class KernelDevice {
 public:
  virtual ~KernelDevice() = default;
  virtual const DeviceFacts& facts() = 0;

  // ---- memory ----
  virtual void* allocate(std::size_t bytes) = 0;  // nullptr where there is not enough
  virtual void release(void* memory) = 0;
  virtual void* allocate_host(std::size_t bytes) = 0;  // pinned where that means something
  virtual void release_host(void* memory) = 0;
  /// In the compute queue. Memory that is not from allocate_host() may be written again when this returns.
  virtual Outcome upload(void* to, const void* from, std::size_t bytes) = 0;
  /// Queued as everything else: synchronize() before reading what came.
  virtual Outcome download(void* to, const void* from, std::size_t bytes) = 0;
  virtual Outcome copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual Outcome fill(void* to, std::uint8_t byte, std::size_t bytes) = 0;

  /// Device memory that allocate() could still give, as the driver sees it.
  virtual std::uint64_t free_bytes() = 0;

  // ---- queues ----
  /// From or to memory of allocate_host(), which stays as it is until the queue has come past.
  virtual Outcome upload_in(Queue queue, void* to, const void* from, std::size_t bytes) = 0;
  virtual Outcome download_in(Queue queue, void* to, const void* from, std::size_t bytes) = 0;
  virtual Event create_event() = 0;  // nullptr where there is no memory for one
  virtual void release_event(Event event) = 0;
  /// The event happens when everything queued so far is done; recorded again, it is the new point.
  virtual Outcome record(Event event, Queue queue) = 0;
  /// What is queued from now on waits for the event; an event that was never recorded has happened.
  virtual Outcome wait(Queue queue, Event event) = 0;
  /// The caller waits for the event.
  virtual Outcome await(Event event) = 0;

  // ---- time ----
  virtual Outcome synchronize() = 0;
  /// Between the two nothing but queued operations; stop() waits for them. Microseconds.
  virtual Outcome start_timer() = 0;
  virtual Outcome stop_timer(double* us) = 0;
  /// Overwrites the last-level cache, so that the next operation reads memory.
  virtual Outcome flush_cache() = 0;

  // ---- operations ----
  virtual Outcome dense(const AttentionArgs& args) = 0;
  /// Key < sink or query - key < local.
  virtual Outcome a_shape(const AttentionArgs& args, std::uint32_t sink, std::uint32_t local) = 0;
  virtual Outcome sparse(const AttentionArgs& args, const SparseIndex& index) = 0;
  virtual Outcome decode(const DecodeArgs& args) = 0;
  virtual Outcome merge(const MergeArgs& args) = 0;
  virtual Outcome strip(const StripArgs& args) = 0;
  virtual Outcome select(const SelectArgs& args) = 0;
  virtual Outcome convert(const ConvertArgs& args) = 0;
  virtual Outcome pool(const PoolArgs& args) = 0;
  virtual Outcome select_blocks(const BlockSelectArgs& args) = 0;
  virtual Outcome lag_score(const LagArgs& args) = 0;
  virtual Outcome hash(const HashArgs& args) = 0;
  virtual Outcome sort_buckets(const BucketArgs& args) = 0;
  virtual Outcome reduce(const ReduceArgs& args) = 0;
  virtual Outcome embed(const EmbedArgs& args) = 0;
  virtual Outcome norm(const NormArgs& args) = 0;
  virtual Outcome multiply(const MultiplyArgs& args) = 0;
  virtual Outcome rotate(const RotateArgs& args) = 0;
  virtual Outcome activate(const ActivateArgs& args) = 0;
  virtual Outcome cast(const CastArgs& args) = 0;
  virtual Outcome gather(const GatherArgs& args) = 0;
  virtual Outcome count_non_finite(const NonFiniteArgs& args) = 0;
  virtual Outcome moments(const MomentsArgs& args) = 0;
  virtual Outcome coverage(const CoverageArgs& args) = 0;

  virtual std::size_t workspace_bytes(const DecodeArgs& args) = 0;
  virtual std::size_t workspace_bytes(const StripArgs& args) = 0;
  virtual std::size_t workspace_bytes(const SelectArgs& args) = 0;
  virtual std::size_t workspace_bytes(const ConvertArgs& args) = 0;
  virtual std::size_t workspace_bytes(const BlockSelectArgs& args) = 0;
  virtual std::size_t workspace_bytes(const MultiplyArgs& args) = 0;
  /// Shared memory of a block of coverage(), which grows with the length of the longest row; facts().shared_bytes bounds it.
  virtual std::size_t shared_bytes(const CoverageArgs& args) = 0;
};

/// Tiles and columns a head can need at most: tiles are disjoint and begin at or after key 0, so row block m holds at most
/// m + 2 of them, and never more than there are distances.
struct ConvertCapacity {
  std::uint64_t tiles = 0, columns = 0;
};
inline ConvertCapacity convert_capacity(std::uint32_t tokens, std::uint32_t columns, std::uint32_t distances) {
  ConvertCapacity capacity;
  for (std::uint64_t m = 0; m * 64 < tokens; ++m) capacity.tiles += m + 2 < distances ? m + 2 : distances;
  capacity.columns = (tokens + std::uint64_t{63}) / 64 * columns;
  return capacity;
}

/// What libattnscope_cuda exports. Returns nullptr and a sentence in `why` where there is no usable device.
using OpenCudaDevice = KernelDevice* (*)(std::uint32_t interface_version, std::uint32_t device, char* why, std::size_t why_bytes);
inline constexpr const char* kOpenCudaDevice = "attnscope_open_cuda_device";

}  // namespace attnscope
