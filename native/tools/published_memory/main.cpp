// Recomputes what was published about memory and prints it beside the published number, as Markdown: docs/results/memory.md.
//   cmake --build BUILD --target published_memory && BUILD/published_memory > docs/results/memory.md
#include <cmath>
#include <cstdio>

#include "tools/published_memory/cases.h"
#include "tools/published_memory/contexts.h"
#include "tools/published_memory/peaks.h"
#include "tools/published_memory/times.h"

namespace {

using namespace attnscope::published_memory;

void print(const char* title, const char* about, const std::vector<Row>& rows) {
  std::printf("\n## %s\n\n%s\n\n| what | unit | published | modelled | difference | note |\n|---|---|---:|---:|---:|---|\n", title, about);
  double sum = 0, worst = 0;
  int count = 0;
  for (const Row& row : rows) {
    if (row.published == 0) {
      std::printf("| %s | %s | - | %.6g | - | %s |\n", row.name.c_str(), row.unit.c_str(), row.ours, row.note.c_str());
      continue;
    }
    const double percent = 100 * (row.ours / row.published - 1);
    sum += std::fabs(percent), worst = std::fmax(worst, std::fabs(percent)), ++count;
    std::printf("| %s | %s | %.7g | %.7g | %+.3f %% | %s |\n", row.name.c_str(), row.unit.c_str(), row.published, row.ours, percent, row.note.c_str());
  }
  std::printf("\n%d published values; difference %.3f %% on average, at most %.2f %%.\n", count, sum / count, worst);
}

void print_peaks() {
  std::printf("\n## Peaks of every scheme\n\nLlama-3-8B, bf16, 200 steps, GiB asked for, by closed form. Modelled; nothing published beside them.\n\n| scheme |");
  for (const std::uint32_t tokens : peak_lengths) std::printf(" %uK |", tokens / 1024);
  std::printf("\n|---|---:|---:|---:|---:|---:|---:|\n");
  for (const PeakRow& row : peak_rows()) {
    std::printf("| %s |", row.scheme);
    for (const double gib : row.gib) std::printf(" %.2f |", gib);
    std::printf("\n");
  }
}

void print_contexts(const std::vector<ContextRow>& rows) {
  std::printf("\n## Longest context of Llama-3-8B on 80 GB\n\n"
              "78.7 GiB for segments, every 5K tokens, modelled by replaying PyTorch's caching allocator. Longer can fit where shorter does not: \"all below\" is the end of the lengths without a gap, "
              "\"longest\" the last that fits, \"by bytes\" what would fit if memory had no holes. \"Expandable\" is the longest with expandable segments. Thousands of tokens.\n\n"
              "| scheme | steps | published | all below | longest | by bytes | expandable | what fails first |\n|---|---:|---:|---:|---:|---:|---:|---|\n");
  for (const ContextRow& row : rows)
    std::printf("| %s | %u | %s | %u | %u | %u | %u | %s |\n", row.scheme.c_str(), row.steps, row.published > 0 ? std::to_string(row.published / 1000).c_str() : "-", row.band.all_below / 1000,
                row.band.longest / 1000, row.band.by_bytes / 1000, row.expandable / 1000, row.fails.c_str());
  std::printf("\nHow many steps the authors' limit test ran is not known; MOM's limit depends on it, because its decode copies a layer's keys once a step into a memory already full of pieces.\n");
}

/// Last-token logits and chunks against MOM.
void print_finding(const std::vector<ContextRow>& rows) {
  const auto find = [&](const Case& scheme) -> const ContextRow& {
    for (const ContextRow& row : rows)
      if (row.scheme == scheme.name && row.steps == benchmark_steps) return row;
    return rows.front();
  };
  const ContextRow &ours = find(chunk8192_last), &theirs = find(mom);
  std::printf("\n## Last-token logits and chunked prefill pass MOM without offloading\n\n"
              "MOM was compared with prefill in chunks of 8192 whose runner asks for logits of all tokens and holds those of two chunks: 350K tokens against 455K, published. With logits of the last token alone, "
              "as users of `generate` get them, chunks of 8192 reach %uK in the replay, where MOM reaches %uK after 200 steps and 475K after one, with this much memory and without moving a byte over the link. "
              "Modelled and not yet run on a device.\n\n"
              "| tokens | MOM, GiB | chunks of 8192 and last-token logits, GiB | difference | MOM moves, GB | first token MOM, s | first token chunks, s |\n|---:|---:|---:|---:|---:|---:|---:|\n",
              ours.band.longest / 1000, theirs.band.longest / 1000);
  for (const std::uint32_t tokens : {8192u, 32768u, 65536u, 131072u, 262144u}) {
    const auto totals = [&](const Case& scheme) { return request_totals(transformers(), config(llama3_8b, scheme, tokens, benchmark_steps), {}, a100, transformers_efficiency()).value(); };
    const RequestTotals a = totals(mom), b = totals(chunk8192_last);
    std::printf("| %uK | %.2f | %.2f | %+.1f %% | %.1f | %.1f | %.1f |\n", tokens / 1024, static_cast<double>(a.peak.bytes) / GiB, static_cast<double>(b.peak.bytes) / GiB,
                100 * (static_cast<double>(b.peak.bytes) / static_cast<double>(a.peak.bytes) - 1), static_cast<double>(a.transfers.bytes(Phase::prefill) + a.transfers.bytes(Phase::reload)) / 1e9, a.time.first_token_s, b.time.first_token_s);
  }
  std::printf("\nTimes at the rates that MOM's own tables imply of an A100; the link at 12 GB/s, not overlapped, as its runner uses it.\n");
}

}  // namespace

int main() {
  std::printf("# Memory, published and modelled\n\nMade by `node scripts/published-memory.mjs` from the engine's memory model (`native/core/memory`). Published numbers are MOM's (arXiv 2504.12526, "
              "and the outputs stored in its repository's notebook): measured by its authors on an A100 with 80 GB in transformers, eager, FlashAttention-2, bf16. Ours are **modelled** and no run of a model.\n");
  print("Peaks that torch measured, by bytes asked for", "Closed form. Nothing is fitted.", notebook_peaks_by_bytes());
  print("The same, in whole blocks of the caching allocator", "What torch counts as allocated: a block whose rest is too small to split is counted as a whole.", notebook_peaks_by_blocks());
  print("Ratios and quoted peaks", "Table 1 of the paper, its memory-speed plot, and its text. Llama-3-8B, 200 steps.", ratio_rows());
  print_peaks();
  const std::vector<ContextRow> contexts = context_rows();
  print_contexts(contexts);
  print_finding(contexts);
  print("Fits of prefill and decode", "T = a S + b S^2 of Table 3's standard line, t = a + b S of Table 4's, least squares; the rates they mean. What stands under published was worked out from the tables once, not printed in them.", fit_rows());
  print("Time to the first token", "Table 3. Modelled from the fitted rates: products with weights, causal attention, copies between chunks, the link at 12 GB/s one way after the other.", first_token_rows());
  print("Decode", "Table 4.", decode_rows());
  print("A request of 200 steps", "Table 2.", total_rows());
  print("What offloading moves", "Bytes counted from the script. What stands under published was worked out from the paper's tables, not printed in them.", offload_rows());
  print("HeadInfer", "arXiv 2502.12574, transformers with its patches on a 24 GB RTX 4090. Not reproduced closely: neither which logits were asked for nor what the device had left is known.", headinfer_rows());
}
