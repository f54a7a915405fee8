// Selections must equal those of the policy engine: its ranking, and its rule for forced indices and ties.
#include <iterator>

#include "core/policy/vertical_slash.h"
#include "tools/check/device_array.h"

namespace attnscope::check_kernels {
namespace {

/// Scores of a kind that makes selecting hard: few distinct values, one value, special values, a wide range.
std::vector<float> random_scores(Session& session, std::size_t n) {
  const std::uint32_t kind = session.below(6), levels = 1 + session.below(5);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> scores(n);
  for (float& x : scores) {
    x = normal(session.random);
    switch (kind) {
      case 0: x = static_cast<float>(session.below(levels)); break;
      case 1: x = std::exp(20 * x); break;
      case 2: x = std::fabs(x) * 1e-3f + 1; break;  // differ in the last bits only
      case 3: {
        static const std::vector<float> special{0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-42f, -1e-42f, 3.0f};
        x = session.pick(special);
        break;
      }
      default: break;
    }
  }
  return scores;
}

}  // namespace

void check_select(Session& session) {
  std::vector<std::uint32_t> lengths{1, 2, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1000, 1023, 1024, 1025, 5000};
  if (session.full) lengths.insert(lengths.end(), {2047, 2049, 8191, 16385, 40000, 131072});
  std::size_t turn = session.below(100);
  for (std::size_t i = 0; i < (session.full ? 300u : 64u); ++i, ++turn) {
    SelectArgs args;
    args.entries = lengths[turn % lengths.size()];
    args.rows = 1 + session.below(4);
    args.score_stride = args.entries + session.below(5);
    args.count = i % 5 == 0 ? args.entries : 1 + session.below(args.entries);
    args.forced = i % 3 == 0 ? 0 : session.below(std::min(args.count, 130u) + 1);
    args.descending = session.below(2) == 0;
    std::vector<float> scores;
    std::vector<std::uint32_t> expected;
    for (std::uint32_t r = 0; r < args.rows; ++r) {
      std::vector<float> row = random_scores(session, args.score_stride);
      scores.insert(scores.end(), row.begin(), row.end());
      row.resize(args.entries);
      for (float& x : row)
        if (std::isnan(x)) x = -INFINITY;  // the rule of the interface; the engine refuses NaN before it ranks
      const std::vector<std::uint8_t> kept = vertical_slash::keep(vertical_slash::rank(row), args.count, args.forced);
      std::vector<std::uint32_t> indices;
      for (std::uint32_t j = 0; j < args.entries; ++j)
        if (kept[j]) indices.push_back(j);
      if (args.descending) std::reverse(indices.begin(), indices.end());
      expected.insert(expected.end(), indices.begin(), indices.end());
    }
    const DeviceArray<float> score(session, scores);
    const DeviceArray<std::uint32_t> index(session, expected.size());
    args.score = score.data();
    args.index = index.data();
    const DeviceArray<std::byte> workspace(session, session.device.workspace_bytes(args));
    args.workspace = workspace.data();
    const Kind kind{"select", "indices", DType::f32, 0, false};
    const std::string what = std::to_string(args.count) + " of " + std::to_string(args.entries) + ", " + std::to_string(args.forced) + " forced" +
                             (args.descending ? ", descending" : "");
    if (!session.run(kind, what, [&] { return session.device.select(args); })) continue;
    const bool guarded = index.guarded() && workspace.guarded();
    session.record(kind, guarded ? equal_or_infinite(index.download(), expected) : infinite, 0, what);
  }
}

}  // namespace attnscope::check_kernels
