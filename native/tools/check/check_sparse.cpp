// Attention over tiles and columns: those of plans, and any that the interface allows.
#include <memory>

#include "core/policy/plan_builder.h"
#include "tools/check/attention_case.h"
#include "tools/check/sparse_index.h"

namespace attnscope::check_kernels {

SparseArrays::SparseArrays(Session& session, const IndexLists& lists, bool with_columns) : with_columns_(with_columns) {
  for (const auto& blocks : lists) {
    std::size_t tiles = 0, columns = 0;
    for (const BlockKeys& block : blocks) tiles += block.tiles.size(), columns += block.columns.size();
    tile_capacity_ = std::max(tile_capacity_, tiles);
    column_capacity_ = std::max(column_capacity_, columns);
  }
  tile_capacity_ += session.below(5);
  const auto make = [&](std::size_t capacity, auto member, auto& offset, auto& values) {
    std::vector<std::uint32_t> offsets, all(lists.size() * capacity, ~0u);
    for (std::size_t h = 0; h < lists.size(); ++h) {
      std::uint32_t at = 0;
      offsets.push_back(0);
      for (const BlockKeys& block : lists[h]) {
        for (const std::uint32_t key : block.*member) all[h * capacity + at++] = key;
        offsets.push_back(at);
      }
    }
    offset = std::make_unique<DeviceArray<std::uint32_t>>(session, offsets);
    values = std::make_unique<DeviceArray<std::uint32_t>>(session, all);
  };
  make(tile_capacity_, &BlockKeys::tiles, tile_offset_, tile_);
  make(column_capacity_, &BlockKeys::columns, column_offset_, column_);
}

namespace {

/// Vertical-slash as the policy converts it: columns and runs of distances, as dense as chance makes them.
std::vector<BlockKeys> random_plan(Session& session, std::uint32_t tokens, std::uint32_t first_block) {
  std::vector<std::uint32_t> columns, distances;
  for (std::uint32_t i = session.below(tokens + 1); i > 0; i -= std::min(i, 1 + session.below(8))) columns.push_back(session.below(tokens));
  for (std::uint32_t run = session.below(6); run > 0; --run)
    for (std::uint32_t t = session.below(tokens), length = 1 + session.below(70); length > 0 && t < tokens; --length, ++t) distances.push_back(t);
  if (session.below(3) != 0) distances.push_back(0);
  const PrefillPlan plan = plan_from_vertical_slash(tokens, columns, distances);
  std::vector<BlockKeys> blocks;
  for (std::uint32_t m = first_block; m < plan.row_blocks(); ++m)
    blocks.push_back({{plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[m]), plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[m + 1])},
                      {plan.column.begin() + static_cast<std::ptrdiff_t>(plan.column_offset[m]), plan.column.begin() + static_cast<std::ptrdiff_t>(plan.column_offset[m + 1])}});
  return blocks;
}

/// Tiles from any start below the block's end, columns anywhere below `keys`, also after the block's queries; at times nothing.
BlockKeys random_block(Session& session, std::uint32_t end_query, std::uint32_t keys) {
  BlockKeys block;
  if (session.below(6) == 0) return block;
  const std::uint32_t step = 1 + session.below(200);
  for (std::uint32_t key = session.below(step); key < end_query; key += 64 + session.below(step)) block.tiles.push_back(key);
  if (session.below(4) == 0) block.tiles.clear();
  const std::uint32_t one_in = 1 + session.below(20);
  for (std::uint32_t key = 0; key < keys; ++key)
    if (session.below(one_in) == 0 && !block.holds(key)) block.columns.push_back(key);
  return block;
}

}  // namespace

void check_sparse(Session& session) {
  for (const DType dtype : session.dtypes())
    for (const std::uint32_t dim : head_dims(session))
      for (PromptShape shape : prompt_shapes(session, session.full ? 36 : 6)) {
        const std::uint32_t choice = session.below(3);
        if (choice == 0) shape.extra_keys = 0;
        const std::uint32_t end = shape.first_query + shape.queries;
        IndexLists lists;
        for (std::uint32_t h = 0; h < shape.heads; ++h) {
          if (choice == 0) {
            lists.push_back(random_plan(session, end, shape.first_query / 64));
            continue;
          }
          lists.emplace_back();
          for (std::uint32_t first = 0; first < shape.queries; first += 64)
            lists.back().push_back(random_block(session, shape.first_query + std::min(first + 64, shape.queries), end + shape.extra_keys));
        }
        const bool with_columns = session.below(4) != 0;
        if (!with_columns)
          for (auto& blocks : lists)
            for (BlockKeys& block : blocks) block.columns.clear();
        const SparseArrays arrays(session, lists, with_columns);
        PromptCase(session, dtype, dim, shape)
            .run("sparse", choice == 0 ? ", a vertical-slash plan" : ", any tiles and columns",
                 [&](const AttentionArgs& args) { return session.device.sparse(args, arrays.index()); },
                 [&](std::uint32_t h, std::uint32_t m, auto, std::uint32_t key) { return lists[h][m].holds(key); });
      }
}

}  // namespace attnscope::check_kernels
