#include "core/replay/metrics.h"

#include <algorithm>

#include "core/replay/kept_text.h"
#include "core/replay/output_error.h"
#include "core/replay/row_mass.h"
#include "core/replay/row_sample.h"
#include "core/replay/spans.h"
#include "core/replay/top_keys.h"

namespace attnscope {
namespace metric_groups {

void add_recall(std::span<const RowMass> masses, std::span<const std::uint32_t> rows, Metrics& out) {
  RowSample recall, no_sinks, lost, kept, share;
  for (const std::uint32_t r : rows) {
    const RowMass& mass = masses[r];
    recall.add(mass.recall());
    no_sinks.add(mass.recall_no_sinks());
    lost.add(mass.missed / mass.total);
    kept.add(mass.kept_keys);
    share.add(static_cast<double>(mass.kept_keys) / mass.visible);
  }
  out[Metric::recall_mean] = recall.mean();
  out[Metric::recall_se] = recall.standard_error();
  out[Metric::recall_p5] = recall.percentile(0.05);
  out[Metric::recall_no_sinks_mean] = no_sinks.mean();
  out[Metric::recall_no_sinks_p5] = no_sinks.percentile(0.05);
  out[Metric::lost_mass] = lost.mean();
  out[Metric::kept_keys_mean] = kept.mean();
  out[Metric::kept_share] = share.mean();
}

void add_error(std::span<const OutputError> errors, Metrics& out) {
  RowSample relative, cosine;
  for (const OutputError& e : errors) {
    relative.add(e.relative);
    cosine.add(e.cosine);
  }
  out[Metric::error_mean] = relative.mean();
  out[Metric::error_se] = relative.standard_error();
  out[Metric::error_p95] = relative.percentile(0.95);
  out[Metric::cosine_mean] = cosine.mean();
}

/// Share of the top k that is kept; NaN where the row sees fewer keys than k.
double overlap(TopKeys& top, std::uint32_t k, const RowMass& mass, std::span<const KeySpan> kept) {
  if (mass.visible < k) return Cost::none;
  std::uint32_t hits = 0;
  auto span = kept.begin();
  for (const std::uint32_t key : top.keys(k)) {
    while (span != kept.end() && span->end <= key) ++span;
    if (span == kept.end()) break;
    hits += span->begin <= key;
  }
  return static_cast<double>(hits) / k;
}

void add_detail(const Strip& strip, const HeadTrace& trace, std::span<const RowMass> masses, std::span<const std::uint32_t> rows,
                Visibility visibility, const SequenceInfo& info, Metrics& out) {
  RowSample top32, top128, oracle, regret;
  TopKeys top;
  KeptText text(info);
  for (const std::uint32_t r : rows) {
    const RowMass& mass = masses[r];
    const std::uint32_t row = trace.rows[r], first = visibility.first_key(row);
    const auto kept = trace.kept(r);
    text.add(kept, first, row + 1);
    top.read(strip.row(r), first, row + 1);
    top32.add(overlap(top, 32, mass, kept));
    top128.add(overlap(top, 128, mass, kept));
    // Sums in another order may differ in the last bit; the set of the largest never holds less.
    const double best = std::max(top.mass(mass.kept_keys) / mass.total, mass.recall());
    oracle.add(std::min(best, 1.0));
    regret.add(std::max(0.0, std::min(best, 1.0) - mass.recall()));
  }
  out[Metric::top32_overlap] = top32.mean();
  out[Metric::top128_overlap] = top128.mean();
  out[Metric::oracle_recall] = oracle.mean();
  out[Metric::regret] = regret.mean();
  text.write(out);
}

/// Causal 64 x 64 blocks of the prompt: those that hold a visible pair.
double causal_blocks(std::uint32_t tokens, Visibility visibility) {
  double blocks = 0;
  for (std::uint32_t begin = 0; begin < tokens; begin += PrefillPlan::block)
    blocks += (begin / PrefillPlan::block + 1) - visibility.first_key(begin) / PrefillPlan::block;
  return blocks;
}

/// What follows from the trace's cost alone. `visible_mean`: keys an acted-on row sees.
void add_cost(const Cost& cost, const LayerInput& input, double visible_mean, double bytes_per_element, Metrics& out) {
  const double tokens = input.prompt_tokens, block_cells = double{PrefillPlan::block} * PrefillPlan::block;
  out[Metric::estimated_recall] = cost.estimated_recall;
  out[Metric::token_sparsity] = 1 - cost.token_cells / cost.causal_cells;
  out[Metric::tile_sparsity] = 1 - cost.attended_cells / cost.causal_cells;
  out[Metric::kernel_sparsity] = 1 - cost.kernel_cells / cost.causal_cells;
  out[Metric::kernel_sparsity_n2] = 1 - cost.kernel_cells / (tokens * tokens);
  out[Metric::kernel_sparsity_blocks] = 1 - cost.kernel_cells / (causal_blocks(input.prompt_tokens, input.visibility) * block_cells);
  out[Metric::slash_run] = cost.mean_run;
  out[Metric::index_bytes] = cost.index_bytes;

  const double held[] = {cost.resident_tokens};
  const KvBytes bytes = kv_bytes(held, input.head_dim, bytes_per_element, 16);
  out[Metric::resident_tokens] = cost.resident_tokens;
  out[Metric::mean_resident] = cost.mean_resident;
  out[Metric::peak_resident] = cost.peak_resident;
  out[Metric::kv_bytes] = bytes.ideal;
  out[Metric::kv_bytes_paged] = bytes.paged;
  out[Metric::kv_bytes_dense] = 2.0 * input.tokens * input.head_dim * bytes_per_element;

  out[Metric::read_keys] = cost.read_keys;
  out[Metric::scanned_share] = cost.scanned / visible_mean;
  out[Metric::draws] = cost.draws;
  out[Metric::expected_share] = cost.expected / visible_mean;
  out[Metric::step_bytes] = cost.device_bytes + cost.host_bytes;
  out[Metric::link_bytes] = cost.link_bytes;
  out[Metric::kernel_tiles] = cost.kernel_tiles;
  out[Metric::kernel_column_tiles] = cost.kernel_column_tiles;
}

}  // namespace metric_groups

Metrics evaluate(const Strip& strip, const HeadTrace& trace, const LayerInput& input, std::uint32_t head, const SequenceInfo& info,
                 double bytes_per_element, MetricParts parts, Scratch& scratch) {
  using namespace metric_groups;
  Metrics out;
  out.values.fill(Cost::none);
  std::vector<RowMass> masses;
  masses.reserve(trace.rows.size());
  std::vector<std::uint32_t> thinned, covered;  // rows with something evicted; rows that keep all they see
  double visible = 0;
  for (std::uint32_t r = 0; r < trace.rows.size(); ++r) {
    masses.push_back(row_mass(strip, trace, r, input.visibility, info.sink_tokens));
    if (masses[r].dense) continue;
    visible += masses[r].visible;
    (masses[r].covered ? covered : thinned).push_back(r);
  }
  const double acted = static_cast<double>(thinned.size() + covered.size());
  out[Metric::rows_evaluated] = static_cast<double>(trace.rows.size());
  out[Metric::rows_dense] = static_cast<double>(trace.rows.size()) - acted;
  out[Metric::rows_covered] = static_cast<double>(covered.size());
  add_cost(trace.cost, input, visible / acted, bytes_per_element, out);

  // Covered rows flatter every mean; where there are no others, they are the answer.
  const std::vector<std::uint32_t>& rows = thinned.empty() ? covered : thinned;
  if (rows.empty()) return out;
  if (parts.recall) {
    add_recall(masses, rows, out);
    out[Metric::estimation_gap] = out[Metric::estimated_recall] - out[Metric::recall_mean];
  }
  const std::uint32_t kv_head = input.kv_head(head);
  if (parts.error && kv_head < input.values.size() && input.values[kv_head].count >= strip.rows().back() + 1) {
    std::vector<OutputError> errors(rows.size());
    output_errors(strip, trace, masses, rows, input.values[kv_head], input.visibility, errors, scratch);
    add_error(errors, out);
  }
  if (parts.detail) add_detail(strip, trace, masses, rows, input.visibility, info, out);
  return out;
}

}  // namespace attnscope
