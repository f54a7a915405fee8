// How far two captures of one plan are apart, column by column.
#pragma once
#include "core/dtype.h"
#include "tools/check/capture_recording.h"

namespace attnscope::check_captures {

/// What the second capture was computed with.
enum class Reference {
  kernels,    // the same runner and precisions on the CPU's kernels: differences are those of sums in another order, rounded
  fp32,       // the CPU's runner: fp32 between the stored vectors, where a device rounds what enters a product
  recomputed  // the core, from the vectors of the capture itself
};
const char* name_of(Reference reference);

enum class Measure {
  equal,     // must be the same
  largest,   // max |got - expected| / max |expected| of a layer's column
  absolute,  // max |got - expected|
  share,     // share of values that differ
  mean       // mean |got - expected| / mean |expected|
};
const char* name_of(Measure measure);

struct ColumnDifference {
  std::string table, column;
  Segment segment = Segment::prefill;
  Measure measure = Measure::equal;
  double difference = 0;  // the worst layer's; infinite where a value is not a number in one capture alone, or sizes differ
  double rms = 0;         // root mean square of the difference over that of what was expected, in that layer
  std::int32_t layer = -1;
  std::size_t values = 0;  // over all layers
  double tolerance = 0;
  bool passed() const { return difference <= tolerance; }
};

/// One row a table, segment and column, in the order of their names; a table that one capture lacks is a row that failed. `vectors` is the
/// type of stored q, k and v.
std::vector<ColumnDifference> differences(const Recording& got, const Recording& expected, Reference reference, DType vectors);

/// The same for one column, of `layer`.
ColumnDifference difference(const TableKey& key, const std::string& column, const ColumnValues& got, const ColumnValues& expected, Reference reference, DType vectors);

/// `more` joined to `worst`: the larger difference stays.
void merge(ColumnDifference& worst, const ColumnDifference& more);

}  // namespace attnscope::check_captures
