// Pooling, and block selection. Two kinds of input: small integers, whose means and products fp32 holds exactly, so that the choice
// must equal the policy engine's with ties to the lowest block; and random numbers, where any choice is right whose blocks
// score no less than those left out, up to rounding.
#include "core/policy/policy.h"
#include "tools/check/attention_case.h"

namespace attnscope {
PolicyEntry block_sparse_entry();
}

namespace attnscope::check_kernels {
namespace {

struct Case {
  DType dtype;
  std::uint32_t dim, heads, kv_heads, tokens, top_k;
  bool integers;
  std::uint32_t blocks() const { return (tokens + 63) / 64; }
};

std::string describe(const Case& c) {
  return std::to_string(c.heads) + "/" + std::to_string(c.kv_heads) + " heads, " + std::to_string(c.tokens) + " tokens, top " + std::to_string(c.top_k) +
         (c.integers ? ", integers" : "");
}

HeadVectors random_vectors(Session& session, const Case& c, std::uint32_t heads) {
  const auto layout = static_cast<Layout>(session.below(3));
  if (!c.integers) return {session, c.dtype, heads, c.tokens, c.dim, layout, 1.0f};
  return {session, c.dtype, heads, c.tokens, c.dim, layout, [&](auto, auto, auto) { return static_cast<float>(session.below(5)) - 2; }};
}

/// Checks the means and returns them.
std::vector<float> pooled(Session& session, const Case& c, const HeadVectors& x, std::uint32_t heads) {
  const Kind kind{"pool", "means", c.dtype, c.dim};
  const DeviceArray<float> mean(session, std::size_t{heads} * c.blocks() * c.dim);
  session.run(kind, describe(c), [&] { return session.device.pool({c.dtype, heads, c.dim, c.tokens, x.tensor(), mean.data()}); });
  std::vector<double> expected;
  for (std::uint32_t h = 0; h < heads; ++h)
    for (std::uint32_t b = 0; b < c.blocks(); ++b)
      for (std::uint32_t e = 0; e < c.dim; ++e) {
        double sum = 0;
        for (std::uint32_t i = b * 64; i < std::min(c.tokens, b * 64 + 64); ++i) sum += x.row(h, i)[e];
        expected.push_back(sum / 64);
      }
  std::vector<float> got = mean.download();
  if (session.wants("pool")) session.record(kind, mean.guarded() ? tensor_error<float>(got, expected) : infinite, 1e-6, describe(c));
  return got;
}

/// The policy engine's tiles of one head.
std::vector<std::uint32_t> engine_tiles(const Case& c, const HeadVectors& q, const HeadVectors& k, std::uint32_t head) {
  std::vector<float> queries, keys;
  std::vector<std::uint32_t> positions;
  for (std::uint32_t i = 0; i < c.tokens; ++i) {
    queries.insert(queries.end(), q.row(head, i), q.row(head, i) + c.dim);
    keys.insert(keys.end(), k.row(head / (c.heads / c.kv_heads), i), k.row(head / (c.heads / c.kv_heads), i) + c.dim);
    positions.push_back(i);
  }
  const std::vector<Rows> key_rows{{keys.data(), c.tokens, c.dim, c.dim}};
  const std::vector<QueryRows> query_rows{{positions, {queries.data(), c.tokens, c.dim, c.dim}}};
  Memo memo;
  LayerInput input;
  input.head_dim = c.dim;
  input.tokens = input.prompt_tokens = c.tokens;
  input.keys = key_rows;
  input.queries = query_rows;
  input.memo = &memo;
  PrefillPlan plan;
  const auto policy = block_sparse_entry().prefill({{static_cast<double>(c.top_k), 0}});
  if (!policy || !policy.value()->plan(input, 0, plan)) return {};
  return plan.tile;
}

/// Whether the tiles of a head are ascending blocks at or before the diagonal, as many as there should be, and none of those left
/// out scores more than one of them by more than `slack` of the largest score.
bool best_blocks(const Case& c, const float* q, const float* k, const std::uint32_t* offset, const std::uint32_t* tile) {
  std::size_t at = 0;
  for (std::uint32_t m = 0; m < c.blocks(); ++m) {
    const std::uint32_t count = std::min(c.top_k, m + 1);
    if (offset[m] != at || offset[m + 1] != at + count) return false;
    std::vector<std::uint8_t> kept(m + 1);
    std::vector<double> score(m + 1);
    double largest = 0, least_kept = infinite, best_left = -infinite;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t key = tile[at + i];
      if (key % 64 != 0 || key / 64 > m || (i > 0 && key <= tile[at + i - 1])) return false;
      kept[key / 64] = 1;
    }
    for (std::uint32_t b = 0; b <= m; ++b) {
      double size = 0;
      for (std::uint32_t e = 0; e < c.dim; ++e) {
        const double product = static_cast<double>(q[m * c.dim + e]) * static_cast<double>(k[b * c.dim + e]);
        score[b] += product;
        size += std::fabs(product);
      }
      largest = std::max(largest, size);
      (kept[b] ? least_kept : best_left) = kept[b] ? std::min(least_kept, score[b]) : std::max(best_left, score[b]);
    }
    // A sum of dim products in fp32 is off by at most dim * 2^-24 of the sum of their sizes.
    if (best_left - least_kept > 2 * c.dim * 0x1p-24 * largest) return false;
    at += count;
  }
  return true;
}

void check_case(Session& session, const Case& c) {
  const HeadVectors q = random_vectors(session, c, c.heads), k = random_vectors(session, c, c.kv_heads);
  const std::vector<float> mean_q = pooled(session, c, q, c.heads), mean_k = pooled(session, c, k, c.kv_heads);
  if (!session.wants("select_blocks")) return;
  const std::size_t offsets = c.blocks() + std::size_t{1}, capacity = std::size_t{c.blocks()} * std::min(c.top_k, c.blocks());
  const DeviceArray<float> pooled_q(session, mean_q), pooled_k(session, mean_k);
  const DeviceArray<std::uint32_t> offset(session, c.heads * offsets), tile(session, c.heads * capacity);
  BlockSelectArgs args{c.heads, c.kv_heads, c.dim, c.tokens, pooled_q.data(), pooled_k.data(), c.top_k, {}, nullptr};
  args.out.tile_offset = offset.data();
  args.out.tile = tile.data();
  args.out.tile_capacity = capacity;
  const DeviceArray<std::byte> workspace(session, session.device.workspace_bytes(args));
  args.workspace = workspace.data();
  const Kind kind{"select_blocks", "tiles", DType::f32, c.dim, false};
  if (!session.run(kind, describe(c), [&] { return session.device.select_blocks(args); })) return;
  const std::vector<std::uint32_t> got_offset = offset.download(), got_tile = tile.download();
  bool right = offset.guarded() && tile.guarded() && workspace.guarded();
  for (std::uint32_t h = 0; h < c.heads && right; ++h) {
    const std::uint32_t *head_offset = got_offset.data() + h * offsets, *head_tile = got_tile.data() + h * capacity;
    const std::size_t block_floats = std::size_t{c.blocks()} * c.dim;
    right = best_blocks(c, mean_q.data() + h * block_floats, mean_k.data() + h / (c.heads / c.kv_heads) * block_floats, head_offset, head_tile);
    if (right && c.integers) right = engine_tiles(c, q, k, h) == std::vector<std::uint32_t>(head_tile, head_tile + head_offset[c.blocks()]);
  }
  session.record(kind, right ? 0 : infinite, 0, describe(c));
}

}  // namespace

void check_blocks(Session& session) {
  std::vector<std::uint32_t> lengths{1, 63, 64, 65, 128, 300, 1100, 1300};
  if (session.full) lengths.insert(lengths.end(), {127, 129, 1023, 1024, 1025, 4200, 9000});
  static const std::vector<std::pair<std::uint32_t, std::uint32_t>> groups{{1, 1}, {4, 2}, {2, 1}, {3, 3}};
  static const std::vector<std::uint32_t> top_ks{1, 2, 3, 7, 16, 100};
  std::size_t turn = session.below(100);
  for (const DType dtype : session.dtypes())
    for (const std::uint32_t dim : head_dims(session))
      for (std::size_t i = 0; i < (session.full ? 20u : 4u); ++i, ++turn) {
        const auto [heads, kv_heads] = session.pick(groups);
        check_case(session, {dtype, dim, heads, kv_heads, lengths[turn % lengths.size()], session.pick(top_ks), i % 2 == 0});
      }
}

}  // namespace attnscope::check_kernels
