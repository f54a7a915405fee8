// How many keys hold a share of a row: never fewer than sorting the row in fp64 shows, never more than the core's histogram.
#include <iterator>
#include <numeric>

#include "core/coverage.h"
#include "tools/check/attention_case.h"

namespace attnscope::check_kernels {
namespace {

constexpr double shares[] = {0.90, 0.95, 0.99};

/// The smallest number of keys whose p sum to each share; `sorted` from the largest down.
std::uint32_t fewest(const std::vector<double>& sorted, double share) {
  double sum = 0;
  std::uint32_t count = 0;
  while (count < sorted.size() && sum < share) sum += sorted[count++];
  return count;
}

/// The core's bound where keys that cannot matter are left out, and where all are counted: one device leaves out what another does not.
std::uint32_t histogram_bound(const std::vector<double>& p, double share) {
  const auto visible = static_cast<std::uint32_t>(p.size());
  std::vector<float> padded((p.size() + simd::lanes - 1) / simd::lanes * simd::lanes, 0.0f);
  std::copy(p.begin(), p.end(), padded.begin());
  std::uint32_t bound = 0;
  for (const std::uint32_t threshold_of : {visible, ~0u}) {
    CoverageHistogram histogram;
    histogram.clear(threshold_of);
    for (std::size_t k = 0; k < padded.size(); k += simd::lanes) histogram.add(padded.data() + k);
    bound = std::max(bound, std::min(histogram.bound(share), visible));
  }
  return bound;
}

/// Keys whose tiles of 64 are alike in runs: full of ordinary keys, of some that queries near 2 see up to 9 nats weaker, or empty but
/// for what exp() makes of -40. Which tiles matter, and how much, is then for the maxima to say.
HeadVectors keys_in_tiles(Session& session, DType dtype, const PromptShape& shape, std::uint32_t keys, std::uint32_t dim) {
  const std::size_t tiles = keys / 64 + 1;
  std::vector<float> nats(shape.kv_heads * tiles);
  for (std::size_t t = 0; t < nats.size(); ++t) {
    if (t % tiles == 0) nats[t] = 0;
    else if (session.below(3) != 0) nats[t] = nats[t - 1];
    else nats[t] = std::vector<float>{0, 2 + static_cast<float>(session.below(7)), 40}[session.below(3)];
  }
  std::normal_distribution<float> normal(0, 1);
  return {session, dtype, shape.kv_heads, keys, dim, shape.layout, [=, &session](std::size_t h, std::size_t i, std::size_t) mutable {
            const float weaker = nats[h * tiles + i / 64];
            return weaker == 0 ? normal(session.random) : 0.1f * normal(session.random) - weaker / (2 * std::sqrt(static_cast<float>(dim)));
          }};
}

void check_case(Session& session, DType dtype, std::uint32_t dim, const PromptShape& shape, std::uint32_t cell, bool in_tiles) {
  const std::uint32_t keys = shape.first_query + shape.queries + shape.extra_keys;
  std::normal_distribution<float> normal(0, shape.spread);
  const HeadVectors q(session, dtype, shape.heads, shape.queries, dim, shape.layout, [&](auto, auto, auto) { return normal(session.random) + (in_tiles ? 2.0f : 0.0f); });
  const HeadVectors k = in_tiles ? keys_in_tiles(session, dtype, shape, keys, dim) : HeadVectors(session, dtype, shape.kv_heads, keys, dim, shape.layout, 1);
  CoverageArgs args;
  args.attention = prompt_args(dtype, dim, shape, q, k);
  args.cell = cell;
  args.cells = (keys + cell - 1) / cell;

  const std::size_t rows = std::size_t{shape.heads} * shape.queries, cells = std::size_t{args.cells} * args.cells;
  std::vector<float> lse(rows), cell_max(shape.heads * cells);
  std::vector<std::vector<double>> map(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t h = row / shape.queries, i = row % shape.queries, query = shape.first_query + i;
    std::vector<double>& p = map[row];
    for (std::size_t j = 0; j <= query; ++j)
      p.push_back(dot(q.row(h, i), k.row(h / (shape.heads / shape.kv_heads), j), dim) * static_cast<double>(args.attention.scale));
    const double top = *std::max_element(p.begin(), p.end());
    lse[row] = static_cast<float>(top + std::log(std::accumulate(p.begin(), p.end(), 0.0, [&](double sum, double x) { return sum + std::exp(x - top); })));
    for (std::size_t j = 0; j <= query; ++j) {
      p[j] = std::exp(p[j] - static_cast<double>(lse[row]));
      float& most = cell_max[h * cells + query / cell * args.cells + j / cell];
      most = std::max(most, static_cast<float>(p[j]));
    }
  }
  const DeviceArray<float> device_lse(session, lse), device_max(session, cell_max);
  const DeviceArray<std::uint32_t> got[] = {{session, rows}, {session, rows}, {session, rows}};
  const bool with_maxima = in_tiles || session.below(2) == 0;
  args.attention.lse = device_lse.data();
  args.cell_max = with_maxima ? device_max.data() : nullptr;
  args.coverage_90 = got[0].data();
  args.coverage_95 = got[1].data();
  args.coverage_99 = got[2].data();
  const Kind kind{"coverage", with_maxima ? "with maxima" : "keys", dtype, dim};
  const std::string what = describe(shape) + ", cells of " + std::to_string(cell) + (in_tiles ? ", tiles of weak keys" : "");
  if (!session.run(kind, what, [&] { return session.device.coverage(args); })) return;

  bool right = true;
  const std::vector<std::uint32_t> counts[] = {got[0].download(), got[1].download(), got[2].download()};
  for (std::size_t row = 0; row < rows; ++row) {
    std::vector<double> sorted = map[row];
    std::sort(sorted.rbegin(), sorted.rend());
    for (std::size_t s = 0; s < 3; ++s) {
      // The bound holds for p that fp32 has changed by up to 2e-5 of themselves; such a change moves few keys to another bin.
      const std::uint32_t count = counts[s][row], least = fewest(sorted, shares[s] * (1 - 2e-5)), most = histogram_bound(map[row], shares[s]);
      right = right && count >= least && count <= map[row].size() && count <= most + 2 + most / 500;
    }
  }
  for (const DeviceArray<std::uint32_t>& array : got) right = right && array.guarded();
  session.record(kind, right ? 0 : infinite, 0, what);
}

}  // namespace

void check_coverage(Session& session) {
  static const std::vector<std::uint32_t> cell_sizes{1, 4, 16, 64, 128, 1024};
  for (const DType dtype : session.dtypes())
    for (const std::uint32_t dim : head_dims(session)) {
      for (PromptShape shape : prompt_shapes(session, session.full ? 16 : 3)) {
        if (session.below(2) == 0) shape.extra_keys = 0;
        check_case(session, dtype, dim, shape, session.pick(cell_sizes), false);
      }
      for (std::size_t i = 0; i < (session.full ? 6u : 2u); ++i) {
        const PromptShape shape{4, 2, 1 + session.below(150), 64 * session.below(8), session.below(70), static_cast<Layout>(session.below(3)), 0.3f};
        check_case(session, dtype, dim, shape, session.pick(cell_sizes), true);
      }
    }
  // Long enough for most keys of a row to be below the threshold, and for work to be cut by rows.
  for (const DType dtype : session.dtypes())
    for (const bool in_tiles : {false, true})
      check_case(session, dtype, 64, {2, 1, 650 + session.below(100), 64, session.below(70), Layout::by_head, in_tiles ? 0.3f : 2.0f}, in_tiles ? 128 : 16, in_tiles);
}

}  // namespace attnscope::check_kernels
