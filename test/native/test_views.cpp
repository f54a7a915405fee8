#include "core/views.h"

#include <random>

#include "check.h"
#include "reference.h"

using namespace attnscope;

TEST("visible_pairs equals counting") {
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    const auto pick = [&](unsigned limit) { return static_cast<std::uint32_t>(random() % limit); };
    const TokenRange rows{pick(20), pick(24)}, columns{pick(20), pick(24)};
    const Visibility visibility{round % 3 == 0 ? 0 : pick(12)};
    std::uint64_t expected = 0;
    for (std::uint32_t i = rows.begin; i < rows.end; ++i)
      for (std::uint32_t j = columns.begin; j < columns.end; ++j) expected += reference::visible(i, j, visibility.window);
    CHECK_EQUAL(visible_pairs(rows, columns, visibility), expected);
  }
}

TEST("visible_pairs does not overflow at a million tokens") {
  const std::uint32_t n = 1u << 20;
  CHECK_EQUAL(visible_pairs({0, n}, {0, n}, {}), 0.5 * n * (n + 1.0));
}
