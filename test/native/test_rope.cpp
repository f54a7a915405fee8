#include "core/rope.h"

#include <cmath>

#include "check.h"
#include "reference.h"

using namespace attnscope;

TEST("default frequencies are theta^(-2i/d)") {
  const auto frequencies = inverse_frequencies({RopeType::standard, 500000}, 24);
  CHECK(frequencies.ok());
  CHECK_EQUAL(frequencies.value().size(), 12);
  for (std::size_t i = 0; i < 12; ++i) CHECK_NEAR(frequencies.value()[i], std::pow(500000.0, -2.0 * static_cast<double>(i) / 24), 1e-6, 0);
}

TEST("llama3 scaling keeps short wavelengths, divides long ones and joins them continuously") {
  const RopeConfig config{RopeType::llama3, 500000, 8, 1, 4, 8192};
  const auto scaled = inverse_frequencies(config, 128), plain = inverse_frequencies({RopeType::standard, 500000}, 128);
  int kept = 0, divided = 0, between = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    const double f = plain.value()[i], got = scaled.value()[i], wavelength = 2 * 3.14159265358979323846 / f;
    if (wavelength < 8192.0 / 4) {
      ++kept;
      CHECK_EQUAL(got, f);
    } else if (wavelength > 8192.0) {
      ++divided;
      CHECK_NEAR(got, f / 8, 1e-6, 0);
    } else {
      ++between;
      const double smooth = (8192.0 / wavelength - 1) / 3;
      CHECK_NEAR(got, (1 - smooth) * f / 8 + smooth * f, 1e-5, 0);
    }
  }
  CHECK(kept > 20 && divided > 20 && between > 3);
}

TEST("bad parameters are refused") {
  CHECK(!inverse_frequencies({RopeType::standard, 10000}, 7).ok());
  CHECK(!inverse_frequencies({RopeType::standard, 0}, 8).ok());
  CHECK(!inverse_frequencies({RopeType::llama3, 10000, 8, 4, 1, 8192}, 8).ok());
}

TEST("rows rotate as complex numbers, at any first position, with or without a shared table") {
  const std::size_t dim = 24, rows = 9, first = 4090;
  const auto frequencies = inverse_frequencies({RopeType::standard, 10000}, dim).take();
  const reference::Matrix original = reference::random_matrix(rows, dim, 5);
  reference::Matrix alone = original, shared = original;
  apply_rope({alone.data.data(), rows, dim, dim}, first, frequencies);
  apply_rope({shared.data.data(), rows, dim, dim}, first, make_rotations(4000, 200, frequencies));
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < dim / 2; ++i) {
      const double angle = static_cast<float>(first + r) * frequencies[i], a = original.row(r)[i], b = original.row(r)[i + dim / 2];
      CHECK_NEAR(alone.row(r)[i], a * std::cos(angle) - b * std::sin(angle), 0, 1e-6);
      CHECK_NEAR(alone.row(r)[i + dim / 2], b * std::cos(angle) + a * std::sin(angle), 0, 1e-6);
      CHECK_EQUAL(shared.row(r)[i], alone.row(r)[i]);
    }
}
