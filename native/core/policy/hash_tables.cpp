#include "core/policy/hash_tables.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/policy/simhash.h"

namespace attnscope::simhash {

HashTables::HashTables(const std::uint16_t* signs, std::size_t stride, std::size_t count, std::uint32_t K, std::uint32_t L)
    : count_(count), bits_(K), tables_(L) {
  if (count <= 65536)
    build(signs, stride, short_ids_);
  else
    build(signs, stride, long_ids_);
}

template <class Id>
void HashTables::build(const std::uint16_t* signs, std::size_t stride, std::vector<Id>& ids) {
  const std::size_t buckets = std::size_t{1} << bits_;
  ids.resize(tables_ * count_);
  start_.assign(tables_ * (buckets + 1), 0);
  std::vector<std::uint16_t> codes(count_);
  std::vector<std::uint32_t> next(buckets);
  for (std::uint32_t t = 0; t < tables_; ++t) {
    table_codes(signs, stride, count_, bits_, t, codes.data());
    // Counting sort: stable, so ids ascend within a bucket.
    std::uint32_t* start = start_.data() + t * (buckets + 1);
    for (const std::uint16_t code : codes) ++start[code + 1];
    for (std::size_t b = 0; b < buckets; ++b) start[b + 1] += start[b];
    std::copy(start, start + buckets, next.begin());
    Id* table = ids.data() + t * count_;
    for (std::size_t i = 0; i < count_; ++i) table[next[codes[i]]++] = static_cast<Id>(i);
  }
}

template <class Id>
std::uint64_t HashTables::count_hits(const std::vector<Id>& ids, std::span<const std::uint16_t> codes, std::uint8_t limit,
                                     std::uint8_t* hits) const {
  const std::size_t buckets = std::size_t{1} << bits_;
  std::uint64_t read = 0;
  for (std::uint32_t t = 0; t < tables_; ++t) {
    const std::uint32_t* start = start_.data() + t * (buckets + 1) + codes[t];
    const Id* table = ids.data() + t * count_;
    for (std::uint32_t i = start[0]; i < start[1]; ++i) {
      std::uint8_t& hit = hits[table[i]];
      hit = static_cast<std::uint8_t>(hit + (hit < limit));
    }
    read += start[1] - start[0];
  }
  return read;
}

std::uint64_t HashTables::lookup(std::span<const std::uint16_t> codes, std::uint8_t limit, std::span<std::uint8_t> hits) const {
  std::fill_n(hits.begin(), count_, std::uint8_t{0});
  return short_ids_.empty() ? count_hits(long_ids_, codes, limit, hits.data()) : count_hits(short_ids_, codes, limit, hits.data());
}

std::size_t collect_hits(std::span<const std::uint8_t> hits, std::size_t begin, std::size_t end, std::uint8_t min_tables,
                         std::vector<std::uint32_t>& keys) {
  std::size_t any = 0, i = begin;
  const auto one = [&](std::size_t key) {
    any += hits[key] != 0;
    if (hits[key] >= min_tables) keys.push_back(static_cast<std::uint32_t>(key));
  };
  // Eight counters at a time: most are 0. Counters are at most 127, so adding to a byte never carries into the next.
  constexpr std::uint64_t ones = 0x0101010101010101u, top = 0x8080808080808080u;
  for (; i + 8 <= end; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, hits.data() + i, 8);
    if (word == 0) continue;
    if (((word + ones * (128u - min_tables)) & top) == 0) {
      any += static_cast<std::size_t>(std::popcount((word + ones * 127u) & top));
      continue;
    }
    for (std::size_t j = i; j < i + 8; ++j) one(j);
  }
  for (; i < end; ++i) one(i);
  return any;
}

}  // namespace attnscope::simhash
