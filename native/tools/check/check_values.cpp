// Conversions, picked rows and counts of values: results that must be equal.
#include <bit>

#include "tools/check/device_values.h"

namespace attnscope::check_kernels {
namespace {

/// Bits that conversions stumble over: anything, and ties between neighbours of f16 and bf16, normal and subnormal.
float random_value(Session& session) {
  const auto bits = static_cast<std::uint32_t>(session.random());
  const std::uint32_t sign = bits & 0x80000000u, exponent = 127 - 30 + session.below(48), mantissa = bits & 0x7FFFFFu;
  switch (session.below(4)) {
    case 0: return std::bit_cast<float>(bits);
    case 1: return std::bit_cast<float>(sign | exponent << 23 | (mantissa & ~0xFFFu) | 0x1000u);
    case 2: return std::bit_cast<float>(sign | exponent << 23 | (mantissa & ~0x7FFFu) | 0x8000u);
    default: return std::bit_cast<float>(sign | exponent << 23 | mantissa);
  }
}

void check_cast_case(Session& session, DType from, DType to, std::size_t count) {
  const DeviceValues source(session, from, count, session.below(8), [&](std::size_t) { return random_value(session); });
  const DeviceValues target(session, to, count, session.below(8));
  static const char* const sources[] = {"from f32", "from f16", "from bf16"};
  const Kind kind{"cast", sources[static_cast<int>(from)], to};
  const std::string what = std::to_string(count) + " values";
  if (!session.run(kind, what, [&] { return session.device.cast({from, to, count, source.data(), target.data()}); })) return;
  const std::vector<float> got = target.download();
  bool equal = true;
  for (std::size_t i = 0; i < count; ++i) {
    const double expected = rounded(to, source[i]), value = got[i];
    equal = equal && (std::isnan(expected) ? std::isnan(value) : value == expected && std::signbit(value) == std::signbit(expected));
  }
  session.record(kind, equal ? 0 : infinite, 0, what);
}

void check_gather_case(Session& session, std::size_t row_bytes, std::size_t shift) {
  const std::uint32_t count = 1 + session.below(300), available = 1 + session.below(400);
  const std::size_t stride = row_bytes + (session.below(2) == 0 ? 0 : row_bytes % 16 == 0 ? 16 * session.below(5) : session.below(40));
  std::vector<std::byte> source(available * stride + shift);
  for (std::byte& b : source) b = static_cast<std::byte>(session.random());
  std::vector<std::uint32_t> rows(count);
  for (std::uint32_t& row : rows) row = session.below(available);
  rows.back() = available - 1;
  const DeviceArray<std::byte> from(session, source), out(session, count * row_bytes);
  const DeviceArray<std::uint32_t> picked(session, rows);
  const Kind kind{"gather", "rows", DType::f32, 0, false};
  const std::string what = std::to_string(count) + " rows of " + std::to_string(row_bytes) + " bytes, " + std::to_string(stride) + " apart";
  const GatherArgs args{count, row_bytes, stride, from.data() + shift, picked.data(), out.data()};
  if (!session.run(kind, what, [&] { return session.device.gather(args); })) return;
  const std::vector<std::byte> got = out.download();
  bool equal = out.guarded();
  for (std::size_t i = 0; i < count; ++i)
    equal = equal && std::equal(got.begin() + static_cast<std::ptrdiff_t>(i * row_bytes), got.begin() + static_cast<std::ptrdiff_t>((i + 1) * row_bytes),
                                source.begin() + static_cast<std::ptrdiff_t>(shift + rows[i] * stride));
  session.record(kind, equal ? 0 : infinite, 0, what);
}

void check_count_case(Session& session, std::size_t count, std::uint32_t one_in) {
  static const std::vector<float> bad{INFINITY, -INFINITY, NAN, -NAN, std::bit_cast<float>(0x7F800001u)};
  static const std::vector<float> good{0.0f, -0.0f, std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest(), 1e-45f, 1.0f};
  std::uint32_t expected = 0;
  const DeviceValues x(session, DType::f32, count, session.below(4), [&](std::size_t) {
    if (one_in == 0 || session.below(one_in) != 0) return session.pick(good);
    ++expected;
    return session.pick(bad);
  });
  const std::uint32_t before = session.below(100);
  const DeviceArray<std::uint32_t> found(session, std::vector<std::uint32_t>{before});
  const Kind kind{"count_non_finite", "found", DType::f32, 0, false};
  const std::string what = std::to_string(expected) + " of " + std::to_string(count);
  if (!session.run(kind, what, [&] { return session.device.count_non_finite({count, x.as<float>(), found.data()}); })) return;
  session.record(kind, found.guarded() && found.download()[0] == before + expected ? 0 : infinite, 0, what);
}

}  // namespace

void check_cast(Session& session) {
  for (const DType from : {DType::f32, DType::f16, DType::bf16})
    for (const DType to : {DType::f32, DType::f16, DType::bf16})
      for (const std::size_t count : {1u, 7u, 64u, 1000u, 4099u, session.full ? 1000003u : 20001u}) check_cast_case(session, from, to, count);
}

void check_gather(Session& session) {
  for (const std::size_t bytes : {1u, 2u, 3u, 4u, 7u, 8u, 16u, 24u, 31u, 48u, 128u, 256u, 1000u, 2048u})
    for (std::size_t i = 0; i < (session.full ? 10u : 2u); ++i) check_gather_case(session, bytes, i % 2 == 0 ? 0 : 1 + session.below(15));
}

void check_count_non_finite(Session& session) {
  for (const std::size_t count : {1u, 3u, 31u, 33u, 1000u, 4097u, session.full ? 10000019u : 50021u})
    for (const std::uint32_t one_in : {0u, 1u, 2u, 100u, 10000u}) check_count_case(session, count, one_in);
}

}  // namespace attnscope::check_kernels
