// Retrieval policies: an index over the context, asked by the query of every evaluated row after it.
#include "core/replay/drivers.h"
#include "core/replay/trace_writer.h"

namespace attnscope {
namespace retrieval_replay {

/// Fixed spans and single keys of one selection, merged and clipped to what the row sees.
class Merged {
 public:
  void merge(const Selection& selection, std::uint32_t begin, std::uint32_t end) {
    kept_.clear();
    fixed_.clear();
    weights_.clear();
    clip_spans(selection.fixed, begin, end, fixed_);
    const bool weighted = !selection.log_weight.empty();
    std::size_t k = static_cast<std::size_t>(std::lower_bound(selection.keys.begin(), selection.keys.end(), begin) - selection.keys.begin());
    const auto keys_until = [&](std::uint32_t limit) {
      for (; k < selection.keys.size() && selection.keys[k] < limit; ++k) {
        const std::uint32_t key = selection.keys[k];
        if (!kept_.empty() && key < kept_.back().end) continue;  // already fixed
        append_span(kept_, {key, key + 1});
        if (weighted) weights_.push_back(selection.log_weight[k]);
      }
    };
    for (const KeySpan& s : fixed_) {
      keys_until(s.begin);
      append_span(kept_, s);
      if (weighted) weights_.resize(weights_.size() + (s.end - s.begin), 0.0f);
    }
    keys_until(end);
  }
  std::span<const KeySpan> kept() const { return kept_; }
  std::span<const KeySpan> fixed() const { return fixed_; }
  std::span<const float> weights() const { return weights_; }

 private:
  SpanList kept_, fixed_;
  std::vector<float> weights_;
};

/// Sums over the rows that were asked, turned into means.
struct CostSums {
  double rows = 0, read = 0, scanned = 0, draws = 0, expected = 0, device = 0, host = 0, link = 0;

  void add(const Selection& selection, double keys) {
    rows += 1;
    read += keys;
    scanned += selection.scanned;
    draws += selection.draws;
    expected += selection.expected;
    device += selection.bytes.device;
    host += selection.bytes.host;
    link += selection.bytes.link;
  }
  void write(Cost& cost) const {
    if (rows == 0) return;
    cost.read_keys = read / rows;
    cost.scanned = scanned / rows;
    cost.draws = draws > 0 ? draws / rows : Cost::none;
    cost.expected = expected > 0 ? expected / rows : Cost::none;
    cost.device_bytes = device / rows;
    cost.host_bytes = host / rows;
    cost.link_bytes = link / rows;
  }
};

}  // namespace retrieval_replay

Result<HeadTrace> replay_retrieval(RetrievalPolicy& policy, const LayerInput& input, std::uint32_t head,
                                   std::span<const std::uint32_t> rows, std::uint32_t context) {
  const std::uint32_t kv_head = input.kv_head(head);
  const QueryRows& queries = input.queries[head];
  if (const Status status = policy.build(input, kv_head, context); !status) return status.error();

  TraceWriter writer(input.tokens, rows.size(), input.visibility);
  retrieval_replay::Merged merged;
  retrieval_replay::CostSums sums;
  Selection selection;
  std::uint32_t inserted = context;
  for (const std::uint32_t row : rows) {
    if (row < context) {
      writer.dense(row);
      continue;
    }
    policy.insert(input, kv_head, {inserted, row + 1});
    inserted = row + 1;
    const std::size_t at = queries.find(row);
    if (at == QueryRows::npos)
      return Error{"E_REPLAY_QUERIES", "The query at position " + std::to_string(row) + " of head " + std::to_string(head) +
                                           " is not in the capture; evaluate rows whose queries are stored, or capture with --level full."};
    selection.clear();
    policy.query(input, head, row, queries.rows.row(at), selection);
    if (selection.dense) {
      writer.dense(row);
      continue;
    }
    merged.merge(selection, input.visibility.first_key(row), row + 1);
    writer.weighted(row, merged.kept(), merged.fixed(), merged.weights());
    sums.add(selection, static_cast<double>(count_keys(merged.kept())));
  }
  HeadTrace trace = writer.take();
  sums.write(trace.cost);
  trace.cost.index_bytes = policy.index_bytes();
  return trace;
}

}  // namespace attnscope
