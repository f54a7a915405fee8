// The loop over heads and blocks of 64 queries that attention over a prompt shares.
#pragma once
#include "core/block_product.h"
#include "host/kernels/cpu_row_block.h"

namespace attnscope::cpu {

/// The m-th block of a head: queries at positions [first_query, end_query).
struct PromptBlock {
  std::uint32_t head = 0, m = 0;
  std::uint32_t first_query = 0, end_query = 0;
};

/// Gathers keys until a batch is full and hands it to the row block.
class KeyBatch {
 public:
  KeyBatch(RowBlock& block, const float* keys, std::size_t key_stride, const float* values, std::size_t value_stride, const ElementRule& rule)
      : block_(block), keys_(keys), values_(values), key_stride_(key_stride), value_stride_(value_stride), rule_(rule) {}

  void add_run(std::uint32_t begin, std::uint32_t end) {
    for (; begin < end; ++begin) add(begin);
  }
  void add(std::uint32_t key) {
    positions_[count_++] = key;
    if (count_ == batch_keys) flush();
  }
  void flush() {
    if (count_ != 0) block_.attend(keys_, key_stride_, values_, value_stride_, {positions_, count_}, rule_);
    count_ = 0;
  }

 private:
  RowBlock& block_;
  const float *keys_, *values_;
  std::size_t key_stride_, value_stride_;
  const ElementRule& rule_;
  std::size_t count_ = 0;
  std::uint32_t positions_[batch_keys];
};

/// add_keys(const PromptBlock&, KeyBatch&) names the keys of every block, none at or after end_query. Blocks of one kv head
/// follow each other, the last rows of the prompt first, since those have the most keys; results depend on no other block.
template <class AddKeys>
Outcome attend_prompt(Context& context, const AttentionArgs& args, const ElementRule& rule, AddKeys add_keys) {
  FloatHeads keys, values;
  if (!as_floats(context, shared_keys, args.k, args.dtype, args.kv_heads, args.keys, args.head_dim, 1, keys) ||
      !as_floats(context, shared_values, args.v, args.dtype, args.kv_heads, args.keys, args.head_dim, wide_lanes, values))
    return out_of_memory;
  const std::size_t width = round_up(args.head_dim, wide_lanes), group = args.heads / args.kv_heads, blocks = args.row_blocks();
  context.pool.parallel_for(args.heads * blocks, [&](std::size_t task, unsigned worker) {
    const std::size_t kv = task / (group * blocks), in_kv = task % (group * blocks);
    PromptBlock at;
    at.head = static_cast<std::uint32_t>(kv * group + in_kv % group);
    at.m = static_cast<std::uint32_t>(blocks - 1 - in_kv / group);
    const std::uint32_t first = at.m * block_rows, rows = std::min<std::uint32_t>(block_rows, args.queries - first);
    at.first_query = args.first_query + first;
    at.end_query = at.first_query + rows;

    RowBlock block(context.scratch[worker], args.head_dim, width);
    block.begin(source_rows(args.q, args.dtype, at.head, args.head_dim), first, rows, args.first_query, args.scale);
    KeyBatch batch(block, keys.head(kv), keys.stride, values.head(kv), values.stride, rule);
    add_keys(at, batch);
    batch.flush();
    for (std::uint32_t r = 0; r < rows; ++r) {
      float* lse = args.lse == nullptr ? nullptr : args.lse + std::size_t{at.head} * args.queries + first + r;
      write_row(args.out, args.dtype, at.head, first + r, block.finish(r, lse), args.head_dim);
    }
  });
  return nullptr;
}

}  // namespace attnscope::cpu
