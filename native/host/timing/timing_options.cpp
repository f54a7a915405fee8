#include "host/timing/timing_options.h"

#include <charconv>
#include <cmath>
#include <iterator>

#include "host/failure.h"

namespace attnscope {
namespace timing {

bool parse_number(std::string_view text, double& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(out);
}

/// A whole number, perhaps followed by K, M or G: times 1024, 1024^2, 1024^3.
bool parse_size(std::string_view text, std::uint64_t& out) {
  const std::size_t suffix = text.empty() ? std::string_view::npos : std::string_view("KMG").find(text.back());
  if (suffix != std::string_view::npos) text.remove_suffix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  const unsigned shift = suffix == std::string_view::npos ? 0 : 10 * (static_cast<unsigned>(suffix) + 1);
  if (out > (std::uint64_t{1} << 53) >> shift) return false;
  out <<= shift;
  return true;
}

bool parse_u32(std::string_view text, std::uint32_t& out) {
  std::uint64_t wide = 0;
  if (!parse_size(text, wide) || wide > 0xffffffffu) return false;
  out = static_cast<std::uint32_t>(wide);
  return true;
}

/// 32/8x128: query heads, kv heads, head_dim.
bool parse_shape(std::string_view text, TimingShape& out) {
  const std::size_t slash = text.find('/'), x = text.find('x');
  if (slash == std::string_view::npos || x == std::string_view::npos || x < slash) return false;
  return parse_u32(text.substr(0, slash), out.heads) && parse_u32(text.substr(slash + 1, x - slash - 1), out.kv_heads) && parse_u32(text.substr(x + 1), out.head_dim);
}

bool parse_run(std::string_view text, std::uint32_t& out) {
  if (text != "one") return parse_u32(text, out) && out > 0;
  out = 0;
  return true;
}

bool parse_percent(std::string_view text, double& out) {
  if (!parse_number(text, out)) return false;
  out /= 100;
  return true;
}

bool parse_text(std::string_view text, std::string& out) {
  out = text;
  return !text.empty();
}

/// Items between separators; an empty text is an empty list.
template <class T>
bool parse_list(std::string_view text, char separator, bool (*parse)(std::string_view, T&), std::vector<T>& out) {
  out.clear();
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    T item{};
    if (!parse(text.substr(0, end), item)) return false;
    out.push_back(std::move(item));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return true;
}

bool parse_device(std::string_view text) {
  std::uint32_t index = 0;
  return text == "cpu" || text == "cuda" || (text.starts_with("cuda:") && parse_u32(text.substr(5), index) && index < 64);
}

using Plan = TimingPlan;
using Text = std::string_view;

constexpr TimingOption options[] = {
    {"preset", "cpu|gpu|quick", "what to begin with; other options change it (default: as the device)", [](Plan&, Text) { return true; }},
    {"device", "cpu|cuda[:i]", "where to measure", [](Plan& p, Text t) { return parse_device(t) && parse_text(t, p.device); }},
    {"threads", "N", "threads of the CPU; 0: all", [](Plan& p, Text t) { return parse_u32(t, p.threads) && p.threads <= 1024; }},
    {"dtype", "f32|f16|bf16", "of queries, keys and values", [](Plan& p, Text t) {
       p.dtype = t == "f16" ? DType::f16 : t == "bf16" ? DType::bf16 : DType::f32;
       return t == "f32" || p.dtype != DType::f32;
     }},
    {"heads", "LIST", "shapes as query heads / kv heads x head_dim: 32/8x128,4/2x32", [](Plan& p, Text t) { return parse_list(t, ',', parse_shape, p.shapes); }},
    {"lengths", "LIST", "tokens: 1K,2K,4K; K and M are 1024 and 1024^2", [](Plan& p, Text t) { return parse_list(t, ',', parse_u32, p.lengths); }},
    {"edges", "LIST", "lengths measured also one token shorter and longer: both sides of a tile's edge", [](Plan& p, Text t) { return parse_list(t, ',', parse_u32, p.edges); }},
    {"ops", "LIST", "operations, as in column op", [](Plan& p, Text t) { return parse_list(t, ',', parse_text, p.ops); }},
    {"policy", "LIST", "policies with their budgets, separated by ;, as id:name=value or id:preset=NAME; NAME@N scales the preset to each length",
     [](Plan& p, Text t) { return parse_list(t, ';', parse_text, p.policies); }},
    {"runs", "LIST", "lengths of the runs that synthetic distances come in; one: all in one run", [](Plan& p, Text t) { return parse_list(t, ',', parse_run, p.runs); }},
    {"batching", "batched|per-head|both", "all heads in one launch, one launch a head, or both", [](Plan& p, Text t) {
       p.batched = t == "batched" || t == "both";
       p.per_head = t == "per-head" || t == "both";
       return p.batched || p.per_head;
     }},
    {"shares", "LIST", "per cent of the keys that a decode step over a list reads", [](Plan& p, Text t) { return parse_list(t, ',', parse_percent, p.shares); }},
    {"copies", "LIST", "bytes of the copies: 4K,1M,1G", [](Plan& p, Text t) { return parse_list(t, ',', parse_size, p.copies); }},
    {"repeats", "N", "repetitions of every measurement", [](Plan& p, Text t) { return parse_u32(t, p.repeats); }},
    {"warmups", "N", "repetitions before them that are not counted", [](Plan& p, Text t) { return parse_u32(t, p.warmups) && p.warmups <= 1000; }},
    {"cell-seconds", "S", "a measurement ends after S seconds, though not before 5 repetitions", [](Plan& p, Text t) { return parse_number(t, p.cell_seconds); }},
    {"patience", "X", "a measurement whose 5 repetitions would take more than X times its seconds is left out", [](Plan& p, Text t) { return parse_number(t, p.patience); }},
    {"budget-seconds", "S", "no measurement begins after S seconds; 0: no limit", [](Plan& p, Text t) { return parse_number(t, p.budget_seconds); }},
    {"memory", "BYTES", "most memory of the device that is used (default: 80 % of it)", [](Plan& p, Text t) { return parse_size(t, p.memory_bytes); }},
    {"flush", "on|off", "overwrite the last-level cache before every repetition", [](Plan& p, Text t) { return (p.flush = t == "on") || t == "off"; }},
    {"seed", "N", "of vectors and synthetic indices", [](Plan& p, Text t) { return parse_size(t, p.seed); }},
};

Error refused(const TimingOption& option, std::string_view value) {
  return failure("E_TIMING_OPTION", "--", option.name, " ", option.argument, " does not take \"", value, "\": ", option.doc, ".");
}

}  // namespace timing

std::span<const TimingOption> timing_options() { return timing::options; }

Status set_timing_option(TimingPlan& plan, std::string_view name, std::string_view value) {
  for (const TimingOption& option : timing::options)
    if (name == option.name) return option.set(plan, value) ? success() : Status(timing::refused(option, value));
  return failure("E_TIMING_OPTION", "--", name, " is no option of timings; --help lists them.");
}

Result<TimingPlan> read_timing_plan(std::span<const std::pair<std::string, std::string>> options) {
  std::string preset = "cpu";
  for (const auto& [name, value] : options)
    if (name == "device" && value.starts_with("cuda")) preset = "gpu";
  for (const auto& [name, value] : options)
    if (name == "preset") preset = value;
  auto plan = preset_timing_plan(preset);
  if (!plan) return plan.error();
  // Lengths of one's own are not joined by the preset's edges.
  for (const auto& [name, value] : options)
    if (name == "lengths") plan.value().edges.clear();
  for (const auto& [name, value] : options) ATTNSCOPE_TRY(set_timing_option(plan.value(), name, value));
  ATTNSCOPE_TRY(validate(plan.value()));
  return plan;
}

}  // namespace attnscope
