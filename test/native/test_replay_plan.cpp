// Prefill plans and masks against counting pair by pair.
#include "check.h"
#include "core/replay/drivers.h"
#include "core/replay/mask_tile.h"
#include "replay_case.h"

using namespace attnscope;
using namespace replay_case;

namespace {

LayerInput input_of(std::uint32_t tokens, std::uint32_t prompt, Visibility visibility) {
  LayerInput input;
  input.tokens = tokens;
  input.prompt_tokens = prompt;
  input.visibility = visibility;
  return input;
}

}  // namespace

TEST("rows and costs of random plans equal counting pair by pair, windowed and not") {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    const std::uint32_t prompt = 1 + random() % 300, tokens = prompt + 5;
    const Visibility visibility{round % 3 == 0 ? 1 + static_cast<std::uint32_t>(random() % 150) : 0};
    const PrefillPlan plan = random_plan(random, prompt);
    CHECK(check_plan(plan, prompt).ok());
    std::vector<std::uint32_t> rows(tokens);
    std::iota(rows.begin(), rows.end(), 0u);
    const HeadTrace trace = trace_plan(plan, input_of(tokens, prompt, visibility), rows);
    double attended = 0, causal = 0, kernel_tiles = 0, column_tiles = 0;
    for (std::uint32_t i = 0; i < tokens; ++i) {
      const auto kept = flags(trace.kept(i), tokens), forced = flags(trace.forced_of(i), tokens);
      CHECK_EQUAL(trace.dense[i], i >= prompt);
      bool same = true;
      for (std::uint32_t j = 0; j < tokens; ++j) {
        const bool visible = visibility.sees(i, j);
        const PlanPair pair = i < prompt ? plan_pair(plan, visibility, i, j) : PlanPair{visible, false};
        same = same && kept[j] == pair.kept && forced[j] == pair.forced;
        if (i < prompt) attended += pair.kept, causal += visible;
      }
      CHECK(same);
    }
    for (std::uint32_t b = 0; b < plan.row_blocks(); ++b) {
      kernel_tiles += static_cast<double>(plan.tile_offset[b + 1] - plan.tile_offset[b]);
      column_tiles += std::ceil(static_cast<double>(plan.column_offset[b + 1] - plan.column_offset[b]) / 64.0);
    }
    CHECK_EQUAL(trace.cost.attended_cells, attended);
    CHECK_EQUAL(trace.cost.causal_cells, causal);
    CHECK_EQUAL(trace.cost.kernel_tiles, kernel_tiles);
    CHECK_EQUAL(trace.cost.kernel_column_tiles, column_tiles);
    CHECK_EQUAL(trace.cost.kernel_cells, 4096 * (kernel_tiles + column_tiles));
    CHECK_EQUAL(trace.cost.token_cells, 17);
    CHECK_EQUAL(trace.cost.mean_run, NAN);
  }
}

TEST("mask tiles of plans equal counting pair by pair at cells below, at and above a row block") {
  std::mt19937 random(5);
  for (int round = 0; round < 80; ++round) {
    const std::uint32_t prompt = 1 + random() % 300;
    const Visibility visibility{round % 3 == 0 ? 1 + static_cast<std::uint32_t>(random() % 150) : 0};
    const PrefillPlan plan = random_plan(random, prompt);
    const std::uint32_t cells[] = {1, 3, 16, 64, 100, 256};
    const TileGrid grid{1 + static_cast<std::uint32_t>(random() % 20), cells[round % 6], static_cast<std::uint32_t>(random() % prompt), static_cast<std::uint32_t>(random() % prompt)};
    MaskTile tile;
    mask_tile(plan, grid, visibility, tile);
    for (std::uint32_t r = 0; r < grid.edge; ++r)
      for (std::uint32_t c = 0; c < grid.edge; ++c) {
        double visible = 0, kept = 0, forced = 0;
        for (std::uint32_t i = grid.row0 + r * grid.cell; i < std::min(prompt, grid.row0 + (r + 1) * grid.cell); ++i)
          for (std::uint32_t j = grid.column0 + c * grid.cell; j < std::min(i + 1, grid.column0 + (c + 1) * grid.cell); ++j) {
            const PlanPair pair = plan_pair(plan, visibility, i, j);
            visible += visibility.sees(i, j), kept += pair.kept, forced += pair.forced;
          }
        const std::size_t at = r * grid.edge + c;
        CHECK_NEAR(tile.kept[at], visible > 0 ? kept / visible : NAN, 1e-6, 0);
        CHECK_NEAR(tile.forced[at], visible > 0 ? forced / visible : NAN, 1e-6, 0);
        CHECK_EQUAL(tile.complete[at], visible > 0);
      }
  }
}

TEST("mask tiles of traces count the evaluated rows and the dense ones before them") {
  std::mt19937 random(6);
  for (int round = 0; round < 60; ++round) {
    const std::uint32_t n = 20 + random() % 150, window = round % 3 == 0 ? 1 + random() % 60 : 0;
    const Head head(n, 4, window, pick_rows(random, n, round % 5 == 0 ? n : 1 + random() % n), 9);
    const HeadTrace trace = random_trace(random, head, false);
    const std::uint32_t before = round % 2 == 0 ? 0 : random() % n, cells[] = {1, 5, 32, 300};
    const TileGrid grid{1 + static_cast<std::uint32_t>(random() % 30), cells[round % 4], static_cast<std::uint32_t>(random() % n), static_cast<std::uint32_t>(random() % n)};
    MaskTile tile;
    mask_tile(trace, grid, head.visibility, before, tile);
    std::vector<std::vector<std::uint8_t>> kept(n), forced(n);
    for (std::size_t t = 0; t < trace.rows.size(); ++t) kept[trace.rows[t]] = flags(trace.kept(t), n), forced[trace.rows[t]] = flags(trace.forced_of(t), n);
    for (std::uint32_t i = 0; i < before; ++i) kept[i].assign(n, 1), forced[i].assign(n, 0);
    for (std::uint32_t r = 0; r < grid.edge; ++r)
      for (std::uint32_t c = 0; c < grid.edge; ++c) {
        double visible = 0, all = 0, k = 0, f = 0;
        for (std::uint32_t i = grid.row0 + r * grid.cell; i < std::min(n, grid.row0 + (r + 1) * grid.cell); ++i)
          for (std::uint32_t j = grid.column0 + c * grid.cell; j < std::min(i + 1, grid.column0 + (c + 1) * grid.cell); ++j) {
            if (!head.visibility.sees(i, j)) continue;
            ++all;
            if (kept[i].empty()) continue;
            ++visible, k += kept[i][j], f += forced[i][j];
          }
        const std::size_t at = r * grid.edge + c;
        CHECK_NEAR(tile.kept[at], visible > 0 ? k / visible : NAN, 1e-6, 0);
        CHECK_NEAR(tile.forced[at], visible > 0 ? f / visible : NAN, 1e-6, 0);
        CHECK_EQUAL(tile.complete[at], visible > 0 && visible == all);
      }
  }
}

TEST("plans that do not fit are refused") {
  std::mt19937 random(8);
  PrefillPlan plan = random_plan(random, 200);
  CHECK(check_plan(plan, 201).error().code == "E_REPLAY_PLAN");
  PrefillPlan unordered = plan;
  std::swap(unordered.column.front(), unordered.column[unordered.column_offset[1] - 1]);
  CHECK(check_plan(unordered, 200).error().code == "E_REPLAY_PLAN");
  plan.tile_offset.pop_back();
  CHECK(check_plan(plan, 200).error().code == "E_REPLAY_PLAN");
}
