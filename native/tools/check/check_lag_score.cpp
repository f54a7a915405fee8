// LagKV's score against its definition in fp64.
#include "tools/check/attention_case.h"

namespace attnscope::check_kernels {
namespace {

/// Softmax over the partition's tokens of the standard deviation (ddof 1) over channels of (x - low) / (high - low), the extremes
/// being those of the next partition.
void add_part(const HeadVectors& x, std::uint32_t head, std::uint32_t begin, std::uint32_t lag, double weight, std::span<double> score) {
  const std::size_t dim = x.dim();
  std::vector<double> low(dim, infinite), high(dim, -infinite), deviation(lag);
  for (std::uint32_t i = begin + lag; i < begin + 2 * lag; ++i)
    for (std::size_t c = 0; c < dim; ++c) low[c] = std::min(low[c], x.row(head, i)[c]), high[c] = std::max(high[c], x.row(head, i)[c]);
  // A channel without a range is left out.
  double top = -infinite, sum = 0;
  for (std::uint32_t i = 0; i < lag; ++i) {
    std::vector<double> z;
    for (std::size_t c = 0; c < dim; ++c)
      if (high[c] - low[c] >= 1e-12) z.push_back((x.row(head, begin + i)[c] - low[c]) / (high[c] - low[c]));
    double mean = 0, squares = 0;
    for (const double value : z) mean += value / static_cast<double>(z.size());
    for (const double value : z) squares += (value - mean) * (value - mean);
    deviation[i] = std::sqrt(squares / static_cast<double>(z.size() - 1));
    top = std::max(top, deviation[i]);
  }
  for (const double value : deviation) sum += std::exp(value - top);
  for (std::uint32_t i = 0; i < lag; ++i) score[i] += weight * std::exp(deviation[i] - top) / sum;
}

void check_case(Session& session, DType dtype, std::uint32_t dim, std::uint32_t sink, std::uint32_t lag, std::uint32_t tokens) {
  const std::uint32_t heads = 1 + session.below(3);
  const auto layout = static_cast<Layout>(session.below(3));
  const bool flat_channel = session.below(3) == 0;  // one that is the same for all tokens
  std::normal_distribution<float> normal(0, 1);
  const auto value = [&](auto, auto, std::size_t c) { return flat_channel && c == 3 ? 0.5f : normal(session.random) * (c % 7 == 0 ? 10.0f : 1.0f); };
  const HeadVectors k(session, dtype, heads, tokens, dim, layout, value), v(session, dtype, heads, tokens, dim, layout, value);
  LagArgs args{dtype, heads, dim, tokens, sink, lag, session.below(2) == 0 ? 1.0f : 0.25f, k.tensor(), v.tensor(), nullptr};
  const std::uint32_t partitions = args.partitions();
  const DeviceArray<float> score(session, std::size_t{heads} * partitions * lag);
  args.score = score.data();
  const Kind kind{"lag_score", "scores", dtype, dim};
  const std::string what = std::to_string(heads) + " heads, " + std::to_string(tokens) + " tokens, sink " + std::to_string(sink) + ", lag " + std::to_string(lag);
  if (!session.run(kind, what, [&] { return session.device.lag_score(args); })) return;
  std::vector<double> expected(std::size_t{heads} * partitions * lag);
  for (std::uint32_t h = 0; h < heads; ++h)
    for (std::uint32_t p = 0; p < partitions; ++p) {
      const std::span<double> part(expected.data() + (std::size_t{h} * partitions + p) * lag, lag);
      add_part(k, h, sink + p * lag, lag, 1, part);
      add_part(v, h, sink + p * lag, lag, static_cast<double>(args.value_weight), part);
    }
  session.record(kind, score.guarded() ? tensor_error<float>(score.download(), expected) : infinite, fp32_tolerance, what);
}

}  // namespace

void check_lag_score(Session& session) {
  static const std::vector<std::uint32_t> lags{1, 16, 63, 64, 65, 128};
  for (const DType dtype : session.dtypes())
    for (const std::uint32_t dim : head_dims(session))
      for (std::size_t i = 0; i < (session.full ? 12u : 3u); ++i) {
        const std::uint32_t lag = session.pick(lags), sink = session.below(2) * 4 + session.below(13);
        check_case(session, dtype, dim, sink, lag, sink + lag * (1 + session.below(5)) + session.below(lag));  // at times too short for one
      }
}

}  // namespace attnscope::check_kernels
