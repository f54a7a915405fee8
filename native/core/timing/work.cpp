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

KernelWork dense(const KernelShape& s) {
  KernelWork work = prefill_attention(s, s.heads * causal_blocks(s.tokens, queries_of(s)), 0, 0);
  work.least_flops = 4 * s.head_dim * s.heads * causal_pairs(s.tokens, queries_of(s));
  return work;
}

/// Of the keys those on the diagonal are read whatever else is. Fewer tiles than its parameters make are those of a narrower
/// window, of which only is known that every row sees itself.
KernelWork a_shape(const KernelShape& s) {
  const double queries = queries_of(s), own = s.heads * a_shape_blocks(s.tokens, queries, s.columns, s.distances);
  KernelWork work = prefill_attention(s, s.tiles > 0 ? s.tiles : own, 0, 0);
  const double pairs = work.work < own ? std::min(cells * work.work, s.heads * queries) : s.heads * a_shape_pairs(s.tokens, queries, s.columns, std::max(1.0, s.distances));
  work.least_flops = 4 * s.head_dim * pairs;
  work.least_bytes = work.bytes - 2 * key_bytes(s, s.tokens - queries);
  return work;
}

/// Pairs that tiles and column tiles hold at least, of one head after the other. Hidden are in every row block at most the half
/// above the diagonal; where tiles are not aligned also what the last of a range has past the block, and the padding of the
/// last column tile; and all of rows that a ragged block lacks.
double least_pairs(const KernelShape& s, bool aligned) {
  const double queries = queries_of(s), rows = blocks_of(queries), lacking = rows * block - queries;
  const double hidden = rows * (triangle(block) + (aligned ? 0 : 2 * block * (block - 1))) + lacking * block * (blocks_of(s.tokens) + 2);
  return std::max(0.0, cells * (s.tiles + s.column_tiles) - s.heads * hidden);
}

/// Which keys are read at all is the lists' to say: queries, outputs, LSE and an entry a tile move for sure.
KernelWork sparse(const KernelShape& s) {
  KernelWork work = prefill_attention(s, s.tiles, s.column_tiles, s.tiles + block * s.column_tiles);
  work.least_flops = 4 * s.head_dim * least_pairs(s, s.op == "block-sparse");
  work.least_bytes = work.bytes - 2 * key_bytes(s, s.tokens) - 4 * (block - 1) * s.column_tiles;
  return work;
}

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
  const double ends = 8 * s.heads * (blocks + 1);
  return {.work = blocks * entries, .column_work = s.tiles, .unit = "entries", .bytes = 4 * entries + 4 * (s.tiles + block * s.column_tiles) + ends,
          .least_bytes = 4 * entries + 4 * (s.tiles + s.column_tiles) + ends};
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
          .bytes = query_bytes(s, queries) + key_bytes(s, s.tokens) + 28 * s.heads * queries + 16 * s.heads * s.tokens,
          .least_flops = 2 * s.head_dim * s.heads * causal_pairs(s.tokens, queries)};
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

double causal_pairs(double tokens, double queries) { return queries * (tokens - queries) + kernel_shapes::triangle(queries + 1); }

double a_shape_pairs(double tokens, double queries, double sink, double local) {
  // Of rows [0, n): what lies within local, and of what lies before that the sinks.
  const auto prefix = [&](double n) {
    const double far = std::max(0.0, n - local), cut = std::min(far, sink);
    return kernel_shapes::triangle(n - far + 1) + far * local + kernel_shapes::triangle(cut + 1) + (far - cut) * sink;
  };
  return prefix(tokens) - prefix(tokens - queries);
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
    if (kernel.op == shape.op && kernel.phase == shape.phase) {
      KernelWork work = kernel.work(shape);
      if (std::isnan(work.least_flops)) work.least_flops = work.flops;
      if (std::isnan(work.least_bytes)) work.least_bytes = work.bytes;
      return work;
    }
  return Error{"E_TIMING_KERNEL", "no kernel is called " + name + "; docs/format.md lists operations and phases"};
}

double roofline_us(double flops, double bytes, double peak_flops, double bytes_per_second) {
  const double compute = flops / peak_flops, memory = bytes / bytes_per_second;
  return 1e6 * (std::isnan(compute) ? memory : std::isnan(memory) ? compute : std::max(compute, memory));
}

double work_ratio(double known_flops, double known_bytes, double wanted_flops, double wanted_bytes) {
  constexpr double compute_bound = 16;  // operations a byte: decode has 1 to 8, attention over a prompt thousands
  return known_flops / known_bytes >= compute_bound ? wanted_flops / known_flops : wanted_bytes / known_bytes;
}

double compiled_dim(double head_dim) {
  for (const double size : {64.0, 96.0, 128.0})
    if (head_dim <= size) return size;
  return head_dim;
}

}  // namespace attnscope
