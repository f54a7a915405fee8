#include <algorithm>

#include "check.h"
#include "core/reduce.h"
#include "reference.h"

using namespace attnscope;
using reference::Matrix;

namespace {

struct Fixture {
  Matrix q, k;
  Visibility visibility;
  TokenRange rows;
  reference::Map map;
  HeadReduction reduction;

  Fixture(std::uint32_t tokens, std::uint32_t total, TokenRange rows, std::uint32_t cell, std::uint32_t window)
      : q(reference::random_matrix(tokens, 12, 1, 2)), k(reference::random_matrix(tokens, 12, 2)), visibility{window}, rows(rows),
        map(reference::attention_map(q, k, 0.3f, window)), reduction({total, cell, 4, 64}, rows) {
    const std::vector<float> lse(map.lse.begin(), map.lse.end());
    const KeyPanels panels(k.view());
    Scratch scratch;
    reduce_rows({q.view().slice(rows.begin, rows.size()), rows.begin, &panels, 0.3f, visibility}, {lse.data() + rows.begin, rows.size()}, reduction, scratch);
  }

  /// Mean and max of a cell by enumeration; NaN where it holds no visible pair of the segment.
  void check_cell(std::uint32_t cell, std::size_t r, std::size_t c, float mean, float max) const {
    double sum = 0, top = 0, pairs = 0;
    for (std::size_t i = std::max<std::size_t>(r * cell, rows.begin); i < std::min<std::size_t>((r + 1) * cell, rows.end); ++i)
      for (std::size_t j = c * cell; j < (c + 1) * cell; ++j)
        if (reference::visible(i, j, visibility.window)) {
          ++pairs;
          sum += map.at(i, j);
          top = std::max(top, map.at(i, j));
        }
    CHECK_NEAR(mean, pairs > 0 ? sum / pairs : NAN, 2e-5, 1e-12);
    CHECK_NEAR(max, pairs > 0 ? top : NAN, 2e-5, 1e-12);
  }

  void check_levels(std::uint32_t tile_edge) const {
    const auto levels = build_pyramid(reduction, visibility, tile_edge);
    CHECK_EQUAL(levels.back().cell, reduction.config.cell);
    CHECK(levels.front().cells <= tile_edge);
    for (std::size_t l = 0; l < levels.size(); ++l) {
      const PyramidLevel& level = levels[l];
      if (l > 0) CHECK_EQUAL(levels[l - 1].cell, 2 * level.cell);
      if (l > 0) CHECK(level.cells > tile_edge || l + 1 == levels.size());
      CHECK_EQUAL(level.cells, (reduction.config.total_tokens + level.cell - 1) / level.cell);
      for (std::size_t r = 0; r < level.cells; ++r)
        for (std::size_t c = 0; c < level.cells; ++c)
          check_cell(level.cell, r, c, level.mean[r * level.cells + c], level.max[r * level.cells + c]);
    }
  }
};

}  // namespace

TEST("every level equals pooling the map, where no cell divides the sequence") {
  Fixture(203, 203, {0, 203}, 1, 0).check_levels(16);
  Fixture(203, 203, {0, 203}, 4, 0).check_levels(8);
}
TEST("levels under a window") { Fixture(150, 150, {0, 150}, 2, 37).check_levels(10); }
TEST("prefill of a map that planned decode rows enlarge") { Fixture(140, 171, {0, 140}, 4, 0).check_levels(8); }
TEST("a decode segment is NaN outside its rows") { Fixture(171, 171, {140, 171}, 4, 0).check_levels(8); }
TEST("one tile is enough for a short sequence") {
  const Fixture f(20, 20, {0, 20}, 1, 0);
  CHECK_EQUAL(build_pyramid(f.reduction, {}, 32).size(), 1);
}

TEST("a thumbnail is the finest level that fits, padded with NaN") {
  const Fixture f(203, 203, {0, 203}, 2, 0);
  const PyramidLevel thumbnail = build_thumbnail(f.reduction, f.visibility, 32);
  CHECK_EQUAL(thumbnail.cell, 8);
  CHECK_EQUAL(thumbnail.cells, 32);
  CHECK_EQUAL(thumbnail.mean.size(), 32 * 32);
  for (std::size_t r = 0; r < 32; ++r)
    for (std::size_t c = 0; c < 32; ++c) f.check_cell(8, r, c, thumbnail.mean[r * 32 + c], thumbnail.max[r * 32 + c]);
}

TEST("tiles are cut from a level, NaN beyond it") {
  const Fixture f(100, 100, {0, 100}, 4, 0);
  const PyramidLevel base = build_pyramid(f.reduction, f.visibility, 8).back();
  std::vector<float> mean(64), max(64);
  copy_tile(base, 8, 3, 1, mean, max);
  for (std::size_t r = 0; r < 8; ++r)
    for (std::size_t c = 0; c < 8; ++c) {
      const bool inside = 24 + r < base.cells;
      CHECK_EQUAL(mean[r * 8 + c], inside ? base.mean[(24 + r) * base.cells + 8 + c] : NAN);
      CHECK_EQUAL(max[r * 8 + c], inside ? base.max[(24 + r) * base.cells + 8 + c] : NAN);
    }
}
