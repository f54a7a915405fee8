// One new token over all keys, over lists that a group of heads shares, and over lists of its own; merging of parts.
#include <memory>
#include <numeric>

#include "tools/check/attention_case.h"

namespace attnscope::check_kernels {
namespace {

struct DecodeShape {
  std::uint32_t heads, kv_heads, keys;
  Layout layout;
  float spread;
  enum { all, by_kv_head, by_head } lists;
  bool weighted;
};

std::string describe(const DecodeShape& shape) {
  static constexpr const char* lists[] = {"all keys", "a list a kv head", "a list a head"};
  return std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads) + " heads, " + std::to_string(shape.keys) + " keys, " + lists[shape.lists] +
         (shape.weighted ? ", weights" : "");
}

/// Distinct keys in random order, by list; some lists are empty, some just at the edge of a tile.
std::vector<std::vector<std::uint32_t>> random_lists(Session& session, std::uint32_t lists, std::uint32_t keys) {
  static const std::vector<std::uint32_t> counts{0, 1, 2, 63, 64, 65, 127, 128, 129, 300, ~0u};
  std::vector<std::vector<std::uint32_t>> all(lists);
  for (auto& list : all) {
    list.resize(keys);
    std::iota(list.begin(), list.end(), 0u);
    std::shuffle(list.begin(), list.end(), session.random);
    list.resize(std::min(keys, session.pick(counts)));
  }
  return all;
}

void check_case(Session& session, DType dtype, std::uint32_t dim, const DecodeShape& shape) {
  const Kind kind{"decode", "out", dtype, dim}, lse_kind{"decode", "lse", dtype, dim};
  const HeadVectors q(session, dtype, shape.heads, 1, dim, shape.layout, shape.spread);
  const HeadVectors k(session, dtype, shape.kv_heads, shape.keys, dim, shape.layout, 1), v(session, dtype, shape.kv_heads, shape.keys, dim, shape.layout, 1);
  DecodeArgs args;
  args.dtype = dtype;
  args.heads = shape.heads;
  args.kv_heads = shape.kv_heads;
  args.head_dim = dim;
  args.keys = shape.keys;
  args.scale = 1 / std::sqrt(static_cast<float>(dim));
  args.q = q.tensor();
  args.k = k.tensor();
  args.v = v.tensor();

  const std::uint32_t lists = shape.lists == DecodeShape::by_head ? shape.heads : shape.kv_heads;
  std::vector<std::vector<std::uint32_t>> keys = random_lists(session, lists, shape.keys);
  if (shape.lists == DecodeShape::all)
    for (auto& list : keys) {
      list.resize(shape.keys);
      std::iota(list.begin(), list.end(), 0u);
    }
  const std::size_t capacity = shape.keys + session.below(9);
  std::vector<std::uint32_t> flat(lists * capacity, ~0u), counts;
  std::vector<float> weights(lists * capacity, std::numeric_limits<float>::quiet_NaN());
  std::normal_distribution<float> normal(0, 2);
  for (std::size_t i = 0; i < lists; ++i) {
    std::copy(keys[i].begin(), keys[i].end(), flat.begin() + static_cast<std::ptrdiff_t>(i * capacity));
    for (std::size_t j = 0; j < keys[i].size(); ++j) weights[i * capacity + j] = normal(session.random);
    counts.push_back(static_cast<std::uint32_t>(keys[i].size()));
  }
  const DeviceArray<std::uint32_t> list(session, flat), count(session, counts);
  const DeviceArray<float> weight(session, weights);
  if (shape.lists != DecodeShape::all) {
    args.list = list.data();
    args.list_count = count.data();
    args.lists = lists;
    args.list_capacity = capacity;
    args.log_weight = shape.weighted ? weight.data() : nullptr;
  }
  const DeviceArray<float> out(session, shape.heads * dim), lse(session, shape.heads);
  args.out = out.data();
  args.lse = lse.data();
  const DeviceArray<std::byte> workspace(session, session.device.workspace_bytes(args));
  args.workspace = workspace.data();
  if (!session.run(kind, describe(shape), [&] { return session.device.decode(args); })) return;

  std::vector<double> expected(shape.heads * dim), expected_lse(shape.heads, -infinite);
  for (std::uint32_t h = 0; h < shape.heads; ++h) {
    const std::uint32_t kv = h / (shape.heads / shape.kv_heads), i = h / (shape.heads / lists);
    std::vector<double> score;
    double top = -infinite, sum = 0;
    for (std::size_t j = 0; j < keys[i].size(); ++j) {
      score.push_back(dot(q.row(h, 0), k.row(kv, keys[i][j]), dim) * static_cast<double>(args.scale) +
                      (args.log_weight != nullptr ? static_cast<double>(weights[i * capacity + j]) : 0));
      top = std::max(top, score.back());
    }
    for (const double x : score) sum += std::exp(x - top);
    for (std::size_t j = 0; j < score.size(); ++j)
      for (std::uint32_t c = 0; c < dim; ++c) expected[h * dim + c] += std::exp(score[j] - top) / sum * v.row(kv, keys[i][j])[c];
    if (!score.empty()) expected_lse[h] = top + std::log(sum);
  }
  const bool guarded = out.guarded() && lse.guarded() && workspace.guarded();
  session.record(kind, guarded ? tensor_error<float>(out.download(), expected) : infinite, output_tolerance(dtype), describe(shape));
  session.record(lse_kind, tensor_error<float>(lse.download(), expected_lse, 1), fp32_tolerance, describe(shape));
}

}  // namespace

void check_decode(Session& session) {
  static const std::vector<std::pair<std::uint32_t, std::uint32_t>> groups{{1, 1}, {4, 2}, {8, 1}, {3, 3}, {6, 2}, {5, 1}};
  std::vector<std::uint32_t> lengths{1, 5, 63, 64, 65, 127, 128, 129, 300};
  if (session.full) lengths.insert(lengths.end(), {1023, 1025, 5000});
  else lengths.push_back(700);
  std::size_t turn = session.below(100);
  for (const DType dtype : session.dtypes())
    for (const std::uint32_t dim : head_dims(session))
      for (std::size_t i = 0; i < (session.full ? 40u : 9u); ++i, ++turn) {
        const auto [heads, kv_heads] = session.pick(groups);
        DecodeShape shape{heads, kv_heads, lengths[turn % lengths.size()], static_cast<Layout>(session.below(3)), i % 4 == 3 ? 3.0f : 1.0f, DecodeShape::all, session.below(2) == 0};
        shape.lists = i % 3 == 0 ? DecodeShape::all : i % 3 == 1 ? DecodeShape::by_kv_head : DecodeShape::by_head;
        check_case(session, dtype, dim, shape);
      }
}

void check_merge(Session& session) {
  for (std::size_t i = 0; i < (session.full ? 60u : 20u); ++i) {
    static const std::vector<std::uint32_t> dims{24, 40, 64, 80, 96, 128}, row_counts{1, 2, 8, 63, 64, 65, 200};
    const std::uint32_t dim = session.pick(dims), rows = session.pick(row_counts), parts = 1 + session.below(5);
    std::normal_distribution<float> normal(0, 1);
    std::vector<float> out(std::size_t{parts} * rows * dim), lse(std::size_t{parts} * rows);
    for (float& x : out) x = normal(session.random);
    for (float& x : lse) x = 20 * normal(session.random);
    for (std::size_t r = 0; r < lse.size(); ++r)
      if (session.below(5) == 0) {  // a part that held no key, as decode leaves it
        lse[r] = static_cast<float>(-infinite);
        std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(r * dim), dim, 0.0f);
      }
    const DeviceArray<float> part_out(session, out), part_lse(session, lse), merged(session, std::size_t{rows} * dim), merged_lse(session, rows);
    const std::string what = std::to_string(parts) + " parts, " + std::to_string(rows) + " rows";
    const Kind kind{"merge", "out", DType::f32, dim}, lse_kind{"merge", "lse", DType::f32, dim};
    if (!session.run(kind, what, [&] { return session.device.merge({parts, rows, dim, part_out.data(), part_lse.data(), merged.data(), merged_lse.data()}); })) continue;

    std::vector<double> expected(std::size_t{rows} * dim), expected_lse(rows, -infinite);
    for (std::size_t r = 0; r < rows; ++r) {
      double top = -infinite, sum = 0;
      for (std::size_t p = 0; p < parts; ++p) top = std::max(top, static_cast<double>(lse[p * rows + r]));
      if (std::isinf(top)) continue;
      for (std::size_t p = 0; p < parts; ++p) sum += std::exp(static_cast<double>(lse[p * rows + r]) - top);
      for (std::size_t p = 0; p < parts; ++p)
        for (std::size_t c = 0; c < dim; ++c)
          expected[r * dim + c] += std::exp(static_cast<double>(lse[p * rows + r]) - top) / sum * static_cast<double>(out[(p * rows + r) * dim + c]);
      expected_lse[r] = top + std::log(sum);
    }
    const bool guarded = merged.guarded() && merged_lse.guarded();
    session.record(kind, guarded ? tensor_error<float>(merged.download(), expected) : infinite, fp32_tolerance, what);
    session.record(lse_kind, tensor_error<float>(merged_lse.download(), expected_lse, 1), fp32_tolerance, what);
  }
}

}  // namespace attnscope::check_kernels
