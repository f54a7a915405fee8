// Peaks of allocated memory that were measured and published, beside the model's.
#pragma once
#include <vector>

#include "tools/published_tables/row.h"

namespace attnscope::published_memory {

using published_tables::Row;

/// Raw peaks from the outputs stored in MOM's notebook, in MiB: by closed form.
std::vector<Row> notebook_peaks_by_bytes();
/// The same as torch counts them: whole blocks of the caching allocator.
std::vector<Row> notebook_peaks_by_blocks();
/// Table 1, the means of the memory-speed plot, and the peaks that the text quotes.
std::vector<Row> ratio_rows();
/// Peaks in GiB of all schemes from 8K to 512K; nothing published beside them.
struct PeakRow {
  const char* scheme;
  double gib[6];
};
inline constexpr std::uint32_t peak_lengths[6] = {8192, 32768, 65536, 131072, 262144, 524288};
std::vector<PeakRow> peak_rows();

}  // namespace attnscope::published_memory
