// Moments of vectors about a pivot, added to what is there.
#include "tools/check/attention_case.h"
#include "tools/check/device_values.h"

namespace attnscope::check_kernels {
namespace {

void check_case(Session& session, std::uint32_t rows, std::uint32_t heads, std::uint32_t dim) {
  const std::size_t width = std::size_t{heads} * dim;
  // Channels far from 0 beside their spread, as keys and queries have them: without the pivot fp32 sums would lose them.
  std::vector<float> mean(width);
  for (float& m : mean) m = session.below(4) == 0 ? 100 * uniform(session) : uniform(session);
  const DeviceValues x(session, DType::f32, rows * width, session.below(8), [&](std::size_t i) { return mean[i % width] + uniform(session); });
  const DeviceValues pivot(session, DType::f32, width, session.below(8), [&](std::size_t i) { return mean[i] + 0.1f * uniform(session); });
  std::vector<double> sum(width), product(width * dim), sum_size(width), product_size(width * dim);
  for (double& s : sum) s = static_cast<double>(uniform(session));
  for (std::size_t h = 0; h < heads; ++h)
    for (std::size_t a = 0; a < dim; ++a)
      for (std::size_t b = 0; b <= a; ++b) product[(h * dim + a) * dim + b] = product[(h * dim + b) * dim + a] = static_cast<double>(uniform(session));
  const DeviceArray<double> device_sum(session, sum), device_product(session, product);

  const MomentsArgs args{rows, heads, dim, x.as<float>(), pivot.as<float>(), device_sum.data(), device_product.data()};
  const Kind sum_kind{"moments", "sum", DType::f32, dim}, product_kind{"moments", "product", DType::f32, dim};
  const std::string what = std::to_string(rows) + " rows, " + std::to_string(heads) + " heads";
  if (!session.run(sum_kind, what, [&] { return session.device.moments(args); })) return;

  std::vector<double> y(dim);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t h = 0; h < heads; ++h) {
      for (std::size_t c = 0; c < dim; ++c) {
        y[c] = static_cast<double>(x[i * width + h * dim + c]) - static_cast<double>(pivot[h * dim + c]);
        sum[h * dim + c] += y[c];
        sum_size[h * dim + c] += std::fabs(y[c]);
      }
      for (std::size_t a = 0; a < dim; ++a)
        for (std::size_t b = 0; b < dim; ++b) {
          product[(h * dim + a) * dim + b] += y[a] * y[b];
          product_size[(h * dim + a) * dim + b] += std::fabs(y[a] * y[b]);
        }
    }
  const auto compare = [&](const Kind& kind, const DeviceArray<double>& array, const std::vector<double>& expected, const std::vector<double>& size) {
    const std::vector<double> got = array.download();
    double error = array.guarded() ? 0 : infinite;
    for (std::size_t i = 0; i < expected.size(); ++i) error = std::max(error, element_error(got[i], expected[i], size[i] + 1e-3));
    session.record(kind, error, fp32_tolerance, what);
  };
  compare(sum_kind, device_sum, sum, sum_size);
  compare(product_kind, device_product, product, product_size);
}

}  // namespace

void check_moments(Session& session) {
  std::vector<std::uint32_t> lengths{1, 2, 7, 8, 9, 63, 64, 65, 130};
  if (session.full) lengths.insert(lengths.end(), {255, 256, 257, 1000, 4096});
  std::size_t turn = session.below(100);
  std::vector<std::uint32_t> dims = head_dims(session);
  dims.insert(dims.end(), {1, 5, 2});
  for (const std::uint32_t dim : dims)
    for (std::size_t i = 0; i < (session.full ? 14u : 3u); ++i, ++turn)
      check_case(session, lengths[turn % lengths.size()], 1 + session.below(session.full ? 8 : 3), dim);
}

}  // namespace attnscope::check_kernels
