// Hands batches of one layer and segment to the sink, counting the time.
#pragma once
#include <algorithm>
#include <functional>
#include <string>

#include "host/emit_context.h"
#include "host/failure.h"

namespace attnscope {

/// Rows a record batch holds at most (data/format/tables.ts, ROWS_PER_BATCH).
inline constexpr std::uint32_t kVectorBatchRows = 4096;    // q, k, v, pages, qPooled
inline constexpr std::uint32_t kScalarBatchRows = 65536;   // rows, marginals, kv
inline constexpr std::uint32_t kLogitsBatchRows = 8;       // 4 MiB at a vocabulary of 128K

class TableEmitter {
 public:
  TableEmitter(EmitContext& context, Segment segment, std::int32_t layer) : context_(context), segment_(segment), layer_(layer) {}

  Status emit(const char* table, std::size_t rows, std::vector<Column> columns) {
    PhaseClock::Section section(context_.clock, Work::emit);
    ATTNSCOPE_TRY(context_.sink.batch({table, segment_, layer_, static_cast<std::uint32_t>(rows), std::move(columns)}));
    context_.progress.heartbeat();
    return context_.pool.keep_going(0) ? success() : Status(cancelled());
  }

  struct Rows {
    std::size_t count = 0;
    std::vector<Column> columns;
  };
  /// Batches 0, 1, ... of a table, made on all threads, some at a time, and handed over in order.
  Status emit_each(const char* table, std::size_t count, const std::function<Rows(std::size_t)>& make) {
    PhaseClock::Section section(context_.clock, Work::emit);
    std::vector<Rows> made(std::min<std::size_t>(count, 4 * context_.pool.threads()));
    for (std::size_t begin = 0; begin < count; begin += made.size()) {
      const std::size_t n = std::min(made.size(), count - begin);
      if (!context_.pool.parallel_for(n, [&](std::size_t i, unsigned) { made[i] = make(begin + i); })) return cancelled();
      for (std::size_t i = 0; i < n; ++i) ATTNSCOPE_TRY(emit(table, made[i].count, std::move(made[i].columns)));
    }
    return success();
  }

  Status layer_done() {
    PhaseClock::Section section(context_.clock, Work::emit);
    return context_.sink.layer_done(segment_, static_cast<std::uint32_t>(layer_));
  }

  EmitContext& context() { return context_; }
  const Plan& plan() const { return context_.plan; }
  std::uint32_t layer() const { return static_cast<std::uint32_t>(layer_); }

 private:
  EmitContext& context_;
  Segment segment_;
  std::int32_t layer_;
};

/// Columns from slices and constants.
template <class T>
Column column(const char* name, std::vector<T> values, std::uint32_t width = 1) {
  return {name, width, std::move(values)};
}
template <class T>
Column constant(const char* name, std::size_t rows, std::uint32_t value) {
  return {name, 1, std::vector<T>(rows, static_cast<T>(value))};
}
template <class To, class From>
Column slice(const char* name, const std::vector<From>& from, std::size_t begin, std::size_t rows) {
  return {name, 1, std::vector<To>(from.begin() + begin, from.begin() + begin + rows)};
}
/// first, first + 1, ...
Column counting(const char* name, std::size_t rows, std::uint32_t first);

}  // namespace attnscope
