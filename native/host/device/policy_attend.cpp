#include "host/device/policy_attend.h"

#include <algorithm>
#include <bit>
#include <tuple>

#include "host/device/device_model.h"
#include "host/failure.h"

namespace attnscope {
namespace {

constexpr std::uint32_t kPlanBlock = PrefillPlan::block;

/// Heads that one call can take: neighbours that are alike and make up whole kv groups, or part of one.
template <class Alike>
std::vector<CalledHeads> head_runs(std::uint32_t heads, std::uint32_t group, Alike alike) {
  std::vector<CalledHeads> runs;
  for (std::uint32_t head = 0; head < heads;) {
    std::uint32_t end = head + 1;
    while (end < heads && alike(head, end)) ++end;
    const std::uint32_t kv_head = head / group;
    const bool whole = head % group == 0 && end - head >= group;
    end = whole ? end / group * group : std::min(end, (kv_head + 1) * group);
    runs.push_back({head, end - head, kv_head, whole ? (end - head) / group : 1});
    head = end;
  }
  return runs;
}

bool same_kernel(const PrefillPlan& a, const PrefillPlan& b) {
  if ((a.tokens == 0) != (b.tokens == 0) || a.windowed != b.windowed) return false;
  return !a.windowed || (a.sink == b.sink && a.local == b.local);
}

/// Whether a windowed plan's tiles are those that hold a key < sink or query - key < local, as the kernel walks them.
bool is_a_shape(const PrefillPlan& plan) {
  if (!plan.column.empty()) return false;
  for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
    const std::uint32_t first = m * kPlanBlock, window = (first + 1 > plan.local ? first + 1 - plan.local : 0) / kPlanBlock;
    const std::uint32_t sinks = std::min((plan.sink + kPlanBlock - 1) / kPlanBlock, window);
    const std::uint64_t begin = plan.tile_offset[m], count = plan.tile_offset[m + 1] - begin;
    if (count != sinks + std::uint64_t{m + 1 - window}) return false;
    for (std::uint32_t i = 0; i < count; ++i)
      if (plan.tile[begin + i] != kPlanBlock * (i < sinks ? i : window + i - sinks)) return false;
  }
  return true;
}

/// A SparseIndex of several heads in one piece of memory, filled on the host: words of its four lists one after the other.
struct PlanIndexLayout {
  std::uint32_t heads, row_blocks;
  std::uint64_t tiles, columns;  // of a head, at most

  std::uint64_t tile_offsets() const { return 0; }
  std::uint64_t column_offsets() const { return heads * std::uint64_t{row_blocks + 1}; }
  std::uint64_t tile() const { return 2 * column_offsets(); }
  std::uint64_t column() const { return tile() + heads * tiles; }
  std::uint64_t words() const { return column() + heads * columns; }
  SparseIndex on_device(std::uint32_t* at) const { return {at, at + tile(), at + column_offsets(), at + column(), tiles, columns}; }
};

}  // namespace

AttentionArgs DevicePolicyAttention::arguments(const Block& block, const CalledHeads& run) const {
  const ModelPlan& model = plan_.model;
  const std::size_t dim = model.head_dim, width = model.heads * dim, skipped = run.head * dim * size_of(plan_.vectors);
  AttentionArgs args;
  args.dtype = plan_.vectors, args.heads = run.heads, args.kv_heads = run.kv_heads, args.head_dim = model.head_dim;
  args.queries = block.count, args.first_query = block.first, args.keys = block.first + block.count, args.scale = model.attention_scale;
  args.q = {block.queries + skipped, dim, width};
  args.out = {block.out + skipped, dim, width};
  return args;
}

Status DevicePolicyAttention::upload_packed() {
  const std::uint64_t bytes = packed_.size() * sizeof(std::uint32_t);
  ATTNSCOPE_TRY(grow(device_, memory_, lists_, bytes, "lists of keys"));
  return check(device_.upload(lists_.data(), packed_.data(), bytes));
}

Status DevicePolicyAttention::prompt(std::uint32_t layer, const Block& block, std::span<const PrefillPlan> plans) {
  const auto same = [&](std::uint32_t a, std::uint32_t b) { return plans.empty() || same_kernel(plans[a], plans[b]); };
  for (const CalledHeads& run : head_runs(plan_.model.heads, plan_.group(), same)) ATTNSCOPE_TRY(prompt_run(layer, block, run, plans));
  return success();
}

Status DevicePolicyAttention::prompt_run(std::uint32_t layer, const Block& block, const CalledHeads& run, std::span<const PrefillPlan> plans) {
  AttentionArgs args = arguments(block, run);
  args.k = cache_.keys(layer, run.kv_head);
  args.v = cache_.values(layer, run.kv_head);
  if (plans.empty() || plans[run.head].tokens == 0) return check(device_.dense(args));
  plans = plans.subspan(run.head, run.heads);
  if (plans[0].windowed) {
    if (!std::all_of(plans.begin(), plans.end(), is_a_shape))
      return failure("E_DEVICE_PLAN", "a plan of layer ", layer, " masks pairs inside tiles that are not a sink and a window, which no kernel does; run it with --device cpu");
    return check(device_.a_shape(args, plans[0].sink, plans[0].local));
  }

  // The part of the plans for this block of rows, their offsets counted from its first row block.
  const std::uint32_t first = block.first / kPlanBlock;
  PlanIndexLayout layout{run.heads, args.row_blocks(), 1, 1};
  for (const PrefillPlan& plan : plans) {
    layout.tiles = std::max(layout.tiles, plan.tile_offset[first + layout.row_blocks] - plan.tile_offset[first]);
    layout.columns = std::max(layout.columns, plan.column_offset[first + layout.row_blocks] - plan.column_offset[first]);
  }
  packed_.resize(layout.words());
  for (std::uint32_t i = 0; i < run.heads; ++i) {
    const PrefillPlan& plan = plans[i];
    const auto part = [&](const std::vector<std::uint64_t>& offset, const std::vector<std::uint32_t>& entries, std::uint64_t offsets_at, std::uint64_t entries_at) {
      std::uint32_t* to = packed_.data() + offsets_at + i * std::uint64_t{layout.row_blocks + 1};
      for (std::uint32_t m = 0; m <= layout.row_blocks; ++m) *to++ = static_cast<std::uint32_t>(offset[first + m] - offset[first]);
      std::copy(entries.begin() + static_cast<std::ptrdiff_t>(offset[first]), entries.begin() + static_cast<std::ptrdiff_t>(offset[first + layout.row_blocks]),
                packed_.begin() + static_cast<std::ptrdiff_t>(entries_at));
    };
    part(plan.tile_offset, plan.tile, layout.tile_offsets(), layout.tile() + i * layout.tiles);
    part(plan.column_offset, plan.column, layout.column_offsets(), layout.column() + i * layout.columns);
  }
  ATTNSCOPE_TRY(upload_packed());
  return check(device_.sparse(args, layout.on_device(lists_.as<std::uint32_t>())));
}

Status DevicePolicyAttention::held(std::uint32_t layer, const Block& block, std::span<const std::span<const std::uint32_t>> positions) {
  for (std::uint32_t h = 0; h < plan_.model.kv_heads; ++h) ATTNSCOPE_TRY(held_run(layer, block, h, positions[h]));
  return success();
}

/// Kernels know causality by row numbers alone. So the rows are laid out anew: those before the block's first position one after the
/// other, then, from the next multiple of 64 on, a row for each of the block's positions, with a key where it is still held. Every
/// query lists the first ones and those of the block that are there, and what lies after it is masked as ever.
Status DevicePolicyAttention::held_run(std::uint32_t layer, const Block& block, std::uint32_t kv_head, std::span<const std::uint32_t> positions) {
  const auto slot_of = [&](std::uint32_t position) {
    return static_cast<std::uint32_t>(std::lower_bound(positions.begin(), positions.end(), position) - positions.begin());
  };
  const std::uint32_t before = slot_of(block.first), end = slot_of(block.first + block.count), first = (before + kPlanBlock - 1) / kPlanBlock * kPlanBlock;
  const std::uint32_t group = plan_.group(), row_blocks = (block.count + kPlanBlock - 1) / kPlanBlock, whole_tiles = before / kPlanBlock;
  std::vector<std::uint32_t> rows(first + block.count), tiles, columns, tile_offset{0}, column_offset{0};
  for (std::uint32_t slot = 0; slot < before; ++slot) rows[slot] = slot;
  std::vector<std::uint32_t> own;  // rows of the block's keys that are held, ascending
  for (std::uint32_t slot = before; slot < end; ++slot) {
    own.push_back(first + positions[slot] - block.first);
    rows[own.back()] = slot;
  }
  std::size_t seen = 0;
  for (std::uint32_t m = 0; m < row_blocks; ++m) {
    while (seen < own.size() && own[seen] < first + (m + 1) * kPlanBlock) ++seen;
    const bool all = seen == std::min(block.count, (m + 1) * kPlanBlock);  // none of the block was dropped so far: tiles say it shortest
    for (std::uint32_t t = 0; t < whole_tiles; ++t) tiles.push_back(t * kPlanBlock);
    for (std::uint32_t row = whole_tiles * kPlanBlock; row < before; ++row) columns.push_back(row);
    for (std::uint32_t t = 0; all && t <= m; ++t) tiles.push_back(first + t * kPlanBlock);
    if (!all) columns.insert(columns.end(), own.begin(), own.begin() + static_cast<std::ptrdiff_t>(seen));
    tile_offset.push_back(static_cast<std::uint32_t>(tiles.size()));
    column_offset.push_back(static_cast<std::uint32_t>(columns.size()));
  }

  const PlanIndexLayout layout{group, row_blocks, std::max<std::uint64_t>(tiles.size(), 1), std::max<std::uint64_t>(columns.size(), 1)};
  const std::uint64_t rows_at = layout.words();
  packed_.resize(rows_at + rows.size());
  for (std::uint32_t i = 0; i < group; ++i) {
    const auto put = [&](const std::vector<std::uint32_t>& list, std::uint64_t at) { std::copy(list.begin(), list.end(), packed_.begin() + static_cast<std::ptrdiff_t>(at)); };
    put(tile_offset, layout.tile_offsets() + i * tile_offset.size());
    put(column_offset, layout.column_offsets() + i * column_offset.size());
    put(tiles, layout.tile() + i * layout.tiles);
    put(columns, layout.column() + i * layout.columns);
  }
  std::copy(rows.begin(), rows.end(), packed_.begin() + static_cast<std::ptrdiff_t>(rows_at));
  ATTNSCOPE_TRY(upload_packed());

  const std::size_t row_bytes = cache_.row_bytes();
  const auto* row_list = lists_.as<std::uint32_t>() + rows_at;
  for (const auto& [to, from, what] : {std::tuple(&held_keys_, cache_.keys(layer, kv_head).data, "keys of a chunk"),
                                       std::tuple(&held_values_, cache_.values(layer, kv_head).data, "values of a chunk")}) {
    ATTNSCOPE_TRY(grow(device_, memory_, *to, rows.size() * row_bytes, what));
    ATTNSCOPE_TRY(check(device_.gather({static_cast<std::uint32_t>(rows.size()), row_bytes, row_bytes, from, row_list, to->data()})));
  }
  AttentionArgs args = arguments(block, {kv_head * group, group, kv_head, 1});
  args.first_query = first;
  args.keys = first + block.count;
  args.k = {held_keys_.data(), 0, plan_.model.head_dim};
  args.v = {held_values_.data(), 0, plan_.model.head_dim};
  return check(device_.sparse(args, layout.on_device(lists_.as<std::uint32_t>())));
}

Status DevicePolicyAttention::step(std::uint32_t layer, void* query, std::span<const SelectedKeys> selected, float* out) {
  const ModelPlan& model = plan_.model;
  DecodeArgs args;
  args.dtype = plan_.vectors, args.heads = model.heads, args.kv_heads = model.kv_heads, args.head_dim = model.head_dim;
  args.keys = static_cast<std::uint32_t>(cache_.longest(layer)), args.scale = model.attention_scale;
  args.q = {query, model.head_dim, model.head_dim}, args.k = cache_.keys(layer), args.v = cache_.values(layer);
  ATTNSCOPE_TRY(grow(device_, memory_, lse_, model.heads * sizeof(float), "log-sum-exps of a row"));
  args.out = out, args.lse = lse_.as<float>();  // which the kernel wants and nobody here reads
  if (selected.empty()) return step_held(layer, args);
  const auto same = [&](std::uint32_t a, std::uint32_t b) { return selected[a].dense == selected[b].dense; };
  for (const CalledHeads& run : head_runs(model.heads, plan_.group(), same)) ATTNSCOPE_TRY(step_run(layer, args, run, selected));
  return success();
}

/// Kv heads that hold different numbers of keys have a list each, all of them counting up.
Status DevicePolicyAttention::step_held(std::uint32_t layer, DecodeArgs args) {
  if (args.keys > 0 && cache_.uniform(layer)) return decode(args);
  const std::uint32_t longest = std::max(args.keys, 1u);
  packed_.clear();
  for (std::uint32_t h = 0; h < args.kv_heads; ++h) packed_.push_back(static_cast<std::uint32_t>(cache_.length(layer, h)));
  for (std::uint32_t h = 0; h < args.kv_heads; ++h)
    for (std::uint32_t key = 0; key < longest; ++key) packed_.push_back(key);
  ATTNSCOPE_TRY(upload_packed());
  args.keys = longest, args.lists = args.kv_heads, args.list_capacity = longest;
  args.list_count = lists_.as<std::uint32_t>(), args.list = args.list_count + args.kv_heads;
  return decode(args);
}

Status DevicePolicyAttention::step_run(std::uint32_t layer, DecodeArgs args, const CalledHeads& run, std::span<const SelectedKeys> selected) {
  const std::size_t dim = plan_.model.head_dim;
  args.heads = run.heads, args.kv_heads = run.kv_heads;
  args.q.data = static_cast<std::byte*>(args.q.data) + run.head * dim * size_of(plan_.vectors);
  args.k = cache_.keys(layer, run.kv_head), args.v = cache_.values(layer, run.kv_head);
  args.out += run.head * dim;
  args.lse += run.head;
  selected = selected.subspan(run.head, run.heads);
  if (selected[0].dense) return decode(args);

  std::size_t longest = 1;
  bool weighted = false;
  for (const SelectedKeys& each : selected) longest = std::max(longest, each.keys.size()), weighted = weighted || !each.log_weight.empty();
  packed_.assign(run.heads * (1 + longest * (weighted ? 2 : 1)), 0);
  const std::size_t list = run.heads, weights = list + run.heads * longest;
  for (std::size_t i = 0; i < run.heads; ++i) {
    const SelectedKeys& each = selected[i];
    packed_[i] = static_cast<std::uint32_t>(each.keys.size());
    std::copy(each.keys.begin(), each.keys.end(), packed_.begin() + static_cast<std::ptrdiff_t>(list + i * longest));
    for (std::size_t k = 0; k < each.log_weight.size(); ++k) packed_[weights + i * longest + k] = std::bit_cast<std::uint32_t>(each.log_weight[k]);
  }
  ATTNSCOPE_TRY(upload_packed());
  args.lists = run.heads, args.list_capacity = longest;
  args.list_count = lists_.as<std::uint32_t>(), args.list = args.list_count + list;
  if (weighted) args.log_weight = reinterpret_cast<const float*>(args.list_count + weights);
  return decode(args);
}

Status DevicePolicyAttention::decode(DecodeArgs args) {
  ATTNSCOPE_TRY(grow(device_, memory_, workspace_, device_.workspace_bytes(args), "what decode attention works in"));
  args.workspace = workspace_.data();
  return check(device_.decode(args));
}

}  // namespace attnscope
