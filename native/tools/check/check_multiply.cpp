// The matrix product against fp64 sums, of every element where there are few, of random ones where there are many.
#include "tools/check/device_values.h"

namespace attnscope::check_kernels {
namespace {

struct Product {
  std::uint32_t rows, in, out_width;
};

enum class Result { fp32, added, rounded };

/// Elements of a product that are compared at most.
constexpr std::size_t compared = 20000;

/// Without the workspace, whose size depends on the rest.
MultiplyArgs product_args(DType dtype, const Product& shape, const DeviceValues& x, const DeviceValues& w, const DeviceValues& out) {
  MultiplyArgs args;
  args.dtype = dtype;
  args.rows = shape.rows;
  args.in = shape.in;
  args.out_width = shape.out_width;
  args.x = x.data();
  args.w = w.data();
  args.out = out.data();
  return args;
}

void check_case(Session& session, DType dtype, Product shape, Result result, bool shifted) {
  const DType out_dtype = result == Result::rounded ? dtype : DType::f32;
  const std::size_t in = shape.in, width = shape.out_width, count = shape.rows * width;
  const auto shift = [&] { return shifted ? 1 + session.below(7) : 0u; };
  const auto random = [&](std::size_t) { return 2 * uniform(session); };
  const DeviceValues x(session, dtype, shape.rows * in, shift(), random), w(session, dtype, width * in, shift(), random);
  const DeviceValues out = result == Result::added ? DeviceValues(session, DType::f32, count, shift(), random) : DeviceValues(session, out_dtype, count, shift());
  MultiplyArgs args = product_args(dtype, shape, x, w, out);
  args.out_dtype = out_dtype;
  args.add = result == Result::added;
  const DeviceArray<std::byte> workspace(session, session.device.workspace_bytes(args));
  args.workspace = workspace.data();
  const Kind kind{"multiply", result == Result::fp32 ? "fp32" : result == Result::added ? "added" : "rounded", dtype};
  const std::string what = std::to_string(shape.rows) + " rows, " + std::to_string(shape.in) + " to " + std::to_string(shape.out_width) +
                           (shifted ? ", addresses of single elements" : "");
  if (!session.run(kind, what, [&] { return session.device.multiply(args); })) return;

  const std::vector<float> got = out.download();
  double error = workspace.guarded() ? 0 : infinite;
  for (const float value : got) error = std::isfinite(value) ? error : infinite;
  const bool all = count <= compared;
  for (std::size_t n = 0; n < (all ? count : compared); ++n) {
    const std::size_t i = all ? n : session.random() % count, row = i / width, column = i % width;
    double sum = 0, squares = 0;
    for (std::size_t k = 0; k < in; ++k) {
      const double term = static_cast<double>(x[row * in + k]) * static_cast<double>(w[column * in + k]);
      sum += term;
      squares += term * term;
    }
    if (args.add) sum += static_cast<double>(out[i]);
    // The size of a sum of random signs, whatever it came to; rounding is relative to the sum itself.
    error = std::max(error, element_error(got[i], sum, std::fabs(sum) + std::sqrt(squares) + smallest_normal(out_dtype) + (args.add ? 1 : 0)));
  }
  // fp32 sums of up to 16,384 terms; tensor cores cut what they align instead of rounding it, which adds up in one direction.
  const double sums = dtype == DType::f32 ? 2e-5 : 1e-4;
  session.record(kind, error, result == Result::rounded ? roundoff(dtype) + sums : sums, what);
}

/// A row of x that holds NaN or infinities is lost; no other is touched by it.
void check_not_finite(Session& session, DType dtype) {
  const Product shape{1 + session.below(70), 1 + session.below(100), 1 + session.below(100)};
  const std::uint32_t spoiled = session.below(shape.rows);
  const std::size_t at = std::size_t{spoiled} * shape.in + session.below(shape.in);
  const float bad = session.below(2) == 0 ? NAN : INFINITY;
  const DeviceValues x(session, dtype, std::size_t{shape.rows} * shape.in, 0, [&](std::size_t i) { return i == at ? bad : uniform(session); });
  const DeviceValues w(session, dtype, std::size_t{shape.out_width} * shape.in, 0, [&](std::size_t) { return 0.5f + 0.25f * uniform(session); });
  const DeviceValues out(session, DType::f32, std::size_t{shape.rows} * shape.out_width, 0);
  MultiplyArgs args = product_args(dtype, shape, x, w, out);
  const DeviceArray<std::byte> workspace(session, session.device.workspace_bytes(args));
  args.workspace = workspace.data();
  const Kind kind{"multiply", "not finite", dtype};
  const std::string what = "row " + std::to_string(spoiled) + " of " + std::to_string(shape.rows);
  if (!session.run(kind, what, [&] { return session.device.multiply(args); })) return;
  const std::vector<float> got = out.download();
  bool right = true;
  for (std::size_t i = 0; i < got.size(); ++i) right = right && std::isfinite(got[i]) == (i / shape.out_width != spoiled);
  session.record(kind, right ? 0 : infinite, 0, what);
}

}  // namespace

void check_multiply(Session& session) {
  // Both sides of tiles of 16, 64 and 128, of vectors of 8, of the few rows that decoding has.
  static const std::vector<std::uint32_t> rows{1, 2, 3, 4, 5, 8, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200};
  static const std::vector<std::uint32_t> widths{1, 2, 7, 8, 9, 16, 24, 31, 32, 33, 40, 64, 72, 96, 100, 127, 128, 129, 200, 256, 257, 264};
  std::size_t turn = session.below(1000);
  for (const DType dtype : session.dtypes()) {
    for (std::size_t i = 0; i < (session.full ? 120u : 24u); ++i, ++turn) {
      const Product shape{rows[turn % rows.size()], session.pick(widths), session.pick(widths)};
      check_case(session, dtype, shape, static_cast<Result>(turn % 3), session.below(4) == 0);
    }
    for (std::size_t i = 0; i < (session.full ? 20u : 4u); ++i) check_not_finite(session, dtype);
    if (!session.full) continue;
    // A model's: attention, feed-forward network and head of one row and of blocks of them.
    for (const Product shape : {Product{1, 4096, 6144}, {1, 14336, 4096}, {2, 256, 128256}, {7, 4096, 1024}, {64, 14336, 1024}, {513, 4096, 1024},
                                {1000, 1024, 4096}, {4096, 2048, 2048}})
      for (const Result result : {Result::fp32, Result::added, Result::rounded}) check_case(session, dtype, shape, result, false);
  }
}

}  // namespace attnscope::check_kernels
