#include "host/layer_reduction.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>

namespace attnscope {
namespace {

/// Rows reduced between looks at the clock and the cancellation.
constexpr std::uint32_t kBlockRows = 128;
/// Accumulators and pyramids kept at a time; a group of heads is emitted before the next begins.
constexpr std::size_t kGroupBytes = std::size_t(256) << 20;

std::uint32_t cells_of(const Plan& plan, std::uint32_t cell) { return (plan.total_tokens() + cell - 1) / cell; }

/// Accumulators (12 bytes a cell), pyramid (8 * 4/3), marginals and row statistics.
std::size_t bytes_of(const Plan& plan, std::uint32_t cell, std::size_t rows) {
  const std::size_t cells = cells_of(plan, cell);
  return cells * cells * 23 + plan.total_tokens() * 16 + rows * 40;
}

/// Rows of a strip, the unit of work. Merging a strip adds cells^2 accumulators (about 3 ns each), reducing it costs
/// rows * keys * dim multiply-adds (about 0.05 ns each): strips are long enough for merging to stay below 5 %, and
/// at least 1,024 rows. Depends on the shapes alone, so results do not depend on the threads.
std::uint32_t strip_rows(const Plan& plan, std::uint32_t cell, std::uint32_t rows) {
  const double cells = cells_of(plan, cell);
  const double enough = 20 * 60 * cells * cells / (double(plan.total_tokens()) * plan.model.head_dim);
  return enough >= rows ? rows : std::max<std::uint32_t>(1024, static_cast<std::uint32_t>(enough));
}

/// One head in work: strips finish in any order and are merged in theirs.
class HeadWork {
 public:
  HeadWork(const RunContext& run, const ReductionInput& input, std::uint32_t head)
      : run_(run), input_(input), head_(head), rows_(static_cast<std::uint32_t>(input.queries.count)) {
    const ReducePlan& reduce = run.plan.reduce;
    config_ = {run.plan.total_tokens(), reduce.cells[std::size_t(input.layer) * run.plan.model.heads + head], reduce.sink_tokens,
               reduce.local_tokens};
    strip_ = strip_rows(run.plan, config_.cell, rows_);
    strips_.resize((rows_ + strip_ - 1) / strip_);
  }

  std::size_t strips() const { return strips_.size(); }

  void reduce_strip(std::size_t index, unsigned worker, Scratch& scratch) {
    const std::uint32_t begin = static_cast<std::uint32_t>(index) * strip_, end = std::min(begin + strip_, rows_);
    auto strip = std::make_unique<HeadReduction>(config_, TokenRange{input_.first, input_.first + rows_});
    const std::size_t dim = run_.plan.model.head_dim;
    HeadInput block{{}, 0, &input_.keys->panels(head_ / run_.plan.group()), run_.plan.model.attention_scale, Visibility{}};
    for (std::uint32_t row = begin; row < end; row += kBlockRows) {
      if (!run_.pool.keep_going(worker)) return;
      const std::uint32_t count = std::min(kBlockRows, end - row);
      block.queries = head_rows(input_.queries, head_, dim).slice(row, count);
      block.first_query = input_.first + row;
      reduce_rows(block, {input_.lse + head_ * input_.lse_stride + row, count}, *strip, scratch);
      run_.progress.advance(causal_pairs(input_.first + row, count));
    }
    std::lock_guard lock(mutex_);
    strips_[index] = std::move(strip);
    merge_ready();
  }

  /// Once every strip is merged.
  void finish() { figures_ = HeadFigures::of(run_.plan.reduce, *total_); }

  ReducedHead result() const { return {head_, *total_, figures_}; }

 private:
  void merge_ready() {
    while (merged_ < strips_.size() && strips_[merged_]) {
      if (total_) total_->merge(*strips_[merged_]);
      else total_ = std::move(strips_[merged_]);
      strips_[merged_++].reset();
    }
  }

  const RunContext& run_;
  const ReductionInput& input_;
  std::uint32_t head_, rows_, strip_ = 0;
  ReduceConfig config_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<HeadReduction>> strips_;
  std::size_t merged_ = 0;
  std::unique_ptr<HeadReduction> total_;
  HeadFigures figures_;
};

}  // namespace

Status reduce_layer(RunContext& run, const ReductionInput& input, const std::function<Status(const ReducedHead&)>& emit) {
  const std::uint32_t heads = run.plan.model.heads;
  const std::uint32_t* cells = run.plan.reduce.cells.data() + std::size_t(input.layer) * heads;
  for (std::uint32_t begin = 0; begin < heads;) {
    std::vector<std::unique_ptr<HeadWork>> group;
    std::vector<std::pair<HeadWork*, std::size_t>> tasks;
    std::size_t bytes = 0;
    for (std::uint32_t head = begin; head < heads; ++head) {
      bytes += bytes_of(run.plan, cells[head], input.queries.count);
      if (!group.empty() && bytes > kGroupBytes) break;
      group.push_back(std::make_unique<HeadWork>(run, input, head));
      for (std::size_t strip = 0; strip < group.back()->strips(); ++strip) tasks.emplace_back(group.back().get(), strip);
    }
    PhaseClock::Section section(run.clock, Work::reduce);
    if (!run.pool.parallel_for(tasks.size(), [&](std::size_t i, unsigned worker) {
          tasks[i].first->reduce_strip(tasks[i].second, worker, run.scratch[worker]);
        }))
      return cancelled();
    if (!run.pool.parallel_for(group.size(), [&](std::size_t i, unsigned) { group[i]->finish(); })) return cancelled();
    for (auto& work : group) {
      PhaseClock::Section emission(run.clock, Work::emit);
      ATTNSCOPE_TRY(emit(work->result()));
      work.reset();
    }
    begin += static_cast<std::uint32_t>(group.size());
  }
  return success();
}

}  // namespace attnscope
