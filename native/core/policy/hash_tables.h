// L hash tables over the same keys, each in CSR form: key ids sorted by code, and where each bucket begins.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace attnscope::simhash {

class HashTables {
 public:
  /// `signs` as project_signs wrote them for `count` keys on at least K * L columns.
  HashTables(const std::uint16_t* signs, std::size_t stride, std::size_t count, std::uint32_t K, std::uint32_t L);

  /// For every key how many tables hold it in the bucket of `codes` (one a table), saturating at `limit` <= 127, into
  /// hits[0..count). Returns the number of ids read.
  std::uint64_t lookup(std::span<const std::uint16_t> codes, std::uint8_t limit, std::span<std::uint8_t> hits) const;

  std::size_t count() const { return count_; }
  std::uint32_t bits() const { return bits_; }
  std::uint32_t tables() const { return tables_; }
  std::size_t bytes() const { return short_ids_.size() * 2 + long_ids_.size() * 4 + start_.size() * 4; }

 private:
  template <class Id>
  void build(const std::uint16_t* signs, std::size_t stride, std::vector<Id>& ids);
  template <class Id>
  std::uint64_t count_hits(const std::vector<Id>& ids, std::span<const std::uint16_t> codes, std::uint8_t limit, std::uint8_t* hits) const;

  std::size_t count_;
  std::uint32_t bits_, tables_;
  std::vector<std::uint32_t> start_;      // [tables][2^K + 1]
  std::vector<std::uint16_t> short_ids_;  // [tables][count] where 65,536 ids suffice
  std::vector<std::uint32_t> long_ids_;   // otherwise
};

/// Appends the keys of [begin, end) with at least `min_tables` hits to `keys`, ascending; returns how many keys of the
/// range have any hit. `limit` of the lookup must have been `min_tables`.
std::size_t collect_hits(std::span<const std::uint8_t> hits, std::size_t begin, std::size_t end, std::uint8_t min_tables,
                         std::vector<std::uint32_t>& keys);

}  // namespace attnscope::simhash
