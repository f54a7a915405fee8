// SimHash codes, bit by bit, and keys sorted by code.
#include <numeric>

#include "tools/check/attention_case.h"

namespace attnscope::check_kernels {
namespace {

void check_codes(Session& session, DType dtype, std::uint32_t dim, std::uint32_t tokens, bool centred) {
  const std::uint32_t heads = 1 + session.below(3), bits = 1 + session.below(15), tables = 1 + session.below(session.full ? 60 : 12);
  const HeadVectors x(session, dtype, heads, tokens, dim, static_cast<Layout>(session.below(3)), 1);
  const HeadVectors w(session, dtype, 1, std::size_t{tables} * bits, dim, Layout::by_head, 1);
  std::vector<float> centre(std::size_t{heads} * dim);
  std::normal_distribution<float> normal(0, 1);
  for (float& c : centre) c = centred ? normal(session.random) : 0;
  const DeviceArray<float> centres(session, centre);
  const DeviceArray<std::uint16_t> codes(session, std::size_t{heads} * tables * tokens);
  const HashArgs args{dtype, heads, dim, tokens, bits, tables, x.tensor(), w.tensor().data, centred ? centres.data() : nullptr, codes.data()};
  const Kind kind{"hash", "codes", dtype, dim};
  const std::string what = std::to_string(tables) + " tables of " + std::to_string(bits) + " bits, " + std::to_string(tokens) + " tokens" + (centred ? ", centred" : "");
  if (!session.run(kind, what, [&] { return session.device.hash(args); })) return;

  const std::vector<std::uint16_t> got = codes.download();
  bool right = codes.guarded();
  std::vector<double> centred_row(dim);
  for (std::uint32_t h = 0; h < heads; ++h)
    for (std::uint32_t i = 0; i < tokens; ++i) {
      double centre_size = 0;
      for (std::uint32_t c = 0; c < dim; ++c) {
        const double at = static_cast<double>(centre[h * dim + c]);
        centred_row[c] = x.row(h, i)[c] - at;
        centre_size += at * at;
      }
      // A dot product of dim terms in fp32, and one subtraction before or after it: off by at most (dim + 2) 2^-24 (|x| + |centre|) |w|.
      const double size = std::sqrt(dot(x.row(h, i), x.row(h, i), dim)) + std::sqrt(centre_size);
      for (std::uint32_t t = 0; t < tables; ++t) {
        const std::uint32_t code = got[(std::size_t{h} * tables + t) * tokens + i];
        right = right && code >> bits == 0;
        for (std::uint32_t j = 0; j < bits; ++j) {
          const double* direction = w.row(0, t * bits + j);
          const double projection = dot(centred_row.data(), direction, dim), bound = (dim + 2) * 0x1p-24 * size * std::sqrt(dot(direction, direction, dim));
          if (std::fabs(projection) > bound) right = right && (code >> j & 1) == (projection > 0);
        }
      }
    }
  session.record(kind, right ? 0 : infinite, 0, what);
}

void check_sort(Session& session, std::uint32_t tokens) {
  const std::uint32_t bits = 1 + session.below(15), tables = 1 + session.below(6);
  const std::size_t buckets = std::size_t{1} << bits;
  // Codes of all kinds, of few, or one: buckets of every size.
  const std::uint32_t used = session.below(3) == 0 ? 1 + session.below(3) : static_cast<std::uint32_t>(buckets);
  std::vector<std::uint16_t> code(std::size_t{tables} * tokens);
  for (std::uint16_t& c : code) c = static_cast<std::uint16_t>(buckets - 1 - session.below(std::min<std::uint32_t>(used, static_cast<std::uint32_t>(buckets))));
  const DeviceArray<std::uint16_t> codes(session, code);
  const DeviceArray<std::uint32_t> ids(session, code.size()), start(session, tables * (buckets + 1));
  const Kind kind{"sort_buckets", "ids", DType::f32, 0, false};
  const std::string what = std::to_string(tables) + " tables of " + std::to_string(bits) + " bits, " + std::to_string(tokens) + " tokens";
  if (!session.run(kind, what, [&] { return session.device.sort_buckets({codes.data(), tables, tokens, bits, ids.data(), start.data()}); })) return;
  std::vector<std::uint32_t> expected_ids(code.size()), expected_start;
  for (std::uint32_t t = 0; t < tables; ++t) {
    const auto first = expected_ids.begin() + static_cast<std::ptrdiff_t>(std::size_t{t} * tokens);
    const std::uint16_t* of_table = code.data() + std::size_t{t} * tokens;
    std::iota(first, first + tokens, 0u);
    std::stable_sort(first, first + tokens, [&](std::uint32_t a, std::uint32_t b) { return of_table[a] < of_table[b]; });
    std::vector<std::uint16_t> sorted(of_table, of_table + tokens);
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t b = 0; b <= buckets; ++b)
      expected_start.push_back(static_cast<std::uint32_t>(std::lower_bound(sorted.begin(), sorted.end(), b) - sorted.begin()));
  }
  const bool guarded = ids.guarded() && start.guarded();
  session.record(kind, guarded ? equal_or_infinite(ids.download(), expected_ids) + equal_or_infinite(start.download(), expected_start) : infinite, 0, what);
}

}  // namespace

void check_hash(Session& session) {
  std::vector<std::uint32_t> lengths{1, 15, 63, 64, 65, 97, 129, 300, 1000};
  if (session.full) lengths.insert(lengths.end(), {959, 961, 3000});
  std::size_t turn = session.below(100);
  if (session.wants("hash"))
    for (const DType dtype : session.dtypes())
      for (const std::uint32_t dim : head_dims(session))
        for (std::size_t i = 0; i < (session.full ? 12u : 3u); ++i, ++turn) check_codes(session, dtype, dim, lengths[turn % lengths.size()], session.below(2) == 0);
  if (session.wants("sort_buckets"))
    for (std::size_t i = 0; i < (session.full ? 40u : 10u); ++i, ++turn) check_sort(session, i % 5 == 4 ? 3000 : lengths[turn % lengths.size()]);
}

}  // namespace attnscope::check_kernels
