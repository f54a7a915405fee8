#include "host/kv_tables.h"

#include <algorithm>

#include "core/kv_stats.h"

namespace attnscope {
namespace {

/// Of one side, keys or values, of a kv head.
struct TokenStats {
  std::vector<float> norm, lag_std;  // [rows.size()]
};

TokenStats token_stats(const ReducePlan& reduce, Rows side, TokenRange rows) {
  TokenStats stats;
  stats.norm.resize(rows.size());
  row_norms(side.slice(rows.begin, rows.size()), stats.norm);
  std::vector<float> all(rows.end);
  lag_channel_std(side.slice(0, rows.end), reduce.lag_sink, reduce.lag_size, all);
  stats.lag_std.assign(all.begin() + rows.begin, all.begin() + rows.end);
  return stats;
}

/// work(i) for i below `count` on all threads, counted as reduction.
Status over_all(TableEmitter& emitter, std::size_t count, const std::function<void(std::size_t)>& work) {
  PhaseClock::Section section(emitter.context().clock, Work::reduce);
  const bool complete = emitter.context().pool.parallel_for(count, [&](std::size_t i, unsigned) { work(i); });
  return complete ? success() : Status(cancelled());
}

/// The keys of kv head i / 2, or its values.
Rows side_of(std::span<const KvView> heads, std::size_t i) { return i % 2 == 0 ? heads[i / 2].keys : heads[i / 2].values; }

void append(std::vector<float>& to, const std::vector<float>& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

Status emit_kv(TableEmitter& emitter, std::span<const KvView> heads, TokenRange rows) {
  std::vector<TokenStats> stats(2 * std::size_t{emitter.plan().model.kv_heads});
  ATTNSCOPE_TRY(over_all(emitter, stats.size(), [&](std::size_t i) { stats[i] = token_stats(emitter.plan().reduce, side_of(heads, i), rows); }));
  for (std::uint32_t h = 0; h < emitter.plan().model.kv_heads; ++h)
    for (std::size_t begin = 0; begin < rows.size(); begin += kScalarBatchRows) {
      const std::size_t n = std::min<std::size_t>(kScalarBatchRows, rows.size() - begin);
      const TokenStats &k = stats[2 * h], &v = stats[2 * h + 1];
      std::vector<Column> columns;
      columns.push_back(constant<std::uint16_t>("kv_head", n, h));
      columns.push_back(counting("token", n, rows.begin + static_cast<std::uint32_t>(begin)));
      columns.push_back(slice<float>("k_norm", k.norm, begin, n));
      columns.push_back(slice<float>("v_norm", v.norm, begin, n));
      columns.push_back(slice<float>("lag_k_std", k.lag_std, begin, n));
      columns.push_back(slice<float>("lag_v_std", v.lag_std, begin, n));
      ATTNSCOPE_TRY(emitter.emit("kv", n, std::move(columns)));
    }
  return success();
}

Status emit_pages(TableEmitter& emitter, std::span<const KvView> heads) {
  const std::uint32_t dim = emitter.plan().model.head_dim, page_tokens = emitter.plan().reduce.page_tokens;
  const std::size_t pages = (emitter.plan().prompt_tokens() + std::size_t(page_tokens) - 1) / page_tokens;
  std::vector<std::vector<float>> low(emitter.plan().model.kv_heads), high(low.size());
  ATTNSCOPE_TRY(over_all(emitter, low.size(), [&](std::size_t h) {
    low[h].resize(pages * dim);
    high[h].resize(pages * dim);
    page_bounds(heads[h].keys, page_tokens, low[h], high[h]);
  }));
  for (std::uint32_t h = 0; h < low.size(); ++h)
    for (std::size_t begin = 0; begin < pages; begin += kVectorBatchRows) {
      const std::size_t n = std::min<std::size_t>(kVectorBatchRows, pages - begin);
      auto bounds = [&](const char* name, const std::vector<float>& from) {
        return column(name, std::vector<float>(from.begin() + begin * dim, from.begin() + (begin + n) * dim), dim);
      };
      std::vector<Column> columns;
      columns.push_back(constant<std::uint16_t>("kv_head", n, h));
      columns.push_back(counting("page", n, static_cast<std::uint32_t>(begin)));
      columns.push_back(bounds("k_min", low[h]));
      columns.push_back(bounds("k_max", high[h]));
      ATTNSCOPE_TRY(emitter.emit("pages", n, std::move(columns)));
    }
  return success();
}

Status emit_channels(TableEmitter& emitter, std::span<const KvView> heads) {
  const std::uint32_t kv_heads = emitter.plan().model.kv_heads, dim = emitter.plan().model.head_dim;
  std::vector<ChannelStats> k(kv_heads), v(kv_heads);
  ATTNSCOPE_TRY(over_all(emitter, 2 * std::size_t{kv_heads}, [&](std::size_t i) { (i % 2 == 0 ? k : v)[i / 2] = channel_stats(side_of(heads, i)); }));
  std::vector<std::uint16_t> ids;
  for (std::uint32_t h = 0; h < kv_heads; ++h) ids.push_back(static_cast<std::uint16_t>(h));
  std::vector<Column> columns;
  columns.push_back(column("kv_head", std::move(ids)));
  auto add = [&](const std::vector<ChannelStats>& stats, const char* mean_name, const char* variance_name,
                 const char* absmax_name, const char* share_name) {
    std::vector<float> mean, variance, absmax, share;
    for (const ChannelStats& s : stats) {
      append(mean, s.mean);
      append(variance, s.variance);
      append(absmax, s.absmax);
      share.push_back(s.outlier_share);
    }
    columns.push_back(column(mean_name, std::move(mean), dim));
    columns.push_back(column(variance_name, std::move(variance), dim));
    columns.push_back(column(absmax_name, std::move(absmax), dim));
    columns.push_back(column(share_name, std::move(share)));
  };
  add(k, "k_mean", "k_variance", "k_absmax", "k_outlier_share");
  add(v, "v_mean", "v_variance", "v_absmax", "v_outlier_share");
  return emitter.emit("channels", kv_heads, std::move(columns));
}

}  // namespace attnscope
