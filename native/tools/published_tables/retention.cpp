#include "tools/published_tables/retention.h"

#include <algorithm>

#include "core/policy/lagkv_size.h"
#include "core/policy/policy.h"
#include "core/policy/seeded.h"

namespace attnscope::published_tables {

namespace lagkv_table {

constexpr std::uint32_t sink = 16, dim = 4;
constexpr double ratios[] = {1.0 / 2, 1.0 / 4, 1.0 / 6, 1.0 / 8};
constexpr const char* names[] = {"1/2", "1/4", "1/6", "1/8"};

/// The paper names the nominal ratios only.
constexpr const char* derived = "worked out from the published algorithm to two decimals, not printed in the paper";

struct Line {
  std::uint32_t lag, tokens;
  double published[4];
};
constexpr Line lines[] = {
    {128, 4096, {1.88, 3.37, 4.62, 5.57}},  {128, 8192, {1.94, 3.66, 5.26, 6.56}},    {128, 131072, {2.00, 3.98, 6.04, 7.89}},
    {1024, 8192, {1.60, 2.29, 2.67, 2.91}}, {1024, 131072, {1.97, 3.82, 5.59, 7.21}},
};

std::vector<float> normals(std::uint64_t what, std::size_t n) {
  const seeded::Stream stream("published-tables/lagkv", {what});
  std::vector<float> out(n);
  for (std::size_t i = 0; i + 1 < n; i += 2) stream.normal_pair(i / 2, out[i], out[i + 1]);
  return out;
}

/// Tokens kept after `tokens` came.
Result<std::size_t> run(std::uint32_t tokens, std::uint32_t lag, double ratio) {
  const Result<const PolicyEntry*> entry = find_policy("lagkv-official");
  if (!entry) return entry.error();
  PolicyConfig config = default_config(entry.value()->descriptor);
  config.values[0] = sink;
  config.values[1] = lag;
  config.values[2] = ratio;
  Result<std::unique_ptr<RetentionPolicy>> policy = entry.value()->retention(config);
  if (!policy) return policy.error();

  const std::vector<float> key_data = normals(0, std::size_t{tokens} * dim), value_data = normals(1, std::size_t{tokens} * dim);
  const Rows keys{key_data.data(), tokens, dim, dim}, values{value_data.data(), tokens, dim, dim};
  Memo memo;
  LayerInput input;
  input.head_dim = dim;
  input.tokens = input.prompt_tokens = tokens;
  input.keys = std::span(&keys, 1);
  input.values = std::span(&values, 1);
  input.memo = &memo;

  std::vector<std::uint32_t> resident;
  std::vector<std::uint32_t> evict;
  for (std::uint32_t fed = 0; fed < tokens;) {
    AppendEvent event;
    event.added = std::min(tokens - fed, fed == 0 ? sink + 2 * lag : lag);
    event.first_chunk = fed == 0;
    event.prefill_ends = fed + event.added == tokens;
    for (std::uint32_t i = 0; i < event.added; ++i) resident.push_back(fed++);
    const ResidentTokens held{keys, values, resident, true};
    if (Status status = policy.value()->append(input, std::span(&held, 1), event, std::span(&evict, 1)); !status) return status.error();
    std::size_t to = 0, next = 0;
    for (std::size_t slot = 0; slot < resident.size(); ++slot) {
      if (next < evict.size() && evict[next] == slot) ++next;
      else resident[to++] = resident[slot];
    }
    resident.resize(to);
  }
  return resident.size();
}

}  // namespace lagkv_table

std::vector<Row> retention_rows() {
  std::vector<Row> rows;
  for (const auto& line : lagkv_table::lines)
    for (std::size_t i = 0; i < 4; ++i) {
      const double ratio = lagkv_table::ratios[i], tokens = line.tokens;
      const std::string name = "lagkv-official L=" + std::to_string(line.lag) + " N=" + std::to_string(line.tokens) + " r=" + lagkv_table::names[i];
      rows.push_back({name + ", formula", "N / kept", line.published[i], tokens / lagkv_kept(line.tokens, lagkv_table::sink, line.lag, ratio), lagkv_table::derived});
      const auto kept = lagkv_table::run(line.tokens, line.lag, ratio);
      if (!kept) return {};
      rows.push_back({name + ", machine", "N / kept", line.published[i], tokens / static_cast<double>(kept.value()), lagkv_table::derived});
    }
  return rows;
}

}  // namespace attnscope::published_tables
