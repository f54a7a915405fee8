// Index arithmetic that the CUDA kernels run: how work is cut, where partial sums go, searches in lists; against plain loops and the
// policy engine.
#include <algorithm>
#include <bit>
#include <limits>
#include <random>

#include "check.h"
#include "core/policy/plan_builder.h"
#include "core/policy/vertical_slash_walk.h"
#include "cuda/radix_digits.h"

using namespace attnscope;

TEST("parts of a list cover it once, in order; equal ones differ by one, whole units end anywhere") {
  for (std::uint32_t count = 0; count <= 130; ++count)
    for (std::uint32_t parts = 1; parts <= 20; ++parts) {
      std::uint32_t at = 0, at_units = 0;
      for (std::uint32_t part = 0; part < parts; ++part) {
        const gpu::Range even = gpu::part_of(count, parts, part), units = gpu::part_in_units(count, parts, part, 16);
        CHECK_EQUAL(even.begin, at);
        CHECK(even.end - even.begin == count / parts || even.end - even.begin == (count + parts - 1) / parts);
        CHECK(units.begin == at_units && units.end >= units.begin);
        CHECK(units.begin % 16 == 0 || units.begin == count);
        at = even.end, at_units = units.end;
      }
      CHECK(at == count && at_units == count);
    }
  // Near the end of what 32 bits hold.
  CHECK_EQUAL(gpu::part_of(4000000000u, 1024, 1023).end, 4000000000u);
  CHECK_EQUAL(gpu::part_in_units(4000000000u, 1024, 1023, 256).end, 4000000000u);
}

TEST("as many parts as blocks are wanted, none smaller than it may be, always one") {
  CHECK_EQUAL(gpu::parts_for(131072, 8, 1024, 256), 128);
  CHECK_EQUAL(gpu::parts_for(1000, 8, 1024, 256), 3);
  for (std::uint32_t size = 0; size < 3000; size += 7)
    for (const std::uint32_t copies : {1u, 3u, 32u, 5000u}) {
      const std::uint32_t parts = gpu::parts_for(size, copies, 1024, 64);
      CHECK(parts >= 1 && (parts == 1 || size / parts >= 64));
      CHECK(parts == 1 || (parts - 1) * copies < 1024);
    }
}

TEST("block lists begin where the ones before end") {
  for (std::uint32_t top_k = 0; top_k <= 40; ++top_k) {
    std::uint64_t begin = 0;
    for (std::uint32_t m = 0; m <= 100; ++m) {
      CHECK_EQUAL(gpu::block_list_offset(m, top_k), begin);
      begin += std::min(top_k, m + 1);
    }
  }
  CHECK_EQUAL(gpu::block_list_offset(16384, 16384), 16384ull * 16385 / 2);
}

TEST("every pair of a tile has one slot, and slots of one diagonal meet whatever the warp") {
  for (const std::uint32_t rows : {16u, 32u})
    for (std::uint32_t warp = 0; warp < 4; ++warp)
      for (std::int32_t difference = -63; difference < static_cast<std::int32_t>(4 * rows); ++difference) {
        bool any = false;
        for (std::uint32_t row = 0; row < rows; ++row) {
          const std::int32_t key = static_cast<std::int32_t>(warp * rows + row) - difference;
          if (key < 0 || key >= 64) continue;
          any = true;
          CHECK_EQUAL(gpu::diagonal_slot(difference, warp * rows, rows), static_cast<std::uint32_t>(key) - row + rows);
        }
        const std::uint32_t slot = gpu::diagonal_slot(difference, warp * rows, rows);
        // Slot 0 belongs to no pair; others that none belongs to lie outside.
        if (any) CHECK(slot > 0 && slot < gpu::diagonal_slots(rows));
        else CHECK(slot == 0 || slot >= gpu::diagonal_slots(rows));
      }
}

TEST("codes come out of the words that signs went into") {
  std::mt19937 random(1);
  for (std::uint32_t bits = 1; bits <= 15; ++bits) {
    std::vector<std::uint8_t> sign(64 * bits);
    std::vector<std::uint32_t> word(2 * bits + 1);
    for (std::uint32_t c = 0; c < sign.size(); ++c) sign[c] = random() & 1, word[c / 32] |= static_cast<std::uint32_t>(sign[c]) << c % 32;
    for (std::uint32_t table = 0; table < 64; ++table) {
      const gpu::SignPlace place = gpu::sign_place(table, bits);
      std::uint32_t expected = 0;
      for (std::uint32_t j = 0; j < bits; ++j) expected |= static_cast<std::uint32_t>(sign[table * bits + j]) << j;
      CHECK_EQUAL(gpu::code_of(word[place.word], word[place.word + 1], place.shift, bits), expected);
      // The kernel keeps the words of this tile of 64 columns and of the one before.
      const std::uint32_t tile = ((table + 1) * bits - 1) / 64;
      CHECK(place.word + 2 >= 2 * tile && place.word < 2 * tile + 2);
    }
  }
}

TEST("bits order as floats do; NaN is -infinity, both zeros are one; nothing reaches what is forced") {
  std::mt19937 random(4);
  std::vector<float> values{0.0f, -0.0f, INFINITY, -INFINITY, std::numeric_limits<float>::denorm_min(), -std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max()};
  for (int i = 0; i < 300; ++i) values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
  const auto ordered = [](float x) { return gpu::ordered_bits(std::bit_cast<std::uint32_t>(x)); };
  const auto plain = [](float x) { return std::isnan(x) ? -INFINITY : x; };
  for (const float a : values) {
    CHECK(ordered(a) < gpu::forced_bits);
    for (const float b : values) CHECK((ordered(a) < ordered(b)) == (plain(a) < plain(b)));
  }
}

TEST("digits from the top lead to the count-th largest and to how many of its equals are taken") {
  std::mt19937 random(6);
  for (unsigned round = 0; round < 300; ++round) {
    const unsigned bits = round % 2 ? 8 : 11;
    std::vector<std::uint32_t> keys(1 + random() % 200);
    const std::uint32_t mask = round % 3 == 0 ? 0x80000003u : round % 3 == 1 ? ~0u : 0xFFF00000u;
    for (auto& key : keys) key = static_cast<std::uint32_t>(random()) & mask;
    const auto count = static_cast<std::uint32_t>(1 + random() % keys.size());
    gpu::RadixState state{0, count, 32};
    for (unsigned digits = 0; state.low > 0; ++digits) {
      CHECK(digits < 4);
      const unsigned width = gpu::digit_bits(state.low, bits);
      std::vector<std::uint32_t> bins(std::size_t{1} << width);
      for (const std::uint32_t key : keys)
        if (gpu::begins(state, key)) ++bins[gpu::digit_of(state, key, width)];
      std::uint32_t digit = static_cast<std::uint32_t>(bins.size() - 1);
      for (; bins[digit] < state.left; --digit) state.left -= bins[digit];
      state = {state.prefix << width | digit, state.left, state.low - width};
    }
    std::vector<std::uint32_t> sorted = keys;
    std::sort(sorted.rbegin(), sorted.rend());
    CHECK_EQUAL(state.prefix, sorted[count - 1]);
    const auto above = std::count_if(keys.begin(), keys.end(), [&](std::uint32_t key) { return key > state.prefix; });
    CHECK_EQUAL(above + state.left, count);
    CHECK_EQUAL((gpu::Passed{static_cast<std::uint32_t>(above), 200}.selected({state.prefix, state.left})), count);
  }
}

TEST("searches whose place moves on answer as ones from the start do") {
  std::mt19937 random(2);
  for (unsigned round = 0; round < 3000; ++round) {
    const std::uint32_t n = 1 + random() % 300, keep = 1 + random() % 8;
    std::vector<std::uint32_t> ascending;
    for (std::uint32_t i = 0; i < n; ++i)
      if (random() % keep == 0) ascending.push_back(i);
    const std::vector<std::uint32_t> descending(ascending.rbegin(), ascending.rend());
    const auto count = static_cast<std::uint32_t>(ascending.size());
    vertical_slash::FallingDistances falling{descending.data(), count};
    vertical_slash::RisingColumns rising{ascending.data(), count};
    const std::uint32_t step = 1 + random() % 40;
    for (std::uint32_t x = 0; x <= n; x += random() % step) {
      CHECK_EQUAL(rising(x), std::lower_bound(ascending.begin(), ascending.end(), x) - ascending.begin());
      const std::uint32_t from_end = n - x;
      const auto above = std::upper_bound(ascending.begin(), ascending.end(), from_end);
      CHECK_EQUAL(falling(from_end), above == ascending.begin() ? vertical_slash::no_distance : above[-1]);
      if (step == 1) ++x;
    }
  }
}

namespace {

struct Collect {
  const std::vector<std::uint32_t>& all;
  std::vector<std::uint32_t> tile, column;
  void tiles(std::uint32_t begin, std::uint32_t end) {
    CHECK_EQUAL((end - begin) % 64, 0);
    for (std::uint32_t key = begin; key < end; key += 64) tile.push_back(key);
  }
  void columns(std::uint32_t first, std::uint32_t end) { column.insert(column.end(), all.begin() + first, all.begin() + end); }
};

}  // namespace

TEST("the walk by searches gives the plans of the policy engine, which looks up in tables: 3,000 random maps") {
  std::mt19937 random(3);
  for (unsigned round = 0; round < 3000; ++round) {
    const std::uint32_t tokens = round % 5 == 0 ? 64 * (1 + random() % 12) : 1 + random() % 900;
    std::vector<std::uint32_t> columns, distances;
    const std::uint32_t column_share = 1 + random() % 60, distance_share = 1 + random() % 80, run = 1 + random() % 30;
    for (std::uint32_t i = 0; i < tokens; ++i)
      if (random() % column_share == 0) columns.push_back(i);
    for (std::uint32_t i = 0; i < tokens; ++i)
      if (random() % (distance_share * run) == 0)
        for (const std::uint32_t end = std::min(tokens, i + run); i < end; ++i) distances.push_back(i);
    const PrefillPlan plan = plan_from_vertical_slash(tokens, columns, distances);
    std::reverse(distances.begin(), distances.end());
    for (std::uint32_t m = 0; m < plan.row_blocks(); ++m) {
      vertical_slash::FallingDistances falling{distances.data(), static_cast<std::uint32_t>(distances.size())};
      vertical_slash::RisingColumns rising{columns.data(), static_cast<std::uint32_t>(columns.size())};
      Collect collect{columns, {}, {}};
      vertical_slash::walk_row_block(m, tokens, falling, rising, collect);
      CHECK(std::equal(collect.tile.begin(), collect.tile.end(), plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[m]), plan.tile.begin() + static_cast<std::ptrdiff_t>(plan.tile_offset[m + 1])));
      CHECK(std::equal(collect.column.begin(), collect.column.end(), plan.column.begin() + static_cast<std::ptrdiff_t>(plan.column_offset[m]), plan.column.begin() + static_cast<std::ptrdiff_t>(plan.column_offset[m + 1])));
    }
  }
}
