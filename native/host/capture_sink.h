// What leaves the engine: rows of the tables of data/format/tables.ts, in their order, and word of how far the run is.
#pragma once
#include <cstdint>
#include <variant>
#include <vector>

#include "core/result.h"

namespace attnscope {

enum class Segment { prefill, decode };
inline const char* name_of(Segment segment) { return segment == Segment::prefill ? "prefill" : "decode"; }

using ColumnValues = std::variant<std::vector<float>, std::vector<std::uint32_t>, std::vector<std::uint16_t>, std::vector<std::int32_t>>;

/// `width` values a row.
struct Column {
  const char* name;
  std::uint32_t width;
  ColumnValues values;
};

struct Batch {
  const char* table;
  Segment segment;
  std::int32_t layer;  // -1 for tables of the whole capture
  std::uint32_t rows;
  std::vector<Column> columns;
};

enum class Phase { load, prefill, reduce, decode };
inline const char* name_of(Phase phase) {
  constexpr const char* names[] = {"load", "prefill", "reduce", "decode"};
  return names[static_cast<int>(phase)];
}

/// Layers, or decode steps, finished and in all, and the fraction of the current one.
struct RunProgress {
  Phase phase = Phase::load;
  std::uint32_t done = 0, total = 1;
  double fraction = 0;
};

/// Called from the capture's own thread. An error stops the run with that error.
class CaptureSink {
 public:
  virtual ~CaptureSink() = default;
  virtual Status batch(Batch&& batch) = 0;
  virtual Status layer_done(Segment segment, std::uint32_t layer) = 0;
  virtual void progress(const RunProgress& progress) = 0;
};

}  // namespace attnscope
