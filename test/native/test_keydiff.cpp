#include <array>

#include "check.h"
#include "retention_harness.h"

using namespace retention;

namespace {

struct Budget {
  std::uint32_t tokens, sink, recent;
};
constexpr Budget budgets[] = {{1, 0, 0}, {40, 0, 0}, {64, 4, 16}, {30, 4, 26}, {20, 50, 10}, {90, 0, 64}, {400, 4, 8}};

PolicyConfig keydiff(const Budget& b) {
  return config("keydiff-budget", {{"tokens", b.tokens}, {"sink", b.sink}, {"recent", b.recent}});
}

/// Random keys around a common direction, as keys of a model are, so that cosines with the anchor spread over (0, 1).
Layer cone(std::size_t kv_heads, std::size_t tokens, std::size_t dim, unsigned seed) {
  Layer layer(kv_heads, tokens, dim, seed);
  for (Matrix& keys : layer.keys)
    for (std::size_t i = 0; i < tokens; ++i) keys.data[i * dim] += 4;
  return layer;
}

/// -cos(key, mean of the keys at length 1) of the held positions.
std::vector<double> definition(const Matrix& keys, const Positions& held) {
  const std::size_t dim = keys.columns;
  std::vector<double> anchor(dim);
  const auto length = [&](const float* key) { return std::sqrt(reference::dot(key, key, dim)); };
  for (std::uint32_t p : held)
    for (std::size_t c = 0; c < dim; ++c) anchor[c] += keys.row(p)[c] / length(keys.row(p)) / static_cast<double>(held.size());
  double squares = 0;
  for (double x : anchor) squares += x * x;
  std::vector<double> score;
  for (std::uint32_t p : held) {
    double sum = 0;
    for (std::size_t c = 0; c < dim; ++c) sum += keys.row(p)[c] * anchor[c];
    score.push_back(-sum / length(keys.row(p)) / std::sqrt(squares));
  }
  return score;
}

/// Whether `kept` is what the definition keeps of `held`; slots within 1e-6 of the boundary may be either. `decided`
/// counts the slots that were not.
bool is_kept(const Matrix& keys, const Positions& held, const Budget& b, const Positions& kept, std::size_t& decided) {
  const auto n = static_cast<std::uint32_t>(held.size());
  if (n <= b.tokens) return kept == held;
  const std::uint32_t sink = std::min(b.sink, b.tokens), recent = std::min(b.recent, b.tokens - sink), middle = b.tokens - sink - recent;
  const std::vector<double> score = definition(keys, held);
  std::vector<double> sorted(score.begin() + sink, score.end() - recent);
  std::sort(sorted.rbegin(), sorted.rend());
  const double above = middle > 0 ? sorted[middle - 1] : INFINITY, below = sorted[middle];
  bool same = kept.size() == b.tokens;
  for (std::uint32_t slot = 0; slot < n; ++slot) {
    const bool end = slot < sink || slot >= n - recent, found = std::binary_search(kept.begin(), kept.end(), held[slot]);
    if (!end && std::fabs(score[slot] - above) < 1e-6 && std::fabs(score[slot] - below) < 1e-6) continue;
    ++decided;
    same = same && found == (end || score[slot] >= above);
  }
  return same;
}

}  // namespace

TEST("keydiff-budget: of a prompt it keeps what the definition keeps, each kv head its own") {
  std::size_t decided = 0, slots = 0;
  for (const Budget& b : budgets)
    for (std::uint32_t n : {1u, 30u, 65u, 300u, 301u}) {
      const Layer layer = cone(2, n, 19, 500 + n);
      Cache cache("keydiff-budget", keydiff(b), layer);
      cache.feed(n, 0);
      CHECK(cache.ordered);
      for (std::size_t h = 0; h < 2; ++h) {
        CHECK(is_kept(layer.keys[h], sequence(n), b, cache.resident[h], decided));
        slots += n > b.tokens ? n : 0;
      }
      if (n == 300 && b.tokens == 40) CHECK(cache.resident[0] != cache.resident[1]);
    }
  CHECK(decided + 20 > slots);
}

TEST("keydiff-budget: while decoding survivors are scored anew with what came, in a capture and in a live cache") {
  const Layer layer = cone(2, 260, 16, 61);
  std::size_t decided = 0;
  for (const Budget& b : budgets) {
    Cache capture("keydiff-budget", keydiff(b), layer), live("keydiff-budget", keydiff(b), layer, Addressing::by_slot);
    capture.feed(120, 0);
    live.feed(120, 0);
    while (capture.fed() < 260) {
      std::vector<Positions> held = capture.resident;
      for (Positions& p : held) p.push_back(capture.fed());
      CHECK(capture.append(1, false).ok() && live.append(1, false).ok());
      for (std::size_t h = 0; h < 2; ++h) {
        CHECK(is_kept(layer.keys[h], held[h], b, capture.resident[h], decided));
        CHECK(live.resident[h] == capture.resident[h]);
      }
      CHECK(!capture.policy->evicts_before_attention());
      CHECK_EQUAL(capture.size(), entry("keydiff-budget").resident_after(keydiff(b), 120, capture.fed() - 120));
    }
    CHECK(capture.ordered && live.ordered);
  }
}

TEST("keydiff-budget: a prompt in chunks is held whole until its last one, then gives the same set") {
  const Layer layer = cone(1, 200, 12, 67);
  Cache whole("keydiff-budget", keydiff({50, 4, 8}), layer), chunks("keydiff-budget", keydiff({50, 4, 8}), layer);
  whole.feed(200, 0);
  CHECK(chunks.append(90, true).ok() && chunks.append(100, true).ok());
  CHECK_EQUAL(chunks.size(), 190);
  CHECK(chunks.append(10, true, true).ok());
  CHECK(chunks.resident[0] == whole.resident[0]);
  const auto spans = whole.forced();
  CHECK_EQUAL(spans.size(), 2);
  CHECK(spans[0].end == 4 && spans[1].begin == 42 && spans[1].end == 50);
}

TEST("keydiff-budget: direction alone counts; equals go to the lowest index, keys of length 0 have cosine 0, NaN never wins") {
  const auto keep = [](std::initializer_list<std::array<float, 2>> keys, std::uint32_t tokens) {
    Layer layer(1, keys.size(), 2, 1);
    std::size_t i = 0;
    for (const auto& key : keys) layer.keys[0].data[i++] = key[0], layer.keys[0].data[i++] = key[1];
    Cache cache("keydiff-budget", keydiff({tokens, 0, 0}), layer);
    cache.feed(static_cast<std::uint32_t>(keys.size()), 0);
    return cache.resident[0];
  };
  // Three of four point along x: whatever stands across goes last, however short it is.
  CHECK((keep({{1, 0}, {1, 0}, {0, .01f}, {1, 0}}, 1) == Positions{2}));
  CHECK((keep({{8, 0}, {1, 0}, {0, .01f}, {.5f, 0}}, 2) == Positions{0, 2}));
  CHECK((keep({{1, 0}, {0, 0}, {1, 0}, {1, .1f}}, 1) == Positions{1}));
  CHECK((keep({{1, 0}, {0, 0}, {-1, .1f}, {1, 0}, {1, 0}}, 2) == Positions{1, 2}));
  // One key that is not finite must not decide about the others.
  CHECK((keep({{1, 0}, {1, 0}, {NAN, 1}, {0, 1}, {INFINITY, 1}, {1, 0}}, 1) == Positions{3}));
  CHECK((keep({{1, 0}, {1, 0}, {NAN, 1}, {0, 1}, {INFINITY, 1}, {1, 0}}, 5) == Positions{0, 1, 2, 3, 5}));
  CHECK((keep({{0, 0}, {0, 0}, {0, 0}}, 2) == Positions{0, 1}));
}
