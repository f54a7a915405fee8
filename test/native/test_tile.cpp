#include "core/tile.h"

#include <algorithm>
#include <random>

#include "check.h"
#include "reference.h"

using namespace attnscope;
using reference::Matrix;

namespace {

struct Tile {
  TileGrid grid;
  std::vector<float> mean, max;
  std::vector<std::uint32_t> count;
  explicit Tile(TileGrid g) : grid(g), mean(std::size_t{g.edge} * g.edge), max(mean.size()), count(mean.size()) {}
};

/// Stored vectors, and the map of what is stored.
struct Stored {
  DType dtype;
  std::size_t n, dim;
  float scale = 0.25f;
  std::uint32_t window;
  std::vector<float> q_raw, k_raw;  // storage in units of float, whatever the type
  reference::Map map;
  std::vector<float> lse;

  Stored(DType dtype, std::size_t n, std::size_t dim, std::uint32_t window, float spread = 1.5f) : dtype(dtype), n(n), dim(dim), window(window) {
    Matrix q = reference::random_matrix(n, dim, 1, spread), k = reference::random_matrix(n, dim, 2, spread);
    q_raw.resize(n * dim);
    k_raw.resize(n * dim);
    from_float(dtype, q.data.data(), n * dim, q_raw.data());
    from_float(dtype, k.data.data(), n * dim, k_raw.data());
    to_float(dtype, q_raw.data(), n * dim, q.data.data());
    to_float(dtype, k_raw.data(), n * dim, k.data.data());
    map = reference::attention_map(q, k, scale, window);
    lse.assign(map.lse.begin(), map.lse.end());
  }
  const void* at(const std::vector<float>& raw, std::size_t row) const {
    return reinterpret_cast<const char*>(raw.data()) + row * dim * size_of(dtype);
  }
  void accumulate(Tile& tile, std::uint32_t q0, std::uint32_t nq, std::uint32_t k0, std::uint32_t nk) const {
    tile_accumulate(tile.grid, dtype, at(q_raw, q0), q0, nq, at(k_raw, k0), k0, nk, static_cast<std::uint32_t>(dim), {lse.data() + q0, nq}, scale, {window},
                    tile.mean, tile.max, tile.count);
  }
  /// What the tile must hold for query rows [q0, q1) and keys [k0, k1). The stored lse is fp32, as the engine's is.
  void check(const Tile& tile, std::size_t q0, std::size_t q1, std::size_t k0, std::size_t k1) const {
    const TileGrid& g = tile.grid;
    for (std::size_t r = 0; r < g.edge; ++r)
      for (std::size_t c = 0; c < g.edge; ++c) {
        double sum = 0, top = 0, pairs = 0;
        for (std::size_t i = std::max(q0, g.row0 + r * g.cell); i < std::min(q1, g.row0 + (r + 1) * g.cell); ++i)
          for (std::size_t j = std::max(k0, g.column0 + c * g.cell); j < std::min(k1, g.column0 + (c + 1) * g.cell); ++j)
            if (reference::visible(i, j, window)) {
              const double p = map.at(i, j) * std::exp(map.lse[i] - static_cast<double>(lse[i]));
              ++pairs;
              sum += p;
              top = std::max(top, p);
            }
        const std::size_t at = r * g.edge + c;
        CHECK_EQUAL(tile.count[at], pairs);
        CHECK_NEAR(tile.mean[at], pairs > 0 ? sum / pairs : NAN, 1e-5, 1e-30);
        CHECK_NEAR(tile.max[at], pairs > 0 ? top : NAN, 1e-5, 1e-30);
      }
  }
};

}  // namespace

TEST("tiles at many offsets, cells and block splits equal pooling the map") {
  std::mt19937 random(7);
  const auto pick = [&](std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); };
  for (std::uint32_t window : {0u, 45u}) {
    const Stored stored(DType::f32, 230, 12, window);
    for (int round = 0; round < 60; ++round) {
      Tile tile({8 + pick(24), round % 4 == 0 ? 1 : 1 + pick(19), pick(230), pick(230)});
      const std::uint32_t query_step = 1 + pick(150), key_step = 1 + pick(300);
      for (std::uint32_t q = 0; q < 230; q += query_step)
        for (std::uint32_t k = 0; k < 230; k += key_step) stored.accumulate(tile, q, std::min(query_step, 230 - q), k, std::min(key_step, 230 - k));
      std::vector<std::uint32_t> counts(tile.count.size());
      tile_counts(tile.grid, {0, 230}, {window}, counts);
      CHECK(counts == tile.count);
      tile_finish(tile.mean, tile.max, tile.count);
      stored.check(tile, 0, 230, 0, 230);
    }
  }
}

TEST("large cells span blocks") {
  const Stored stored(DType::f32, 900, 8, 0);
  Tile tile({4, 256, 0, 0});
  stored.accumulate(tile, 0, 900, 0, 900);
  tile_finish(tile.mean, tile.max, tile.count);
  stored.check(tile, 0, 900, 0, 900);
}

TEST("cells of one token are exact to 1e-5 even where scores reach 50, from every storage type") {
  for (DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const Stored stored(dtype, 80, 128, 0, 2.2f);
    Tile tile({64, 1, 10, 3});
    stored.accumulate(tile, 0, 80, 0, 80);
    tile_finish(tile.mean, tile.max, tile.count);
    stored.check(tile, 0, 80, 0, 80);
    for (std::uint32_t i : {10u, 40u, 73u}) {
      const double p = attention_value(dtype, stored.at(stored.q_raw, i), stored.at(stored.k_raw, 5), 128, stored.scale, stored.lse[i]);
      if (i >= 5) CHECK_NEAR(tile.mean[(i - 10) * 64 + 2], p, 1e-6, 1e-37);
    }
  }
}

TEST("rows split between two tiles merge into the whole") {
  const Stored stored(DType::f16, 130, 16, 0);
  const TileGrid grid{20, 7, 0, 0};
  Tile whole(grid), prefill(grid), decode(grid);
  stored.accumulate(whole, 0, 130, 0, 130);
  stored.accumulate(prefill, 0, 101, 0, 101);
  stored.accumulate(decode, 101, 29, 0, 130);
  for (Tile* t : {&whole, &prefill, &decode}) tile_finish(t->mean, t->max, t->count);
  stored.check(prefill, 0, 101, 0, 130);
  stored.check(decode, 101, 130, 0, 130);
  tile_merge(prefill.mean, prefill.max, prefill.count, decode.mean, decode.max, decode.count);
  CHECK(prefill.count == whole.count);
  for (std::size_t i = 0; i < whole.mean.size(); ++i) {
    CHECK_NEAR(prefill.mean[i], whole.mean[i], 1e-6, 1e-30);
    CHECK_EQUAL(prefill.max[i], whole.max[i]);
  }
}

TEST("blocks that miss the grid or see nothing leave it untouched") {
  const Stored stored(DType::f32, 60, 4, 0);
  Tile tile({4, 4, 20, 20});
  stored.accumulate(tile, 0, 20, 0, 60);
  stored.accumulate(tile, 36, 24, 0, 60);
  stored.accumulate(tile, 20, 10, 31, 20);
  for (std::size_t i = 0; i < 16; ++i) {
    CHECK_EQUAL(tile.count[i], 0);
    CHECK_EQUAL(tile.mean[i], 0);
  }
}
