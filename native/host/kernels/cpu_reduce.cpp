// Capture, pass 2: the core's reduction of strips of rows, merged in their order.
#include <algorithm>
#include <memory>

#include "core/reduce.h"
#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_rows.h"

namespace attnscope::cpu {
namespace {

/// Rows of a strip. Merging one adds cells^2 accumulators (about 3 ns each), reducing it costs rows * keys * dim multiply-adds
/// (about 0.05 ns each): merging stays below 5 %. Depends on the shapes alone, so results do not depend on the threads.
std::uint32_t strip_rows(const ReduceArgs& args) {
  const double cells = args.cells, enough = 20 * 60 * cells * cells / (static_cast<double>(args.attention.keys) * args.attention.head_dim);
  return static_cast<std::uint32_t>(std::clamp(enough, 512.0, 1e9)) / 64 * 64;
}

/// Queries and keys of one head as fp32.
void reduce_strip(const ReduceArgs& args, const KeyPanels& keys, std::size_t head, std::uint32_t begin, std::uint32_t end, HeadReduction& into,
                  Scratch& scratch) {
  const AttentionArgs& of = args.attention;
  const SourceRows source = source_rows(of.q, of.dtype, head, of.head_dim);
  Rows queries = source.rows(of.queries).slice(begin, end - begin);
  std::vector<float> copy;
  if (!source.in_place(1)) {
    copy.resize(std::size_t{end - begin} * of.head_dim);
    for (std::uint32_t i = begin; i < end; ++i) source.read(i, copy.data() + std::size_t{i - begin} * of.head_dim, of.head_dim);
    queries = {copy.data(), end - begin, of.head_dim, of.head_dim};
  }
  const HeadInput input{queries, of.first_query + begin, &keys, of.scale, Visibility{}};
  reduce_rows(input, {of.lse + head * of.queries + begin, end - begin}, into, scratch);
}

void write_head(const ReduceArgs& args, std::size_t head, const HeadReduction& total) {
  const AttentionArgs& of = args.attention;
  const std::size_t cells = std::size_t{args.cells} * args.cells, keys = of.keys, queries = of.queries, seen = total.column_sum.size();
  std::copy_n(total.cell_sum.begin(), cells, args.cell_sum + head * cells);
  std::copy_n(total.cell_max.begin(), cells, args.cell_max + head * cells);
  for (const auto& [from, to] : {std::pair{&total.column_sum, args.column_sum}, {&total.diagonal_sum, args.diagonal_sum}}) {
    std::copy_n(from->begin(), seen, to + head * keys);
    std::fill(to + head * keys + seen, to + (head + 1) * keys, 0.0);  // keys after the last query
  }
  const RowStats& rows = total.row_stats;
  std::copy_n(rows.entropy.begin(), queries, args.entropy + head * queries);
  std::copy_n(rows.sink_mass.begin(), queries, args.sink_mass + head * queries);
  std::copy_n(rows.local_mass.begin(), queries, args.local_mass + head * queries);
  std::copy_n(rows.previous_mass.begin(), queries, args.previous_mass + head * queries);
  std::copy_n(rows.top1_mass.begin(), queries, args.top1_mass + head * queries);
  std::copy_n(rows.top1_key.begin(), queries, args.top1_key + head * queries);
}

}  // namespace

Outcome reduce(Context& context, const ReduceArgs& args) {
  const AttentionArgs& of = args.attention;
  const std::uint32_t rows = strip_rows(args), group = of.heads / of.kv_heads;
  const std::size_t strips = (of.queries + rows - 1) / rows;
  const ReduceConfig config{of.keys, args.cell, args.sink_tokens, args.local_tokens};
  const TokenRange segment{of.first_query, of.first_query + of.queries};

  for (std::uint32_t kv = 0; kv < of.kv_heads; ++kv) {  // one kv head's panels and accumulators at a time
    FloatHeads copy;
    const HeadTensor source{static_cast<std::byte*>(of.k.data) + kv * of.k.head_stride * size_of(of.dtype), 0, of.k.row_stride};
    if (!as_floats(context, shared_keys, source, of.dtype, 1, of.keys, of.head_dim, 1, copy)) return out_of_memory;
    const KeyPanels keys(Rows{copy.data, of.keys, of.head_dim, copy.stride});
    std::vector<std::unique_ptr<HeadReduction>> parts(group * strips);
    context.pool.parallel_for(parts.size(), [&](std::size_t task, unsigned worker) {
      // Last strips first: they see the most keys.
      const std::size_t head = task % group, strip = strips - 1 - task / group;
      auto part = std::make_unique<HeadReduction>(config, segment);
      const auto begin = static_cast<std::uint32_t>(strip * rows);
      reduce_strip(args, keys, kv * group + head, begin, std::min(begin + rows, of.queries), *part, context.scratch[worker]);
      parts[head * strips + strip] = std::move(part);
    });
    context.pool.parallel_for(group, [&](std::size_t head, unsigned) {
      HeadReduction& total = *parts[head * strips];
      for (std::size_t strip = 1; strip < strips; ++strip) total.merge(*parts[head * strips + strip]);
      write_head(args, kv * group + head, total);
    });
  }
  return nullptr;
}

}  // namespace attnscope::cpu
