// The strip of the last queries, summed by column and by distance.
#include "tools/check/attention_case.h"

namespace attnscope::check_kernels {
namespace {

void check_case(Session& session, DType dtype, std::uint32_t dim, std::uint32_t heads, std::uint32_t kv_heads, std::uint32_t tokens, float spread) {
  const auto layout = static_cast<Layout>(session.below(3));
  const HeadVectors q(session, dtype, heads, tokens, dim, layout, spread), k(session, dtype, kv_heads, tokens, dim, layout, 1);
  StripArgs args;
  args.dtype = dtype;
  args.heads = heads;
  args.kv_heads = kv_heads;
  args.head_dim = dim;
  args.tokens = tokens;
  args.scale = 1 / std::sqrt(static_cast<float>(dim));
  args.q = q.tensor();
  args.k = k.tensor();
  const DeviceArray<float> column(session, std::size_t{heads} * tokens), distance(session, std::size_t{heads} * tokens);
  args.column_score = column.data();
  args.distance_score = distance.data();
  const DeviceArray<std::byte> workspace(session, session.device.workspace_bytes(args));
  args.workspace = workspace.data();
  const std::string what = std::to_string(heads) + "/" + std::to_string(kv_heads) + " heads, " + std::to_string(tokens) + " tokens";
  const Kind kinds[] = {{"strip", "columns", dtype, dim}, {"strip", "distances", dtype, dim}};
  if (!session.run(kinds[0], what, [&] { return session.device.strip(args); })) return;

  std::vector<double> by_column(std::size_t{heads} * tokens), by_distance(std::size_t{heads} * tokens), score(tokens);
  for (std::uint32_t h = 0; h < heads; ++h)
    for (std::uint32_t i = tokens > 64 ? tokens - 64 : 0; i < tokens; ++i) {
      double top = -infinite, sum = 0;
      for (std::uint32_t j = 0; j <= i; ++j) {
        score[j] = dot(q.row(h, i), k.row(h / (heads / kv_heads), j), dim) * static_cast<double>(args.scale);
        top = std::max(top, score[j]);
      }
      for (std::uint32_t j = 0; j <= i; ++j) sum += std::exp(score[j] - top);
      for (std::uint32_t j = 0; j <= i; ++j) {
        const double p = std::exp(score[j] - top) / sum;
        by_column[std::size_t{h} * tokens + j] += p;
        by_distance[std::size_t{h} * tokens + i - j] += p;
      }
    }
  const bool guarded = column.guarded() && distance.guarded() && workspace.guarded();
  session.record(kinds[0], guarded ? tensor_error<float>(column.download(), by_column) : infinite, map_tolerance, what);
  session.record(kinds[1], guarded ? tensor_error<float>(distance.download(), by_distance) : infinite, map_tolerance, what);
}

}  // namespace

void check_strip(Session& session) {
  std::vector<std::uint32_t> lengths{1, 2, 63, 64, 65, 127, 128, 129, 200, 515, 1030};
  if (session.full) lengths.insert(lengths.end(), {511, 512, 513, 1023, 1024, 1025, 3000});
  static const std::vector<std::pair<std::uint32_t, std::uint32_t>> groups{{1, 1}, {4, 2}, {8, 1}, {3, 3}};
  std::size_t turn = session.below(100);
  for (const DType dtype : session.dtypes())
    for (const std::uint32_t dim : head_dims(session))
      for (std::size_t i = 0; i < (session.full ? 18u : 4u); ++i, ++turn) {
        const auto [heads, kv_heads] = session.pick(groups);
        check_case(session, dtype, dim, heads, kv_heads, lengths[turn % lengths.size()], i % 4 == 3 ? 3.0f : 1.0f);
      }
}

}  // namespace attnscope::check_kernels
