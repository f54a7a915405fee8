// Columns and distances to tiles and columns: equal to what the policy engine makes of them.
#include "core/policy/plan_builder.h"
#include "tools/check/device_array.h"

namespace attnscope::check_kernels {
namespace {

/// `count` distinct indices below n, ascending: single ones, or runs of neighbours.
std::vector<std::uint32_t> random_indices(Session& session, std::uint32_t n, std::uint32_t count, std::uint32_t longest_run) {
  std::vector<std::uint8_t> member(n);
  for (std::uint32_t left = count; left > 0;)
    for (std::uint32_t i = session.below(n), run = 1 + session.below(longest_run); run > 0 && i < n && left > 0; ++i, --run) left -= !std::exchange(member[i], std::uint8_t{1});
  std::vector<std::uint32_t> indices;
  for (std::uint32_t i = 0; i < n; ++i)
    if (member[i]) indices.push_back(i);
  return indices;
}

bool head_equals(const PrefillPlan& plan, const std::vector<std::uint32_t>& offset, const std::vector<std::uint32_t>& values, std::size_t head,
                 std::size_t capacity, bool tiles) {
  const auto& plan_offset = tiles ? plan.tile_offset : plan.column_offset;
  const auto& plan_values = tiles ? plan.tile : plan.column;
  return std::equal(plan_offset.begin(), plan_offset.end(), offset.begin() + static_cast<std::ptrdiff_t>(head * plan_offset.size())) &&
         std::equal(plan_values.begin(), plan_values.end(), values.begin() + static_cast<std::ptrdiff_t>(head * capacity));
}

}  // namespace

void check_convert(Session& session) {
  std::vector<std::uint32_t> lengths{1, 2, 63, 64, 65, 127, 128, 129, 300, 577, 1000};
  if (session.full) lengths.insert(lengths.end(), {2047, 2048, 2049, 5000, 20000});
  std::size_t turn = session.below(100);
  for (std::size_t i = 0; i < (session.full ? 200u : 60u); ++i, ++turn) {
    ConvertArgs args;
    args.heads = 1 + session.below(4);
    args.tokens = lengths[turn % lengths.size()];
    args.columns = session.below(3) == 0 ? session.below(args.tokens + 1) : session.below(std::min(args.tokens, 40u) + 1);
    args.distances = session.below(3) == 0 ? session.below(args.tokens + 1) : session.below(std::min(args.tokens, 20u) + 1);
    std::vector<std::uint32_t> columns, distances;
    std::vector<PrefillPlan> plans;
    for (std::uint32_t h = 0; h < args.heads; ++h) {
      const std::uint32_t longest_run = 1u << session.below(8);
      std::vector<std::uint32_t> column = random_indices(session, args.tokens, args.columns, 1 + session.below(4));
      std::vector<std::uint32_t> distance = random_indices(session, args.tokens, args.distances, longest_run);
      std::reverse(distance.begin(), distance.end());
      columns.insert(columns.end(), column.begin(), column.end());
      distances.insert(distances.end(), distance.begin(), distance.end());
      plans.push_back(plan_from_vertical_slash(args.tokens, std::move(column), std::move(distance)));
    }
    const ConvertCapacity capacity = convert_capacity(args.tokens, args.columns, args.distances);
    const std::size_t offsets = args.heads * (plans[0].row_blocks() + std::size_t{1});
    const DeviceArray<std::uint32_t> column(session, columns), distance(session, distances), tile_offset(session, offsets), column_offset(session, offsets),
        tile(session, args.heads * capacity.tiles), kept_column(session, args.heads * capacity.columns);
    args.column = column.data();
    args.distance = distance.data();
    args.out = {tile_offset.data(), tile.data(), column_offset.data(), kept_column.data(), capacity.tiles, capacity.columns};
    const DeviceArray<std::byte> workspace(session, session.device.workspace_bytes(args));
    args.workspace = workspace.data();
    const std::string what = std::to_string(args.heads) + " heads, " + std::to_string(args.tokens) + " tokens, " + std::to_string(args.columns) + " columns, " +
                             std::to_string(args.distances) + " distances";
    const Kind kinds[] = {{"convert", "tiles", DType::f32, 0, false}, {"convert", "columns", DType::f32, 0, false}};
    if (!session.run(kinds[0], what, [&] { return session.device.convert(args); })) continue;

    bool tiles_equal = tile_offset.guarded() && tile.guarded() && workspace.guarded(), columns_equal = column_offset.guarded() && kept_column.guarded();
    const std::vector<std::uint32_t> got_offset = tile_offset.download(), got_tile = tile.download(), got_column_offset = column_offset.download(),
                                     got_column = kept_column.download();
    for (std::size_t h = 0; h < args.heads; ++h) {
      tiles_equal = tiles_equal && head_equals(plans[h], got_offset, got_tile, h, capacity.tiles, true);
      columns_equal = columns_equal && head_equals(plans[h], got_column_offset, got_column, h, capacity.columns, false);
    }
    session.record(kinds[0], tiles_equal ? 0 : infinite, 0, what);
    session.record(kinds[1], columns_equal ? 0 : infinite, 0, what);
  }
}

}  // namespace attnscope::check_kernels
