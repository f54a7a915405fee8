#include "tools/published_memory/times.h"

#include <string>

#include "tools/published_memory/cases.h"

namespace attnscope::published_memory {
namespace times {
namespace {

constexpr const std::array<double, 4>& contexts = mom_standard.tokens;
struct Line {
  Case scheme;
  std::array<double, 4> first_token_s, tokens_per_second, total_s;
};
const Line lines[] = {
    {standard, mom_standard.first_token_s, mom_standard.tokens_per_second, {13.971, 23.837, 36.592, 52.274}},
    {offload, {6.869, 14.649, 24.458, 39.262}, {25.854, 18.369, 14.272, 11.588}, {14.693, 25.542, 38.538, 56.559}},
    {mini, {5.767, 12.668, 22.091, 33.989}, {25.806, 18.457, 14.279, 11.607}, {13.536, 23.556, 36.160, 51.249}},
    {mom, {6.756, 15.109, 24.037, 37.284}, {25.712, 18.455, 14.275, 11.600}, {14.520, 25.020, 38.180, 53.417}},
    {chunk8192, {6.286, 13.579, 23.530, 35.851}, {25.868, 18.379, 14.220, 11.555}, {14.057, 24.515, 37.666, 53.247}},
    {chunk512, {10.526, 24.318, 45.321, 72.706}, {25.837, 18.452, 14.276, 11.606}, {0, 0, 0, 0}},
};
constexpr const char* short_chunks = "kernels over 512 queries fill the device less; not modelled";

Config at(const Case& scheme, int i) { return config(llama3_8b, scheme, static_cast<std::uint32_t>(contexts[i]), benchmark_steps); }

RequestTime time_of(const Case& scheme, int i) {
  const Result<RequestTotals> totals = request_totals(transformers(), at(scheme, i), {}, a100, transformers_efficiency());
  return totals ? totals.value().time : RequestTime{};
}

template <class F>
std::vector<Row> table(const char* unit, std::array<double, 4> Line::*published, F ours) {
  std::vector<Row> rows;
  for (const Line& line : lines)
    for (int i = 0; i < 4; ++i)
      if ((line.*published)[i] > 0)
        rows.push_back({std::string(line.scheme.name) + ", " + std::to_string(static_cast<int>(contexts[i] / 1000)) + "K", unit, (line.*published)[i], ours(time_of(line.scheme, i)),
                        line.scheme.chunk_tokens == 512 && published == &Line::first_token_s ? short_chunks : ""});
  return rows;
}

}  // namespace
}  // namespace times

std::vector<Row> fit_rows() {
  const PrefillFit prefill = mom_prefill_fit();
  const DecodeFit decode = mom_decode_fit();
  const Efficiency reached = transformers_efficiency();
  return {{"prefill, linear", "us a token", 65.6, prefill.linear_s * 1e6},
          {"prefill, square", "ns a token^2", 1.223, prefill.square_s * 1e9},
          {"prefill, largest residual", "%", 3.7, 100 * prefill.worst},
          {"decode, constant", "ms a step", 15.1, decode.constant_s * 1e3},
          {"decode, slope", "us a step and token", 0.492, decode.slope_s * 1e6},
          {"decode, largest residual", "%", 0, 100 * decode.worst, "linear to 1 %"},
          {"products with weights", "TFLOP/s", 229, reached.products * a100.flops / 1e12},
          {"causal attention", "TFLOP/s", 214, reached.attention * a100.flops / 1e12},
          {"decode slope over reading every key and value once", "times", 7.7, reached.cache_factor}};
}

std::vector<Row> first_token_rows() {
  return times::table("s", &times::Line::first_token_s, [](const RequestTime& t) { return t.first_token_s; });
}
std::vector<Row> decode_rows() {
  return times::table("tokens/s", &times::Line::tokens_per_second, [](const RequestTime& t) { return benchmark_steps / t.decode_s; });
}
std::vector<Row> total_rows() {
  return times::table("s", &times::Line::total_s, [](const RequestTime& t) { return t.total_s(); });
}

std::vector<Row> offload_rows() {
  std::vector<Row> rows;
  const double published_gb[] = {6.3, 10.5, 14.7, 18.9}, published_rate[] = {12.7, 8.6, 15.1, 11.5};
  for (int i = 0; i < 4; ++i) {
    const Result<RequestTotals> totals = request_totals(transformers(), times::at(mom, i), {});
    if (!totals) return {};
    const Transfers& moved = totals.value().transfers;
    const double extra = times::lines[3].first_token_s[i] - times::lines[2].first_token_s[i], bytes = static_cast<double>(moved.bytes(Phase::prefill) + moved.bytes(Phase::reload));
    const std::string name = "MOM, " + std::to_string(static_cast<int>(times::contexts[i] / 1000)) + "K: ";
    rows.push_back({name + "moved to the host", "GB", published_gb[i], static_cast<double>(moved.bytes(Phase::prefill)) / 1e9,
                    "all 32 layers' keys and values; ours without the first and last, which never leave"});
    rows.push_back({name + "rate of both ways that the extra first-token time over mini-sequence means", "GB/s", published_rate[i], bytes / extra / 1e9, "the same two layers"});
    rows.push_back({name + "pinned on the host, in powers of two", "GB", 0, static_cast<double>(moved.host_bytes) / 1e9, "nothing published"});
  }
  return rows;
}

}  // namespace attnscope::published_memory
