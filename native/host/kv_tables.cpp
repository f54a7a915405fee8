#include "host/kv_tables.h"

#include <algorithm>

#include "core/kv_stats.h"

namespace attnscope {
namespace {

struct TokenStats {
  std::vector<float> k_norm, v_norm, lag_k_std, lag_v_std;  // [rows.size()]
};

TokenStats token_stats(const ReducePlan& reduce, const KvView& view, TokenRange rows) {
  TokenStats stats;
  auto norms = [&](Rows of, std::vector<float>& into) {
    into.resize(rows.size());
    row_norms(of.slice(rows.begin, rows.size()), into);
  };
  auto deviations = [&](Rows of, std::vector<float>& into) {
    std::vector<float> all(rows.end);
    lag_channel_std(of.slice(0, rows.end), reduce.lag_sink, reduce.lag_size, all);
    into.assign(all.begin() + rows.begin, all.begin() + rows.end);
  };
  norms(view.keys, stats.k_norm);
  norms(view.values, stats.v_norm);
  deviations(view.keys, stats.lag_k_std);
  deviations(view.values, stats.lag_v_std);
  return stats;
}

/// work(kv head) for every kv head on all threads, counted as reduction.
Status over_kv_heads(TableEmitter& emitter, const std::function<void(std::size_t)>& work) {
  PhaseClock::Section section(emitter.context().clock, Work::reduce);
  const bool complete = emitter.context().pool.parallel_for(emitter.plan().model.kv_heads, [&](std::size_t h, unsigned) { work(h); });
  return complete ? success() : Status(cancelled());
}

void append(std::vector<float>& to, const std::vector<float>& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

Status emit_kv(TableEmitter& emitter, std::span<const KvView> heads, TokenRange rows) {
  std::vector<TokenStats> stats(emitter.plan().model.kv_heads);
  ATTNSCOPE_TRY(over_kv_heads(emitter, [&](std::size_t h) { stats[h] = token_stats(emitter.plan().reduce, heads[h], rows); }));
  for (std::uint32_t h = 0; h < stats.size(); ++h)
    for (std::size_t begin = 0; begin < rows.size(); begin += kScalarBatchRows) {
      const std::size_t n = std::min<std::size_t>(kScalarBatchRows, rows.size() - begin);
      std::vector<Column> columns;
      columns.push_back(constant<std::uint16_t>("kv_head", n, h));
      columns.push_back(counting("token", n, rows.begin + static_cast<std::uint32_t>(begin)));
      columns.push_back(slice<float>("k_norm", stats[h].k_norm, begin, n));
      columns.push_back(slice<float>("v_norm", stats[h].v_norm, begin, n));
      columns.push_back(slice<float>("lag_k_std", stats[h].lag_k_std, begin, n));
      columns.push_back(slice<float>("lag_v_std", stats[h].lag_v_std, begin, n));
      ATTNSCOPE_TRY(emitter.emit("kv", n, std::move(columns)));
    }
  return success();
}

Status emit_pages(TableEmitter& emitter, std::span<const KvView> heads) {
  const std::uint32_t dim = emitter.plan().model.head_dim, page_tokens = emitter.plan().reduce.page_tokens;
  const std::size_t pages = (emitter.plan().prompt_tokens() + std::size_t(page_tokens) - 1) / page_tokens;
  std::vector<std::vector<float>> low(emitter.plan().model.kv_heads), high(low.size());
  ATTNSCOPE_TRY(over_kv_heads(emitter, [&](std::size_t h) {
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
  ATTNSCOPE_TRY(over_kv_heads(emitter, [&](std::size_t h) {
    k[h] = channel_stats(heads[h].keys);
    v[h] = channel_stats(heads[h].values);
  }));
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
