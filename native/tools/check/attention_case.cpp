#include "tools/check/attention_case.h"

namespace attnscope::check_kernels {

std::string describe(const PromptShape& shape) {
  const char* layout = shape.layout == Layout::by_head ? "[heads][rows]" : shape.layout == Layout::by_token ? "[rows][heads]" : "rows with gaps";
  return std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads) + " heads, queries " + std::to_string(shape.queries) + " from " +
         std::to_string(shape.first_query) + ", " + std::to_string(shape.extra_keys) + " further keys, " + layout;
}

std::vector<std::uint32_t> head_dims(const Session& session) {
  return session.full ? std::vector<std::uint32_t>{64, 96, 128, 24, 40, 80} : std::vector<std::uint32_t>{64, 96, 128, 24, 40};
}

std::vector<PromptShape> prompt_shapes(Session& session, std::size_t count) {
  std::vector<std::uint32_t> lengths{1, 2, 63, 64, 65, 127, 128, 129, 200};
  if (session.full) lengths.insert(lengths.end(), {191, 192, 193, 255, 256, 257, 511, 513, 1000});
  static const std::vector<std::pair<std::uint32_t, std::uint32_t>> groups{{1, 1}, {4, 2}, {8, 1}, {3, 3}, {6, 2}};
  std::vector<PromptShape> shapes;
  std::uint32_t start = session.below(1000);
  for (std::size_t i = 0; i < count; ++i) {
    // Neighbouring lengths are taken in turn, so that few cases already stand on both sides of an edge.
    const std::uint32_t queries = lengths[(start + i) % lengths.size()];
    const auto [heads, kv_heads] = session.pick(groups);
    const std::uint32_t first = i % 2 == 0 ? 0 : 64 * (1 + session.below(session.full ? 6 : 2));
    shapes.push_back({heads, kv_heads, queries, first, i % 3 == 2 ? session.below(70) : 0, static_cast<Layout>(session.below(3)),
                      i % 4 == 3 ? 3.0f : 1.0f});
  }
  return shapes;
}

double output_tolerance(DType dtype) {
  switch (dtype) {
    case DType::f32: return 1e-5;
    case DType::f16: return 1e-3;
    case DType::bf16: return 8e-3;
  }
  return 0;
}

PromptCase::PromptCase(Session& session, DType dtype, std::uint32_t dim, const PromptShape& shape)
    : session_(session), dtype_(dtype), dim_(dim), shape_(shape), q_(session, dtype, shape.heads, shape.queries, dim, shape.layout, shape.spread),
      k_(session, dtype, shape.kv_heads, shape.first_query + shape.queries + shape.extra_keys, dim, shape.layout, 1),
      v_(session, dtype, shape.kv_heads, shape.first_query + shape.queries + shape.extra_keys, dim, shape.layout, 1) {}

AttentionArgs prompt_args(DType dtype, std::uint32_t dim, const PromptShape& shape, const HeadVectors& q, const HeadVectors& k) {
  AttentionArgs args;
  args.dtype = dtype;
  args.heads = shape.heads;
  args.kv_heads = shape.kv_heads;
  args.head_dim = dim;
  args.queries = shape.queries;
  args.first_query = shape.first_query;
  args.keys = shape.first_query + shape.queries + shape.extra_keys;
  args.scale = 1 / std::sqrt(static_cast<float>(dim));
  args.q = q.tensor();
  args.k = k.tensor();
  return args;
}

AttentionArgs PromptCase::args() const {
  AttentionArgs args = prompt_args(dtype_, dim_, shape_, q_, k_);
  args.v = v_.tensor();
  return args;
}

void PromptCase::run(const char* operation, const std::string& what, const std::function<Outcome(const AttentionArgs&)>& call, const Sees& sees) {
  AttentionArgs args = this->args();
  const std::string text = describe(shape_) + what;
  const Kind out_kind{operation, "out", dtype_, dim_}, lse_kind{operation, "lse", dtype_, dim_};
  HeadOutput out(session_, dtype_, args.heads, args.queries, dim_, shape_.layout);
  DeviceArray<float> lse(session_, std::size_t{args.heads} * args.queries);
  const bool with_lse = session_.below(4) != 0;
  args.out = out.tensor();
  args.lse = with_lse ? lse.data() : nullptr;
  if (!session_.run(out_kind, text, [&] { return call(args); })) return;

  std::vector<double> expected(std::size_t{args.heads} * args.queries * dim_), expected_lse(std::size_t{args.heads} * args.queries);
  std::vector<double> score(args.keys);
  std::vector<std::uint32_t> seen;
  for (std::uint32_t h = 0; h < args.heads; ++h)
    for (std::uint32_t i = 0; i < args.queries; ++i) {
      const std::uint32_t kv = h / (args.heads / args.kv_heads), query = args.first_query + i;
      seen.clear();
      double top = -infinite, sum = 0;
      for (std::uint32_t j = 0; j <= query; ++j) {
        if (!sees(h, i / 64, query, j)) continue;
        seen.push_back(j);
        score[j] = dot(q_.row(h, i), k_.row(kv, j), dim_) * static_cast<double>(args.scale);
        top = std::max(top, score[j]);
      }
      double* row = expected.data() + (std::size_t{h} * args.queries + i) * dim_;
      for (const std::uint32_t j : seen) sum += std::exp(score[j] - top);
      for (const std::uint32_t j : seen) {
        const double p = std::exp(score[j] - top) / sum;
        for (std::uint32_t c = 0; c < dim_; ++c) row[c] += p * v_.row(kv, j)[c];
      }
      expected_lse[std::size_t{h} * args.queries + i] = seen.empty() ? -infinite : top + std::log(sum);
    }
  const std::vector<float> got = out.download();
  session_.record(out_kind, tensor_error<float>(got, expected), output_tolerance(dtype_), text);
  if (!lse.guarded()) session_.record(lse_kind, infinite, fp32_tolerance, text + ": written outside the array");
  if (with_lse) session_.record(lse_kind, tensor_error<float>(lse.download(), expected_lse, 1), fp32_tolerance, text);
}

}  // namespace attnscope::check_kernels
