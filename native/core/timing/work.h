// How much a kernel is asked to do: what its time is measured against. The timing harness writes it into every row, and the
// viewer asks for it when it wants to know the time of a policy.
#pragma once
#include <limits>
#include <string_view>

#include "core/result.h"

namespace attnscope {

/// What a kernel is asked to do; what does not apply is 0. Counts are whole numbers in doubles (exact up to 2^53).
struct KernelShape {
  std::string_view op, phase;      // as in the timing table: data/format/timings.ts
  double tokens = 0;               // keys
  double queries = 0;              // the last of them, from a multiple of 64 on; 0: all of a prompt
  double heads = 0, kv_heads = 0, head_dim = 0;
  double bytes_per_element = 0;    // of Q, K, V and the output
  double tiles = 0, column_tiles = 0;  // over all heads: vertical-slash (convert too), block-sparse; a-shape counts its own at 0
  double keys = 0;                 // decode-list: keys read a query head; merge: parts, 0 for two
  double columns = 0, distances = 0;   // a head: select, convert; a-shape: n_init, n_local; simhash: columns are hash tables;
                                       // decode-list: columns are lists of keys, 0 for one a kv head
  double top_k = 0;                // block-sparse/select: blocks a row; simhash: bits of a code
};

/// Work over all heads, and what costs beside it: column tiles that attention gathers, tiles that convert writes, keys that
/// decode-list loads (fewer than it multiplies where heads share a list). Time is close to proportional to work + c column_work.
struct KernelWork {
  static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  double work = 0, column_work = 0;
  const char* unit = "";           // of both
  double flops = unknown;          // multiplications and additions, whole 64 x 64 blocks and tiles as kernels compute them
  double bytes = unknown;          // everything read and written once: all keys and values, padded lists
  /// What no kernel of this shape can do with less of: products of visible pairs alone, and bytes that certainly move. Below
  /// the two above where those count whole blocks; what a bound is made of.
  double least_flops = unknown, least_bytes = unknown;
};

/// dense, a-shape, vertical-slash, block-sparse, reduce: 64 x 64 blocks; others by what they walk over. E_TIMING_KERNEL names
/// the operation and phase that no kernel has, or the number that is none.
Result<KernelWork> kernel_work(const KernelShape& shape);

/// 64 x 64 blocks that hold a visible pair of one head's last `queries` rows (row blocks of 64 from the first of them).
double causal_blocks(double tokens, double queries);
/// The same for key < sink or query - key < local, in aligned tiles: what the policy a-shape plans.
double a_shape_blocks(double tokens, double queries, double sink, double local);

/// Visible pairs of one head's last `queries` rows.
double causal_pairs(double tokens, double queries);
/// Those of them with key < sink or query - key < local.
double a_shape_pairs(double tokens, double queries, double sink, double local);

/// Least microseconds a device with these peaks needs; a peak or count that is not known (NaN) bounds nothing, NaN if none is.
/// Of KernelWork: least_flops and least_bytes.
double roofline_us(double flops, double bytes, double peak_flops, double bytes_per_second);

/// How many times as long `wanted` takes as `known`, both of one kernel in different shapes: as much as it multiplies where the
/// known one multiplies enough for each byte to be bound by that, else as much as it moves.
double work_ratio(double known_flops, double known_bytes, double wanted_flops, double wanted_bytes);

/// Channels that CUDA kernels compute a head with: the smallest size they are compiled for (for_instance in native/cuda/mma_tile.h)
/// that holds it; the head's own where none does. CPU kernels compute with the head's own.
double compiled_dim(double head_dim);

}  // namespace attnscope
