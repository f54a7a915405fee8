// Retention policies: a cache of positions that grows by chunks and tokens and shrinks by what the policy evicts.
#include "core/replay/drivers.h"
#include "core/replay/trace_writer.h"

namespace attnscope {
namespace retention_replay {

/// Positions in the cache, ascending, and the same as runs (made again only after an eviction: rows between two evictions
/// share them).
class ResidentList {
 public:
  void append(std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t i = begin; i < end; ++i) positions_.push_back(i);
    if (spans_valid_) append_span(spans_, {begin, end});
  }

  bool evict(std::span<const std::uint32_t> slots) {
    if (slots.empty()) return true;
    if (slots.back() >= positions_.size() || std::adjacent_find(slots.begin(), slots.end(), std::greater_equal<>()) != slots.end()) return false;
    std::size_t to = slots.front(), next = 0;
    for (std::size_t from = to; from < positions_.size(); ++from) {
      if (next < slots.size() && slots[next] == from)
        ++next;
      else
        positions_[to++] = positions_[from];
    }
    positions_.resize(to);
    spans_valid_ = false;
    return true;
  }

  std::span<const std::uint32_t> positions() const { return positions_; }
  std::size_t size() const { return positions_.size(); }

  std::span<const KeySpan> spans() {
    if (!spans_valid_) {
      spans_.clear();
      for (const std::uint32_t p : positions_) append_span(spans_, {p, p + 1});
      spans_valid_ = true;
    }
    return spans_;
  }

 private:
  std::vector<std::uint32_t> positions_;
  SpanList spans_;
  bool spans_valid_ = true;
};

class Driver {
 public:
  Driver(RetentionPolicy& policy, const LayerInput& input, std::uint32_t head, std::span<const std::uint32_t> rows, std::span<const double> future)
      : policy_(policy), input_(input), kv_head_(input.kv_head(head)), rows_(rows), future_(future),
        writer_(input.tokens, rows.size(), input.visibility), residents_(input.kv_heads), evict_(input.kv_heads) {}

  /// Rows before `end` see everything.
  void dense_until(std::uint32_t end) {
    for (; next_ < rows_.size() && rows_[next_] < end; ++next_) writer_.dense(rows_[next_]);
  }

  /// Appends positions [begin, end), lets the policy evict, and writes the rows among them.
  Status step(std::uint32_t begin, std::uint32_t end, AppendEvent event) {
    cache_.append(begin, end);
    const std::size_t mark = writer_.size(), first = next_;
    write_rows(end);

    residents_[kv_head_] = resident(cache_.size());
    evict_[kv_head_].clear();
    event.added = end - begin;
    event.future = future_;
    if (Status status = policy_.append(input_, residents_, event, evict_); !status) return status;
    const auto& slots = evict_[kv_head_];
    const double held = static_cast<double>(cache_.size()) + (slots.empty() ? 0.0 : policy_.transient_tokens());
    peak_ = std::max(peak_, held);
    if (!cache_.evict(slots))
      return Error{"E_POLICY_EVICT", "The policy evicts slots that are not in the cache, or not in ascending order; this is a fault of the policy's code."};

    if (policy_.evicts_before_attention() && !slots.empty()) {
      writer_.rewind(mark);
      next_ = first;
      write_rows(end);
    }
    return success();
  }

  void count_step() { resident_sum_ += static_cast<double>(cache_.size()), ++steps_; }
  void forget_steps() { resident_sum_ = 0, steps_ = 0; }

  HeadTrace finish() {
    HeadTrace trace = writer_.take();
    trace.cost.resident_tokens = static_cast<double>(cache_.size());
    trace.cost.mean_resident = resident_sum_ / static_cast<double>(steps_);
    trace.cost.peak_resident = peak_;
    return trace;
  }

 private:
  ResidentTokens resident(std::size_t slots) const {
    return {input_.keys[kv_head_], kv_head_ < input_.values.size() ? input_.values[kv_head_] : Rows{}, cache_.positions().first(slots), true};
  }

  /// Rows before `end` that are not written yet, with the cache as it is now.
  void write_rows(std::uint32_t end) {
    for (; next_ < rows_.size() && rows_[next_] < end; ++next_) {
      const std::uint32_t row = rows_[next_];
      const auto positions = cache_.positions();
      const auto slots = static_cast<std::size_t>(std::upper_bound(positions.begin(), positions.end(), row) - positions.begin());
      slots_.clear();
      policy_.forced(resident(slots), slots_);
      forced_.clear();
      for (const KeySpan& s : slots_)
        for (std::uint32_t i = s.begin; i < std::min<std::size_t>(s.end, slots); ++i) append_span(forced_, {positions[i], positions[i] + 1});
      writer_.row(row, cache_.spans(), forced_);
    }
  }

  RetentionPolicy& policy_;
  const LayerInput& input_;
  std::uint32_t kv_head_;
  std::span<const std::uint32_t> rows_;
  std::span<const double> future_;
  TraceWriter writer_;
  std::vector<ResidentTokens> residents_;
  std::vector<std::vector<std::uint32_t>> evict_;
  ResidentList cache_;
  SpanList slots_, forced_;
  std::size_t next_ = 0;
  double peak_ = 0, resident_sum_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace retention_replay

Result<HeadTrace> replay_retention(RetentionPolicy& policy, const LayerInput& input, std::uint32_t head,
                                   std::span<const std::uint32_t> rows, const Schedule& schedule, std::span<const double> future) {
  retention_replay::Driver driver(policy, input, head, rows, future);
  if (schedule.chunk == 0) driver.dense_until(schedule.context);

  for (std::uint32_t begin = 0; begin < schedule.context;) {
    std::uint32_t size = schedule.context - begin;
    if (schedule.chunk != 0) size = std::min(size, begin == 0 && schedule.first_chunk != 0 ? schedule.first_chunk : schedule.chunk);
    AppendEvent event;
    event.first_chunk = begin == 0;
    event.prefill_ends = begin + size == schedule.context;
    if (const Status status = driver.step(begin, begin + size, event); !status) return status.error();
    driver.count_step();
    begin += size;
  }
  // The mean is over decode steps; over the chunks of the prompt where nothing is decoded.
  if (schedule.context < input.tokens) driver.forget_steps();
  for (std::uint32_t token = schedule.context; token < input.tokens; ++token) {
    AppendEvent event;
    event.prefill = false;
    if (const Status status = driver.step(token, token + 1, event); !status) return status.error();
    driver.count_step();
  }
  return driver.finish();
}

}  // namespace attnscope
