// The published numbers that the memory model reproduces, and how closely: what docs/results/memory.md shows.
#include <cmath>
#include <string>

#include "check.h"
#include "tools/published_memory/cases.h"
#include "tools/published_memory/contexts.h"
#include "tools/published_memory/peaks.h"
#include "tools/published_memory/times.h"

using namespace attnscope::published_memory;

namespace {

double worst(const std::vector<Row>& rows) {
  double most = 0;
  for (const Row& row : rows)
    if (row.published != 0) most = std::fmax(most, std::fabs(row.ours / row.published - 1));
  return most;
}

const ContextRow* find(const std::vector<ContextRow>& rows, const Case& scheme) {
  for (const ContextRow& row : rows)
    if (row.scheme == scheme.name) return &row;
  return nullptr;
}

}  // namespace

TEST("26 measured peaks within 0.07 % by closed form and 0.012 % in whole blocks") {
  const std::vector<Row> bytes = notebook_peaks_by_bytes(), blocks = notebook_peaks_by_blocks();
  CHECK_EQUAL(bytes.size(), 26);
  CHECK_EQUAL(blocks.size(), 26);
  CHECK(worst(bytes) < 7e-4);
  CHECK(worst(blocks) < 1.2e-4);
}

TEST("either version of MOM's last MLP stays within 0.2 % of the 8B runs, the one they ran within 0.02 %") {
  Config c = config(llama3_8b, mini, 16028, 61);
  CHECK_NEAR(static_cast<double>(peak(transformers(), c).value().bytes) / MiB, 18242.39, 2e-3, 0);
  c.scheme.mini.last_mlp = MiniSequence::LastMlp::pieces;
  CHECK_NEAR(static_cast<double>(peak(transformers(), c).value().bytes) / MiB, 18242.39, 2e-4, 0);
  c.model.family = ModelShape::Family::qwen2;
  c.scheme.mini.last_mlp = MiniSequence::LastMlp::by_family;
  CHECK_NEAR(static_cast<double>(peak(transformers(), c).value().bytes) / MiB, 18242.39, 2e-4, 0);
}

TEST("Table 1 within 0.05 points, the plot's means within what can be read off it") {
  for (const Row& row : ratio_rows()) {
    if (row.name.find("Table 1") == 0) CHECK_NEAR(row.ours, row.published, 0, 0.05);
    else if (row.unit == "%") CHECK_NEAR(row.ours, row.published, 0, 0.3);
    else CHECK_NEAR(row.ours, row.published, 0, 0.85);  // quoted in whole GB
  }
}

TEST("peaks of eight schemes from 8K to 512K") {
  const double expected[8][6] = {{17.99, 27.06, 39.15, 63.34, 111.7, 208.5}, {16.88, 22.61, 30.25, 45.53, 76.1, 137.2},
                                 {17.92, 26.79, 38.62, 62.28, 109.6, 204.2}, {16.55, 20.73, 26.50, 38.03, 61.1, 107.2},
                                 {16.01, 19.05, 23.12, 31.24, 47.5, 80.0},   {17.98, 22.94, 26.94, 34.94, 50.9, 82.9},
                                 {16.88, 19.88, 23.88, 31.88, 47.9, 80.3},   {16.21, 19.21, 23.23, 31.36, 47.6, 80.1}};
  const std::vector<PeakRow> rows = peak_rows();
  CHECK_EQUAL(rows.size(), 8);
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (int k = 0; k < 6; ++k) CHECK_NEAR(rows[i].gib[k], expected[i][k], 2e-3, 0);
}

TEST("what holds the standard peak at 155K") {
  const ClosedForm form = peak(transformers(), config(llama3_8b, standard, 155000, benchmark_steps)).value();
  const auto gib = [&](Category category) { return static_cast<double>(form.by_category[std::size_t(category)]) / GiB; };
  CHECK(form.stage == Stage::lm_head && form.phase == Phase::prefill);
  CHECK_NEAR(gib(Category::weights) + gib(Category::workspace), 14.97, 0, 0.005);
  CHECK_NEAR(gib(Category::kv), 18.92, 0, 0.005);
  CHECK_NEAR(gib(Category::logits), 37.03, 0, 0.005);
  CHECK_NEAR(gib(Category::norm), 1.18, 0, 0.005);
  const auto found = remedies(transformers(), config(llama3_8b, standard, 155000, benchmark_steps)).value();
  CHECK(!found.empty() && std::string(found.front().what).find("chunks") != std::string::npos);
  bool last = false;
  for (const Remedy& remedy : found) last = last || (std::string(remedy.what).find("last token") != std::string::npos && remedy.peak.bytes < 52 * GiB);
  CHECK(last);
}

TEST("longest contexts: 155K, 305K and what the rest of the replay gives") {
  const std::vector<ContextRow> rows = context_rows(false);
  const auto check = [&](const Case& scheme, std::uint32_t by_bytes, std::uint32_t all_below, std::uint32_t longest) {
    const ContextRow* row = find(rows, scheme);
    CHECK(row != nullptr);
    if (row == nullptr) return;
    CHECK_EQUAL(row->band.by_bytes, by_bytes);
    CHECK_EQUAL(row->band.all_below, all_below);
    CHECK_EQUAL(row->band.longest, longest);
  };
  check(standard, 170000, 155000, 155000);       // published 155K
  check(offload, 175000, 175000, 175000);        // published 165K: not reproduced
  check(mini, 360000, 305000, 305000);           // published 305K
  check(chunk8192, 490000, 365000, 365000);      // published 350K, steps between tried lengths unknown
  check(mom, 510000, 435000, 435000);            // published 455K, decode steps unknown
  check(last_token, 270000, 220000, 220000);
  check(offload_last, 510000, 355000, 410000);   // gaps: a band
  check(chunk8192_last, 510000, 500000, 500000); // passes MOM without offloading
  check(chunk512, 510000, 505000, 505000);
  CHECK(find(rows, standard)->fails.find("160K: lm_head of prefill wants 38.2") == 0);
  CHECK(find(rows, mini)->fails.find("310K: norm of prefill") == 0);
  CHECK(find(rows, mom)->fails.find("append of decode") != std::string::npos);
}

TEST("MOM reaches 445 to 475K by the number of decode steps, with gaps and lengths beyond them") {
  for (const auto& [steps, all_below] : {std::pair{60u, 445000u}, {20u, 465000u}, {1u, 475000u}}) {
    const ConfigAt at = [s = steps](std::uint32_t tokens) { return config(llama3_8b, mom, tokens, s); };
    const ContextBand band = max_context(transformers(), at, {.budget = usable_80gb}).value();
    CHECK_EQUAL(band.all_below, all_below);
    bool published = false;
    for (const ContextPoint& point : band.tried) published = published || (point.tokens == 455000 && point.feasible);
    CHECK(published || steps == 1);  // below the eight in a row that end the search
    CHECK_EQUAL(band.longest, 490000);
  }
}

TEST("155K and 305K hold for any budget from 78.4 to 79 GiB, and expandable segments lift both to what bytes allow") {
  for (const auto& [scheme, longest] : {std::pair{standard, 155000u}, {mini, 305000u}}) {
    const Case& one = scheme;
    const ConfigAt at = [&](std::uint32_t tokens) { return config(llama3_8b, one, tokens, benchmark_steps); };
    for (const double gib : {78.4, 79.0}) CHECK_EQUAL(max_context(transformers(), at, {.budget = static_cast<std::uint64_t>(gib * GiB)}).value().longest, longest);
    const ContextBand band = max_context(transformers(), at, {.budget = usable_80gb, .confirm = 1, .expandable_segments = true}).value();
    CHECK_EQUAL(band.longest, band.by_bytes);
  }
}

TEST("last-token logits and chunks of 8192 take 5, 2 and 1 % more than MOM at 8K, 128K and 256K") {
  for (const auto& [tokens, percent] : {std::pair{8192u, 5.4}, {131072u, 2.0}, {262144u, 0.8}}) {
    const auto bytes = [t = tokens](const Case& scheme) { return static_cast<double>(peak(transformers(), config(llama3_8b, scheme, t, benchmark_steps)).value().bytes); };
    CHECK_NEAR(100 * (bytes(chunk8192_last) / bytes(mom) - 1), percent, 0, 0.1);
  }
}

TEST("fits of prefill and decode, and the rates in them") {
  for (const Row& row : fit_rows())
    if (row.published != 0) CHECK_NEAR(row.ours, row.published, 0.01, 0);
  CHECK(mom_decode_fit().worst < 0.01);
}

TEST("modelled times: first tokens within 6 %, steps within 1 %, requests within 3 %; chunks of 512 are not reproduced") {
  for (const Row& row : first_token_rows()) {
    if (row.note.empty()) CHECK_NEAR(row.ours, row.published, 0.06, 0);
    else CHECK(row.ours < 0.6 * row.published);
  }
  CHECK(worst(decode_rows()) < 0.01);
  CHECK(worst(total_rows()) < 0.03);
}

TEST("MOM moves all but two layers out and back, into pinned buffers of twice the size or less") {
  const Config c = config(llama3_8b, mom, 48000, 10);
  const RequestTotals totals = request_totals(transformers(), c, {}).value();
  const std::uint64_t layer = cache_bytes(c, 48000) / 32;
  CHECK_EQUAL(totals.transfers.bytes(Phase::prefill), 30 * layer);
  CHECK_EQUAL(totals.transfers.bytes(Phase::reload), 30 * layer);
  CHECK_EQUAL(totals.transfers.host_bytes, 60ull << 27);  // 2 x 30 buffers of 98.3 MB
  CHECK_EQUAL(totals.transfers.host_used, 30 * layer);
  CHECK_EQUAL(totals.cache_after_prefill, cache_bytes(c, 48000));
  CHECK_EQUAL(totals.cache_at_end, cache_bytes(c, 48010));
  CHECK_EQUAL(totals.peak.bytes, std::max({totals.prefill_peak, totals.reload_peak, totals.decode_peak}));
  for (const Row& row : offload_rows())
    if (row.published != 0) CHECK_NEAR(row.ours, row.published, 0.07, 0);
}

TEST("HeadInfer's row is not reproduced, and by how much") {
  for (const Row& row : headinfer_rows()) CHECK_NEAR(row.ours, row.published, 0.5, 0);
}
