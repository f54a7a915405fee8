// Capture, pass 2: the core's coverage of rows, for strips of the queries of each head.
#include <algorithm>

#include "core/row_coverage.h"
#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_rows.h"

namespace attnscope::cpu {
namespace {

constexpr std::uint32_t coverage_strip = 256;

/// Whether the maxima of cells that [queries) x [keys) meets reach the threshold.
bool reaches(const CoverageArgs& args, std::size_t head, TokenRange queries, TokenRange keys, float threshold) {
  const float* cell_max = args.cell_max + head * args.cells * args.cells;
  for (std::size_t row = queries.begin / args.cell; row <= (queries.end - 1) / args.cell; ++row)
    for (std::size_t column = keys.begin / args.cell; column <= (keys.end - 1) / args.cell; ++column)
      if (cell_max[row * args.cells + column] >= threshold) return true;
  return false;
}

void cover_strip(const CoverageArgs& args, const KeyPanels& keys, std::size_t head, std::uint32_t begin, std::uint32_t rows, Scratch& scratch) {
  const AttentionArgs& of = args.attention;
  const SourceRows source = source_rows(of.q, of.dtype, head, of.head_dim);
  Rows queries = source.rows(of.queries).slice(begin, rows);
  if (!source.in_place(1)) {
    float* copy = scratch.floats(slot_rows, std::size_t{coverage_strip} * of.head_dim);
    for (std::uint32_t i = 0; i < rows; ++i) source.read(begin + i, copy + std::size_t{i} * of.head_dim, of.head_dim);
    queries = {copy, rows, of.head_dim, of.head_dim};
  }
  const std::size_t at = head * of.queries + begin;
  const HeadInput input{queries, of.first_query + begin, &keys, of.scale, Visibility{}};
  MayMatter may_matter;
  if (args.cell_max != nullptr)
    may_matter = [&](TokenRange rows_of, TokenRange keys_of, float threshold) { return reaches(args, head, rows_of, keys_of, threshold); };
  coverage_rows(input, {of.lse + at, rows}, {args.coverage_90 + at, args.coverage_95 + at, args.coverage_99 + at}, may_matter, scratch);
}

}  // namespace

Outcome coverage(Context& context, const CoverageArgs& args) {
  const AttentionArgs& of = args.attention;
  const std::uint32_t group = of.heads / of.kv_heads;
  const std::size_t strips = (of.queries + coverage_strip - 1) / coverage_strip;
  for (std::uint32_t kv = 0; kv < of.kv_heads; ++kv) {  // one kv head's panels at a time
    FloatHeads copy;
    const HeadTensor source{static_cast<std::byte*>(of.k.data) + kv * of.k.head_stride * size_of(of.dtype), 0, of.k.row_stride};
    if (!as_floats(context, shared_keys, source, of.dtype, 1, of.keys, of.head_dim, 1, copy)) return out_of_memory;
    const KeyPanels keys(Rows{copy.data, of.keys, of.head_dim, copy.stride});
    context.pool.parallel_for(group * strips, [&](std::size_t task, unsigned worker) {
      const auto begin = static_cast<std::uint32_t>((strips - 1 - task / group) * coverage_strip);  // last strips first: they see the most keys
      cover_strip(args, keys, kv * group + task % group, begin, std::min(coverage_strip, of.queries - begin), context.scratch[worker]);
    });
  }
  return nullptr;
}

}  // namespace attnscope::cpu
