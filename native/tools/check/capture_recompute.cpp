#include "tools/check/capture_recompute.h"

#include <map>
#include <mutex>

#include "core/reduce.h"
#include "host/thread_pool.h"

namespace attnscope::check_captures {
namespace capture_recomputing {

/// Rows [begin, begin + count) of a vector table, as float32.
std::vector<float> vectors_of(const Recording& capture, const TableKey& key, DType dtype, std::uint32_t dim, std::size_t begin, std::size_t count) {
  std::vector<float> out;
  const auto& raw = capture.column<std::uint16_t>(key, key.table);
  const auto& floats = capture.column<float>(key, key.table);
  if ((begin + count) * dim > (dtype == DType::f32 ? floats.size() : raw.size())) return out;
  out.resize(count * dim);
  const void* from = dtype == DType::f32 ? static_cast<const void*>(floats.data() + begin * dim) : raw.data() + begin * dim;
  to_float(dtype, from, out.size(), out.data());
  return out;
}

/// Everything of one head and segment that the core recomputes.
class Head {
 public:
  Head(const Recording& capture, const Plan& plan, Segment segment, std::uint32_t layer, std::uint32_t head)
      : capture_(capture), plan_(plan), segment_(segment), layer_(static_cast<std::int32_t>(layer)), head_(head) {
    const std::uint32_t prompt = plan.prompt_tokens();
    rows_ = segment == Segment::prefill ? TokenRange{0, prompt} : TokenRange{prompt, prompt + steps()};
  }

  /// Whether all queries of the head's rows are there.
  bool stored() const {
    if (rows_.size() == 0) return false;
    return segment_ == Segment::decode || full(head_) || plan_.store.query_rows.size() == plan_.prompt_tokens();
  }

  std::vector<ColumnDifference> check() {
    const std::uint32_t dim = plan_.model.head_dim, kv_head = head_ / plan_.group();
    const std::vector<float> q = queries(), k = cached("k", kv_head), v = cached("v", kv_head);
    if (q.empty() || k.empty() || v.empty()) return {};  // the comparison with another run says what is missing
    const Rows keys{k.data(), rows_.end, dim, dim}, values{v.data(), rows_.end, dim, dim}, queries{q.data(), rows_.size(), dim, dim};
    const KeyPanels panels(keys);
    const HeadInput input{queries, rows_.begin, &panels, plan_.model.attention_scale, {}};
    std::vector<float> lse(rows_.size()), output(q.size());
    Scratch scratch;
    attention_forward(input, values, {output.data(), rows_.size(), dim, dim}, lse, scratch);
    const ReducePlan& r = plan_.reduce;
    HeadReduction reduction({plan_.total_tokens(), r.cells[std::size_t(layer_) * plan_.model.heads + head_], r.sink_tokens, r.local_tokens}, rows_);
    reduce_rows(input, lse, reduction, scratch);
    compare_rows(reduction.row_stats, lse);
    compare("marginals", "column_sum", to_floats(reduction.column_sum), std::size_t{head_} * rows_.end);
    compare("marginals", "diagonal_sum", to_floats(reduction.diagonal_sum), std::size_t{head_} * rows_.end);
    compare_pyramid(build_pyramid(reduction, {}, r.tile_edge));
    return std::move(columns_);
  }

 private:
  TableKey key(const char* table, Segment segment) const { return {table, segment, layer_}; }
  bool full(std::uint32_t head) const { return plan_.store.full_query_heads[std::size_t(layer_) * plan_.model.heads + head] != 0; }
  std::uint32_t steps() const { return static_cast<std::uint32_t>(capture_.column<std::uint32_t>({"steps", Segment::decode, -1}, "token").size()); }

  std::vector<float> queries() const {
    std::size_t begin = std::size_t{head_} * rows_.size();
    if (segment_ == Segment::prefill) {
      begin = 0;
      for (std::uint32_t h = 0; h < head_; ++h) begin += full(h) ? plan_.prompt_tokens() : plan_.store.query_rows.size();
    }
    return vectors_of(capture_, key("q", segment_), plan_.vectors, plan_.model.head_dim, begin, rows_.size());
  }

  /// Keys or values of all positions up to the segment's end.
  std::vector<float> cached(const char* table, std::uint32_t kv_head) const {
    const std::size_t prompt = plan_.prompt_tokens();
    std::vector<float> all = vectors_of(capture_, key(table, Segment::prefill), plan_.vectors, plan_.model.head_dim, kv_head * prompt, prompt);
    if (segment_ == Segment::prefill || all.empty()) return all;
    const auto decoded = vectors_of(capture_, key(table, Segment::decode), plan_.vectors, plan_.model.head_dim, std::size_t{kv_head} * rows_.size(), rows_.size());
    if (decoded.empty()) return decoded;
    all.insert(all.end(), decoded.begin(), decoded.end());
    return all;
  }

  static std::vector<float> to_floats(const std::vector<double>& from) { return {from.begin(), from.end()}; }

  /// The capture's values from `begin` on against as many recomputed ones.
  template <class T>
  void compare(const char* table, const char* column, const std::vector<T>& expected, std::size_t begin) {
    const auto& all = capture_.column<T>(key(table, segment_), column);
    std::vector<T> got;
    if (begin + expected.size() <= all.size()) got.assign(all.begin() + begin, all.begin() + begin + expected.size());
    columns_.push_back(difference(key(table, segment_), column, got, expected, Reference::recomputed, plan_.vectors));
  }

  void compare_rows(const RowStats& stats, const std::vector<float>& lse) {
    const std::size_t begin = std::size_t{head_} * rows_.size();
    compare("rows", "lse", lse, begin);
    compare("rows", "entropy", stats.entropy, begin);
    compare("rows", "sink_mass", stats.sink_mass, begin);
    compare("rows", "local_mass", stats.local_mass, begin);
    compare("rows", "top1_mass", stats.top1_mass, begin);
    compare("rows", "top1_key", stats.top1_key, begin);
    compare("rows", "coverage_90", stats.coverage_90, begin);
    compare("rows", "coverage_95", stats.coverage_95, begin);
    compare("rows", "coverage_99", stats.coverage_99, begin);
  }

  /// Tiles in the order of docs/format.md, "Where a row is".
  void compare_pyramid(const std::vector<PyramidLevel>& pyramid) {
    const auto& heads = capture_.column<std::uint16_t>(key("pyramid", segment_), "head");
    std::size_t tile = 0;
    while (tile < heads.size() && heads[tile] < head_) ++tile;
    const std::uint32_t edge = plan_.reduce.tile_edge;
    const std::size_t first_tile = tile;
    std::vector<float> mean, max;
    for (const PyramidLevel& level : pyramid) {
      const std::uint32_t first = rows_.begin / level.cell / edge, last = (rows_.end - 1) / level.cell / edge;
      for (std::uint32_t row = first; row <= (rows_.begin == 0 ? (level.cells + edge - 1) / edge - 1 : last); ++row)
        for (std::uint32_t column = 0; column <= row; ++column) {
          mean.resize(mean.size() + std::size_t{edge} * edge);
          max.resize(mean.size());
          const std::size_t at = mean.size() - std::size_t{edge} * edge;
          copy_tile(level, edge, row, column, {mean.data() + at, std::size_t{edge} * edge}, {max.data() + at, std::size_t{edge} * edge});
        }
    }
    const std::size_t begin = first_tile * edge * edge;
    compare("pyramid", "mean", mean, begin);
    compare("pyramid", "max", max, begin);
  }

  const Recording& capture_;
  const Plan& plan_;
  Segment segment_;
  std::int32_t layer_;
  std::uint32_t head_;
  TokenRange rows_;
  std::vector<ColumnDifference> columns_;
};

}  // namespace capture_recomputing

Recomputed recompute(const Recording& capture, const Plan& plan, unsigned threads) {
  using capture_recomputing::Head;
  Recomputed out;
  if (!plan.reduce.enabled || !plan.store.vectors) return out;
  std::vector<Head> heads;
  for (Segment segment : {Segment::prefill, Segment::decode})
    for (std::uint32_t layer = 0; layer < plan.model.layers; ++layer)
      for (std::uint32_t head = 0; head < plan.model.heads; ++head) {
        Head one(capture, plan, segment, layer, head);
        if (!plan.skips(layer) && one.stored()) heads.push_back(std::move(one));
      }
  ThreadPool pool(threads);
  std::mutex mutex;
  std::map<std::tuple<std::string, Segment, std::string>, ColumnDifference> worst;
  pool.parallel_for(heads.size(), [&](std::size_t i, unsigned) {
    const auto columns = heads[i].check();
    std::lock_guard lock(mutex);
    for (const ColumnDifference& one : columns) {
      const auto [at, is_new] = worst.try_emplace({one.table, one.segment, one.column}, one);
      if (!is_new) merge(at->second, one);
    }
    out.heads += columns.empty() ? 0 : 1;
  });
  for (auto& [key, one] : worst) out.columns.push_back(std::move(one));
  return out;
}

}  // namespace attnscope::check_captures
