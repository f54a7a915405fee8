// What a model does to rows of activations between its products: embedding, norm, rotation, activation.
#include "tools/check/attention_case.h"
#include "tools/check/device_values.h"

namespace attnscope::check_kernels {
namespace {

/// fp32 arithmetic before the one rounding of the result.
constexpr double arithmetic = 2e-6;

std::uint32_t random_shift(Session& session) { return session.below(3) == 0 ? 1 + session.below(7) : 0; }

void check_embed_case(Session& session, DType dtype, std::uint32_t rows, std::uint32_t width) {
  const std::uint32_t vocabulary = 1 + session.below(50);
  const DeviceValues table(session, dtype, std::size_t{vocabulary} * width, random_shift(session), [&](std::size_t) { return uniform(session); });
  std::vector<std::uint32_t> ids(rows);
  for (std::uint32_t& id : ids) id = session.below(vocabulary);
  ids.back() = vocabulary - 1;
  const DeviceArray<std::uint32_t> device_ids(session, ids);
  const DeviceValues out(session, DType::f32, std::size_t{rows} * width, random_shift(session));
  const Kind kind{"embed", "out", dtype};
  const std::string what = std::to_string(rows) + " rows of " + std::to_string(width);
  const EmbedArgs args{dtype, rows, width, table.data(), device_ids.data(), out.as<float>()};
  if (!session.run(kind, what, [&] { return session.device.embed(args); })) return;
  const std::vector<float> got = out.download();
  bool equal = true;
  for (std::size_t i = 0; i < got.size(); ++i) equal = equal && got[i] == table[std::size_t{ids[i / width]} * width + i % width];
  session.record(kind, equal ? 0 : infinite, 0, what);
}

void check_norm_case(Session& session, DType dtype, std::uint32_t rows, std::uint32_t width) {
  // Rows of very different sizes, one of zeros, one that holds NaN.
  const std::uint32_t zeros = session.below(3 * rows), spoiled = session.below(3 * rows), spoiled_column = session.below(width);
  const auto value = [&](std::size_t i) {
    const std::size_t row = i / width;
    if (row == zeros) return 0.0f;
    if (row == spoiled && i % width == spoiled_column) return NAN;
    return std::ldexp(uniform(session), static_cast<int>(row % 5) * 6 - 12);
  };
  const DeviceValues x(session, DType::f32, std::size_t{rows} * width, random_shift(session), value);
  const DeviceValues weight(session, DType::f32, width, random_shift(session), [&](std::size_t) { return 1 + uniform(session); });
  const DeviceValues out(session, dtype, std::size_t{rows} * width, random_shift(session));
  const float epsilon = session.below(2) == 0 ? 1e-5f : 1e-6f;
  const Kind kind{"norm", "out", dtype};
  const std::string what = std::to_string(rows) + " rows of " + std::to_string(width);
  const NormArgs args{dtype, rows, width, x.as<float>(), weight.as<float>(), epsilon, out.data()};
  if (!session.run(kind, what, [&] { return session.device.norm(args); })) return;
  const std::vector<float> got = out.download();
  double error = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    double squares = 0;
    for (std::size_t c = 0; c < width; ++c) squares += static_cast<double>(x[row * width + c]) * static_cast<double>(x[row * width + c]);
    const double scale = 1 / std::sqrt(squares / width + static_cast<double>(epsilon));
    for (std::size_t c = 0; c < width; ++c) {
      const double expected = static_cast<double>(weight[c]) * static_cast<double>(x[row * width + c]) * scale;
      error = std::max(error, element_error(got[row * width + c], expected, std::max(std::fabs(expected), smallest_normal(dtype))));
    }
  }
  session.record(kind, error, roundoff(dtype) + arithmetic, what);
}

struct RotateShape {
  std::uint32_t rows, heads, dim;
  bool tables;
};

void check_rotate_case(Session& session, DType dtype, const RotateShape& shape, bool extreme) {
  const std::size_t width = std::size_t{shape.heads} * shape.dim, half = shape.dim / 2;
  const auto value = [&](std::size_t) {
    const float x = 8 * uniform(session);
    if (!extreme || session.below(8) != 0) return x;
    static const std::vector<float> special{1e5f, -3e5f, 65519.0f, 65520.0f, -65536.0f, INFINITY, -INFINITY, NAN, 1e-6f};
    // Without a rotation, whose sums would overflow in fp32: the largest value, which bf16 makes an infinity.
    return !shape.tables && session.below(4) == 0 ? std::numeric_limits<float>::max() : session.pick(special);
  };
  const DeviceValues x(session, DType::f32, shape.rows * width, random_shift(session), value);
  std::vector<float> angles(shape.rows * half);
  for (float& angle : angles) angle = 100 * uniform(session);
  const DeviceValues cosine(session, DType::f32, angles.size(), random_shift(session), [&](std::size_t i) { return std::cos(angles[i]); });
  const DeviceValues sine(session, DType::f32, angles.size(), random_shift(session), [&](std::size_t i) { return std::sin(angles[i]); });
  const auto layout = static_cast<Layout>(session.below(3));
  const HeadOutput out(session, dtype, shape.heads, shape.rows, shape.dim, layout);
  const std::uint32_t before = session.below(1000);
  const DeviceArray<std::uint32_t> counter(session, std::vector<std::uint32_t>{before});
  RotateArgs args;
  args.dtype = dtype;
  args.rows = shape.rows;
  args.heads = shape.heads;
  args.head_dim = shape.dim;
  args.x = x.as<float>();
  args.cosine = shape.tables ? cosine.as<float>() : nullptr;
  args.sine = shape.tables ? sine.as<float>() : nullptr;
  args.out = out.tensor();
  args.overflowed = counter.data();
  const Kind kind{"rotate", shape.tables ? "out" : "rounded", dtype, shape.dim}, count_kind{"rotate", "overflows", dtype, shape.dim};
  const std::string what = std::to_string(shape.rows) + " rows, " + std::to_string(shape.heads) + " heads" + (extreme ? ", with values that overflow" : "");
  if (!session.run(kind, what, [&] { return session.device.rotate(args); })) return;

  const std::vector<float> got = out.download();
  double error = 0;
  // fp32 arithmetic may fall on either side of the largest value: certain overflows, and those that may be.
  std::uint32_t certain = 0, possible = 0;
  for (std::size_t row = 0; row < shape.rows; ++row)
    for (std::size_t h = 0; h < shape.heads; ++h)
      for (std::size_t c = 0; c < shape.dim; ++c) {
        const std::size_t first = row * width + h * shape.dim, angle = row * half + (half == 0 ? 0 : c % half);
        double exact = x[first + c], size = std::fabs(exact);
        if (shape.tables) {
          const double a = x[first + c % half], b = x[first + half + c % half], cos = cosine[angle], sin = sine[angle];
          exact = c < half ? a * cos - b * sin : b * cos + a * sin;
          size = std::fabs(a * cos) + std::fabs(b * sin) + std::fabs(b * cos) + std::fabs(a * sin);
        }
        const double margin = shape.tables ? size * arithmetic : 0;
        const bool finite = std::isfinite(exact);
        const bool over = finite && std::isinf(rounded(dtype, std::fabs(exact) - margin)), near = finite && std::isinf(rounded(dtype, std::fabs(exact) + margin));
        certain += over;
        possible += near;
        if (over == near)
          error = std::max(error, element_error(got[(h * shape.rows + row) * shape.dim + c], over ? std::copysign(infinite, exact) : exact, std::max(size, smallest_normal(dtype))));
      }
  session.record(kind, error, roundoff(dtype) + (shape.tables ? arithmetic : 0), what);
  const std::uint32_t counted = counter.download()[0] - before;
  session.record(count_kind, counter.guarded() && counted >= certain && counted <= possible ? 0 : infinite, 0, what);
}

void check_activate_case(Session& session, DType dtype, std::size_t count) {
  static const std::vector<float> special{0.0f, -0.0f, -87.0f, -89.0f, -100.0f, -1e4f, 30.0f, 90.0f, 1000.0f, 1e-7f, NAN, INFINITY};
  const DeviceValues gate(session, dtype, count, random_shift(session), [&](std::size_t) { return session.below(10) == 0 ? session.pick(special) : 12 * uniform(session); });
  const DeviceValues up(session, dtype, count, random_shift(session), [&](std::size_t) { return 3 * uniform(session) + 0.01f; });
  const Kind kind{"activate", "gate", dtype};
  const std::string what = std::to_string(count) + " values";
  if (!session.run(kind, what, [&] { return session.device.activate({dtype, count, gate.data(), up.data()}); })) return;
  const std::vector<float> got = gate.download(), kept = up.download();
  double error = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double x = gate[i], expected = x / (1 + std::exp(-x)) * static_cast<double>(up[i]);
    // exp() overflows where fp32 ends: what silu() makes of less than -80 may be anything that is nothing beside other activations.
    error = std::max(error, element_error(got[i], expected, std::max({std::fabs(expected), smallest_normal(dtype), 1e-24})));
    if (kept[i] != up[i]) error = infinite;
  }
  session.record(kind, error, roundoff(dtype) + arithmetic, what);
}

}  // namespace

void check_embed(Session& session) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})  // a device that computes in 16 bits widens fp32 tables, too
    for (const std::uint32_t rows : {1u, 3u, 64u, 200u})
      for (const std::uint32_t width : {1u, 5u, 64u, 100u, session.full ? 4096u : 576u}) check_embed_case(session, dtype, rows, width);
}

void check_norm(Session& session) {
  for (const DType dtype : session.dtypes())
    for (const std::uint32_t rows : {1u, 2u, 7u, 65u})
      for (const std::uint32_t width : {1u, 3u, 8u, 100u, 576u, 1000u, session.full ? 4096u : 1025u, session.full ? 16384u : 2048u})
        check_norm_case(session, dtype, rows, width);
}

void check_rotate(Session& session) {
  std::vector<std::uint32_t> dims = head_dims(session);
  dims.insert(dims.end(), {2, 6, 10});
  for (const DType dtype : session.dtypes()) {
    for (const std::uint32_t dim : dims)
      for (std::size_t i = 0; i < (session.full ? 12u : 4u); ++i)
        check_rotate_case(session, dtype, {1 + session.below(session.full ? 300 : 70), 1 + session.below(8), dim, i % 4 != 3}, i % 2 == 1);
    for (const std::uint32_t dim : {1u, 5u}) check_rotate_case(session, dtype, {1 + session.below(70), 1 + session.below(8), dim, false}, true);
  }
}

void check_activate(Session& session) {
  for (const DType dtype : session.dtypes())
    for (const std::size_t count : {1u, 7u, 8u, 9u, 255u, 1000u, 4097u, session.full ? 1000003u : 20011u}) check_activate_case(session, dtype, count);
}

}  // namespace attnscope::check_kernels
