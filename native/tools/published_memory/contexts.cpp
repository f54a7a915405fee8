#include "tools/published_memory/contexts.h"

#include <cstdio>

#include "tools/published_memory/cases.h"

namespace attnscope::published_memory {
namespace contexts {
namespace {

std::string why(const ContextBand& band) {
  for (const ContextPoint& point : band.tried) {
    if (point.feasible) continue;
    const OutOfMemory& f = point.failure;
    const bool decode = f.event.phase == Phase::decode;
    const std::string step = decode || f.event.step > 0 ? (decode ? " step " : " call ") + std::to_string(f.event.step) : "";
    const auto gib = [](std::uint64_t bytes) { return static_cast<double>(bytes) / GiB; };
    char text[200];
    std::snprintf(text, sizeof text, "%uK: %s of %s%s wants %.2f GiB, %.1f of %.1f GiB reserved in use, largest free block %.2f", point.tokens / 1000,
                  name_of(f.event.op), name_of(f.event.phase), step.c_str(), gib(f.wanted), gib(f.allocated), gib(f.reserved), gib(f.largest_free));
    return text;
  }
  return band.longest == band.by_bytes ? "bytes alone" : "";
}

ContextRow row(const Case& scheme, std::uint32_t steps, std::uint32_t published, bool expandable) {
  const ConfigAt at = [&](std::uint32_t tokens) { return config(llama3_8b, scheme, tokens, steps); };
  ContextSearch search{.budget = usable_80gb};
  ContextRow out{scheme.name, steps, published, {}, 0, {}};
  if (const Result<ContextBand> band = max_context(transformers(), at, search)) out.band = band.value();
  out.fails = why(out.band);
  if (!expandable) return out;
  search.expandable_segments = true;
  search.confirm = 1;
  if (const Result<ContextBand> band = max_context(transformers(), at, search)) out.expandable = band.value().longest;
  return out;
}

}  // namespace
}  // namespace contexts

std::vector<ContextRow> context_rows(bool every) {
  std::vector<ContextRow> rows;
  const std::pair<Case, std::uint32_t> published[] = {{standard, 155000}, {offload, 165000}, {mini, 305000}, {chunk8192, 350000}, {mom, 455000}};
  for (const auto& [scheme, tokens] : published) rows.push_back(contexts::row(scheme, benchmark_steps, tokens, every));
  if (every)
    for (const std::uint32_t steps : {100u, 60u, 20u, 1u}) rows.push_back(contexts::row(mom, steps, 455000, true));
  for (const Case& scheme : {last_token, offload_last, chunk8192_last, chunk512}) rows.push_back(contexts::row(scheme, benchmark_steps, 0, every));
  if (every) rows.push_back(contexts::row(upcast, benchmark_steps, 0, true));
  return rows;
}

std::vector<published_tables::Row> headinfer_rows() {
  const Case chunks{"chunks of 10K", "last-token", 10000};
  constexpr const char* unknown = "logits mode, chunk and usable memory are not stated; here last-token logits, 23.1 GiB, lengths of 1K apart, all below";
  std::vector<published_tables::Row> rows;
  const std::pair<Case, double> longest[] = {{last_token, 25}, {chunks, 30}, {offload_last, 45}};
  for (const auto& [scheme, published] : longest) {
    const Case& one = scheme;
    const ConfigAt at = [&](std::uint32_t tokens) { return config(llama3_8b, one, tokens, 20); };
    const Result<ContextBand> band = max_context(transformers(), at, {.budget = static_cast<std::uint64_t>(23.1 * GiB), .grid = 1000});
    rows.push_back({std::string("RTX 4090, longest context: ") + scheme.name, "K tokens", published, band ? band.value().all_below / 1000.0 : 0, unknown});
  }
  const Case heads{"HeadInfer", "headinfer", 10000, true};
  const Result<ClosedForm> form = peak(transformers(), config(llama3_8b, heads, 1000000, 20));
  rows.push_back({"RTX 4090, peak at 1M tokens: HeadInfer", "GB", 17.0, form ? static_cast<double>(form.value().bytes) / 1e9 : 0,
                  "its own model of it says 16.7; what it leaves out of ours is not known"});
  return rows;
}

}  // namespace attnscope::published_memory
