#include "core/timing/work.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace attnscope {
namespace kernel_shapes {
namespace {

constexpr double block = 64, cells = block * block;
constexpr const char* in_blocks = "64 x 64 blocks";

double blocks_of(double tokens) { return std::ceil(tokens / block); }
/// 0 + 1 + ... + (n - 1)
double triangle(double n) { return n * (n - 1) / 2; }

double queries_of(const KernelShape& s) { return s.queries > 0 ? s.queries : s.tokens; }
/// One K or V of all kv heads.
double key_bytes(const KernelShape& s, double tokens) { return s.kv_heads * tokens * s.head_dim * s.bytes_per_element; }
double query_bytes(const KernelShape& s, double queries) { return s.heads * queries * s.head_dim * s.bytes_per_element; }

/// Q, K, V, output and LSE once, and the lists of tiles and columns.
KernelWork prefill_attention(const KernelShape& s, double tiles, double column_tiles, double list_entries) {
  const double queries = queries_of(s);
  return {.work = tiles, .column_work = column_tiles, .unit = in_blocks, .flops = 4 * s.head_dim * cells * (tiles + column_tiles),
          .bytes = 2 * query_bytes(s, queries) + 2 * key_bytes(s, s.tokens) + 4 * s.heads * queries + 4 * list_entries};
}

KernelWork dense(const KernelShape& s) { return prefill_attention(s, s.heads * causal_blocks(s.tokens, queries_of(s)), 0, 0); }

KernelWork a_shape(const KernelShape& s) {
  const double own = s.heads * a_shape_blocks(s.tokens, queries_of(s), s.columns, s.distances);
  return prefill_attention(s, s.tiles > 0 ? s.tiles : own, 0, 0);
}

KernelWork sparse(const KernelShape& s) { return prefill_attention(s, s.tiles, s.column_tiles, s.tiles + block * s.column_tiles); }

/// The last 64 queries against all keys, summed by column and by distance.
KernelWork strip(const KernelShape& s) {
  const double rows = std::min(block, s.tokens), pairs = s.heads * (rows * s.tokens - triangle(rows));
  return {.work = pairs, .unit = "pairs", .flops = 2 * s.head_dim * pairs, .bytes = query_bytes(s, rows) + key_bytes(s, s.tokens) + 8 * s.heads * s.tokens};
}

/// The largest of a score a column and one a distance.
KernelWork select(const KernelShape& s) {
  const double scores = 2 * s.heads * s.tokens;
  return {.work = scores, .unit = "scores", .bytes = 4 * scores + 4 * s.heads * (s.columns + s.distances)};
}

/// Every row block walks over all selected columns and distances; runs of distances that are neighbours end in fewer tiles.
KernelWork convert(const KernelShape& s) {
  const double entries = s.heads * (s.columns + s.distances), blocks = blocks_of(s.tokens);
  return {.work = blocks * entries, .column_work = s.tiles, .unit = "entries", .bytes = 4 * entries + 4 * (s.tiles + block * s.column_tiles) + 8 * s.heads * (blocks + 1)};
}

/// Means of 64 rows of Q and of K.
KernelWork pool(const KernelShape& s) {
  const double means = 4 * (s.heads + s.kv_heads) * blocks_of(s.tokens) * s.head_dim;
  const double bytes = query_bytes(s, s.tokens) + key_bytes(s, s.tokens) + means;
  return {.work = bytes, .unit = "bytes", .flops = (s.heads + s.kv_heads) * s.tokens * s.head_dim, .bytes = bytes};
}

/// Pooled query against pooled key for every causal block, and the best of each row.
KernelWork select_blocks(const KernelShape& s) {
  const double blocks = blocks_of(s.tokens), scores = s.heads * (triangle(blocks) + blocks), full = std::min(s.top_k, blocks);
  const double kept = s.heads * (triangle(full) + full + (blocks - full) * full);
  return {.work = scores, .unit = "scores", .flops = 2 * s.head_dim * scores,
          .bytes = 4 * s.head_dim * blocks * (s.heads + s.kv_heads) + 4 * kept + 4 * s.heads * (blocks + 1)};
}

/// One query a head against `keys`; K and V are read once for all heads of a kv head at best.
KernelWork decode(const KernelShape& s, double keys, double lists) {
  const double pairs = s.heads * keys;
  return {.work = pairs, .column_work = lists * keys, .unit = "keys", .flops = 4 * s.head_dim * pairs,
          .bytes = 2 * key_bytes(s, keys) + 4 * lists * keys + query_bytes(s, 1) + 4 * s.heads * (s.head_dim + 1)};
}

KernelWork decode_all(const KernelShape& s) { return decode(s, s.tokens, 0); }

/// Lists cost 4 bytes an entry; heads with lists of their own also load K and V each for themselves.
KernelWork decode_list(const KernelShape& s) { return decode(s, s.keys, s.columns > 0 ? s.columns : s.kv_heads); }

/// fp32 outputs and LSE of disjoint sets of keys.
KernelWork merge(const KernelShape& s) {
  const double parts = s.keys > 0 ? s.keys : 2, rows = s.heads * std::max(1.0, s.queries), bytes = 4 * rows * (s.head_dim + 1) * (parts + 1);
  return {.work = bytes, .unit = "bytes", .flops = 2 * rows * s.head_dim * parts, .bytes = bytes};
}

KernelWork lag_score(const KernelShape& s) {
  return {.work = s.kv_heads * s.tokens, .unit = "keys", .bytes = 2 * key_bytes(s, s.tokens) + 4 * s.kv_heads * s.tokens};
}

/// Codes of 16 bits, one a key and table.
KernelWork hash(const KernelShape& s) {
  const double codes = s.kv_heads * s.tokens * s.columns, projections = codes * s.top_k;
  return {.work = projections, .unit = "projections", .flops = 2 * s.head_dim * projections, .bytes = key_bytes(s, s.tokens) + 2 * codes};
}

KernelWork sort_buckets(const KernelShape& s) {
  const double codes = s.kv_heads * s.tokens * s.columns;
  return {.work = codes, .unit = "codes", .bytes = 6 * codes + 4 * s.kv_heads * s.columns * (std::exp2(s.top_k) + 1)};
}

/// Q K^T once more, with sums by column and distance (fp64) and six values a row.
KernelWork reduce(const KernelShape& s) {
  const double queries = queries_of(s), blocks = s.heads * causal_blocks(s.tokens, queries);
  return {.work = blocks, .unit = in_blocks, .flops = 2 * s.head_dim * cells * blocks,
          .bytes = query_bytes(s, queries) + key_bytes(s, s.tokens) + 28 * s.heads * queries + 16 * s.heads * s.tokens};
}

/// K and V of all tokens.
KernelWork copy(const KernelShape& s) {
  const double bytes = 2 * key_bytes(s, s.tokens);
  return {.work = bytes, .unit = "bytes", .flops = 0, .bytes = bytes};
}

struct Kernel {
  std::string_view op, phase;
  KernelWork (*work)(const KernelShape&);
};
constexpr Kernel kernels[] = {
    {"dense", "attention", dense},
    {"a-shape", "attention", a_shape},
    {"vertical-slash", "estimate", strip},
    {"vertical-slash", "select", select},
    {"vertical-slash", "convert", convert},
    {"vertical-slash", "attention", sparse},
    {"block-sparse", "estimate", pool},
    {"block-sparse", "select", select_blocks},
    {"block-sparse", "attention", sparse},
    {"decode", "attention", decode_all},
    {"decode-list", "attention", decode_list},
    {"merge", "merge", merge},
    {"lagkv", "score", lag_score},
    {"simhash", "hash", hash},
    {"simhash", "sort", sort_buckets},
    {"reduce", "reduce", reduce},
    {"copy", "h2d", copy},
    {"copy", "d2h", copy},
    {"copy", "d2d", copy},
};

/// Blocks of row blocks [0, n) where block m holds the diagonal, `local` blocks before it and `sink` first ones.
double a_shape_prefix(double n, double sink, double local) {
  const double whole = std::min(n, local), cut = n - whole;  // rows that reach back to key 0, and the others
  const double growing = std::min(cut, sink + 1);            // of these, rows whose sinks still meet the local part
  return triangle(whole + 1) + cut * (local + 1) + triangle(growing) + (cut - growing) * sink;
}

}  // namespace
}  // namespace kernel_shapes

double causal_blocks(double tokens, double queries) {
  using kernel_shapes::blocks_of, kernel_shapes::triangle;
  if (queries <= 0) return 0;
  const double rows = blocks_of(queries);
  return triangle(rows) + (rows - 1) * blocks_of(tokens - queries) + blocks_of(tokens);
}

double a_shape_blocks(double tokens, double queries, double sink, double local) {
  using kernel_shapes::blocks_of, kernel_shapes::a_shape_prefix;
  const double sinks = blocks_of(std::min(sink, tokens)), before = blocks_of(std::max(local, 1.0) - 1);
  const double first = std::floor((tokens - queries) / kernel_shapes::block);
  return a_shape_prefix(first + blocks_of(queries), sinks, before) - a_shape_prefix(first, sinks, before);
}

Result<KernelWork> kernel_work(const KernelShape& shape) {
  const double numbers[] = {shape.tokens, shape.queries, shape.heads, shape.kv_heads, shape.head_dim, shape.bytes_per_element, shape.tiles,
                            shape.column_tiles, shape.keys, shape.columns, shape.distances, shape.top_k};
  const auto usable = [](double n) { return std::isfinite(n) && n >= 0; };
  const std::string name = std::string(shape.op) + "/" + std::string(shape.phase);
  if (!std::all_of(std::begin(numbers), std::end(numbers), usable) || (shape.tokens > 0 && shape.queries > shape.tokens))
    return Error{"E_TIMING_KERNEL", "the shape asked of " + name + " holds a negative number, none at all, or more queries than tokens; pass counts"};
  for (const auto& kernel : kernel_shapes::kernels)
    if (kernel.op == shape.op && kernel.phase == shape.phase) return kernel.work(shape);
  return Error{"E_TIMING_KERNEL", "no kernel is called " + name + "; docs/format.md lists operations and phases"};
}

double roofline_us(double flops, double bytes, double peak_flops, double bytes_per_second) {
  const double compute = flops / peak_flops, memory = bytes / bytes_per_second;
  return 1e6 * (std::isnan(compute) ? memory : std::isnan(memory) ? compute : std::max(compute, memory));
}

}  // namespace attnscope
