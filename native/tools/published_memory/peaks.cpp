#include "tools/published_memory/peaks.h"

#include <string>

#include "tools/published_memory/cases.h"

namespace attnscope::published_memory {
namespace peaks {
namespace {

/// One stored output. MOM's notebook holds runs of two versions of its code: in the 8B ones the last MLP was cut into pieces like
/// the others (the shortcut was switched off by an `if False`), in the 3B ones it saw the last token alone. At 16,028 tokens of
/// the 8B model that is what tells: 18,239.9 MiB against 18,212.8 where 18,242.39 was measured.
struct Run {
  bool large;
  Case scheme;
  std::uint32_t tokens, steps;
  double mib;
};
const Run runs[] = {
    {true, standard, 16028, 61, 21375.95},    {true, standard, 32033, 41, 27415.85},   {true, standard, 48027, 41, 33456.24},    {true, standard, 55045, 70, 36105.17},
    {true, mini, 16028, 61, 18242.39},        {true, mini, 32033, 41, 21097.30},       {true, mini, 48027, 41, 23981.95},        {true, mini, 55045, 70, 25243.67},
    {false, standard, 12024, 500, 10465.00},  {false, standard, 8031, 500, 9032.08},   {false, standard, 4027, 500, 7589.77},    {false, mini, 12024, 500, 7950.91},
    {false, mini, 8031, 500, 7387.11},        {false, mini, 4027, 500, 6850.00},       {false, mom, 12024, 500, 7531.10},        {false, mom, 8031, 500, 7086.53},
    {false, mom, 4027, 500, 6640.74},         {false, chunk512, 12024, 500, 7679.55},  {false, chunk512, 8031, 500, 7231.52},    {false, chunk512, 4027, 500, 6816.63},
    {false, chunk8192, 12024, 500, 10416.65}, {false, chunk8192, 8031, 500, 9032.08},  {false, chunk8192, 4027, 500, 7589.77},   {false, mini_chunk8192, 12024, 500, 7708.93},
    {false, mini_chunk8192, 8031, 500, 7387.11}, {false, mini_chunk8192, 4027, 500, 6850.00}};

Config config_of(const Run& run) {
  Config c = config(run.large ? llama3_8b : llama32_3b(), run.scheme, run.tokens, run.steps);
  if (run.large) c.scheme.mini.last_mlp = MiniSequence::LastMlp::pieces;
  return c;
}

double bytes(const Case& scheme, std::uint32_t tokens, std::uint32_t steps = benchmark_steps) {
  const Result<ClosedForm> form = peak(transformers(), config(llama3_8b, scheme, tokens, steps));
  return form ? static_cast<double>(form.value().bytes) : 0;
}

template <class F>
std::vector<Row> notebook(F modelled) {
  std::vector<Row> rows;
  for (const Run& run : runs)
    rows.push_back({std::string(run.large ? "Llama-3-8B " : "Llama-3.2-3B ") + run.scheme.name + ", " + std::to_string(run.tokens) + " tokens, " +
                        std::to_string(run.steps) + " steps",
                    "MiB", run.mib, modelled(config_of(run)) / MiB, run.large && run.scheme.scheme == std::string("mini-sequence")
                                                      ? "as the version of its code that cuts the last MLP like the others; inferred from these figures, the notebook does not say"
                                                      : ""});
  return rows;
}

}  // namespace
}  // namespace peaks

std::vector<Row> notebook_peaks_by_bytes() {
  return peaks::notebook([](const Config& c) {
    const Result<ClosedForm> form = peak(transformers(), c);
    return form ? static_cast<double>(form.value().bytes) : 0;
  });
}

std::vector<Row> notebook_peaks_by_blocks() {
  return peaks::notebook([](const Config& c) {
    CachingAllocator allocator({});
    return run_script(transformers(), c, allocator).ok() ? static_cast<double>(allocator.report().peak_allocated) : 0;
  });
}

std::vector<Row> ratio_rows() {
  using peaks::bytes;
  std::vector<Row> rows;
  constexpr std::uint32_t contexts[] = {48000, 80000, 112000, 144000};
  constexpr double mini_over_standard[] = {71.682, 65.333, 61.643, 59.235}, mom_over_offload[] = {64.834, 56.804, 52.146, 49.065};
  const auto table1 = [&](int i, const char* what, double published, const Case& one, const Case& other) {
    rows.push_back({"Table 1, " + std::to_string(contexts[i] / 1000) + "K: " + what, "%", published, 100 * bytes(one, contexts[i]) / bytes(other, contexts[i])});
  };
  for (int i = 0; i < 4; ++i) table1(i, "mini-sequence / standard", mini_over_standard[i], mini, standard);
  for (int i = 0; i < 4; ++i) table1(i, "MOM / offload", mom_over_offload[i], mom, offload);
  const std::pair<Case, double> plotted[] = {{mom, 55}, {mini, 64.5}, {chunk512, 55}, {chunk8192, 62}};
  for (const auto& [scheme, percent] : plotted) {
    double sum = 0;
    for (const std::uint32_t tokens : contexts) sum += 100 * bytes(scheme, tokens) / bytes(standard, tokens) / 4;
    rows.push_back({std::string("memory-speed plot, mean of four contexts: ") + scheme.name + " / standard", "%", percent, sum, "read off a plot, to about half a percent"});
  }
  rows.push_back({"peak at 155K, standard", "GB or GiB", 72, bytes(standard, 155000) / GiB, "quoted as 72 GB; ours in GiB, as torch's tools print it"});
  rows.push_back({"peak at 155K, MOM", "GB or GiB", 35, bytes(mom, 155000) / GiB, "quoted as 35 GB; ours in GiB"});
  return rows;
}

std::vector<PeakRow> peak_rows() {
  std::vector<PeakRow> rows;
  for (const Case& scheme : {standard, last_token, offload, mini, mom, chunk8192, chunk8192_last, chunk512}) {
    PeakRow row{scheme.name, {}};
    for (int i = 0; i < 6; ++i) row.gib[i] = peaks::bytes(scheme, peak_lengths[i]) / GiB;
    rows.push_back(row);
  }
  return rows;
}

}  // namespace attnscope::published_memory
