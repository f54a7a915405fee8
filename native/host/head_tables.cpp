#include "host/head_tables.h"

#include <algorithm>
#include <numeric>

namespace attnscope {

HeadTables::HeadTables(TableEmitter& emitter, TokenRange rows, const float* lse, std::size_t lse_stride)
    : emitter_(emitter), rows_(rows), lse_(lse), lse_stride_(lse_stride) {}

Status HeadTables::add(std::span<const ReducedHead> heads) {
  for (const ReducedHead& head : heads) {
    summaries_.push_back(head.figures.summary);
    thumb_cells_.push_back(head.figures.thumbnail.cell);
    thumb_mean_.insert(thumb_mean_.end(), head.figures.thumbnail.mean.begin(), head.figures.thumbnail.mean.end());
    thumb_max_.insert(thumb_max_.end(), head.figures.thumbnail.max.begin(), head.figures.thumbnail.max.end());
    ATTNSCOPE_TRY(emit_pyramid(head));
  }
  ATTNSCOPE_TRY(emit_rows(heads));
  return emit_marginals(heads);
}

Status HeadTables::emit_pyramid(const ReducedHead& head) {
  const std::uint32_t edge = emitter_.plan().reduce.tile_edge;
  for (const PyramidLevel& level : head.figures.pyramid) {
    const std::uint32_t tiles = (level.cells + edge - 1) / edge;
    // Prefill writes every tile of the lower triangle; decode the few tile rows that hold decoded rows.
    const std::uint32_t first = rows_.begin / level.cell / edge;
    const std::uint32_t last = rows_.begin == 0 ? tiles - 1 : (rows_.end - 1) / level.cell / edge;
    for (std::uint32_t row = first; row <= last; ++row)
      for (std::uint32_t col = 0; col <= row; ++col) {
        std::vector<float> mean(std::size_t(edge) * edge), max(mean.size());
        copy_tile(level, edge, row, col, mean, max);
        std::vector<Column> columns;
        columns.push_back(constant<std::uint16_t>("head", 1, head.head));
        columns.push_back(constant<std::uint32_t>("cell", 1, level.cell));
        columns.push_back(constant<std::uint32_t>("tile_row", 1, row));
        columns.push_back(constant<std::uint32_t>("tile_column", 1, col));
        columns.push_back(column("mean", std::move(mean), edge * edge));
        columns.push_back(column("max", std::move(max), edge * edge));
        ATTNSCOPE_TRY(emitter_.emit("pyramid", 1, std::move(columns)));
      }
  }
  return success();
}

Status HeadTables::emit_rows(std::span<const ReducedHead> heads) {
  const std::size_t batches = (rows_.size() + kScalarBatchRows - 1) / kScalarBatchRows;  // of a head
  return emitter_.emit_each("rows", heads.size() * batches, [&](std::size_t i) {
    const ReducedHead& head = heads[i / batches];
    const RowStats& stats = head.reduction.row_stats;
    const std::size_t begin = i % batches * kScalarBatchRows, n = std::min<std::size_t>(kScalarBatchRows, rows_.size() - begin);
    const float* lse = lse_ + head.head * lse_stride_ + begin;
    std::vector<Column> columns;
    columns.push_back(constant<std::uint16_t>("head", n, head.head));
    columns.push_back(counting("token", n, rows_.begin + static_cast<std::uint32_t>(begin)));
    columns.push_back(column("lse", std::vector<float>(lse, lse + n)));
    columns.push_back(slice<float>("entropy", stats.entropy, begin, n));
    columns.push_back(slice<float>("sink_mass", stats.sink_mass, begin, n));
    columns.push_back(slice<float>("local_mass", stats.local_mass, begin, n));
    columns.push_back(slice<float>("top1_mass", stats.top1_mass, begin, n));
    columns.push_back(slice<std::uint32_t>("top1_key", stats.top1_key, begin, n));
    columns.push_back(slice<std::uint32_t>("coverage_90", stats.coverage_90, begin, n));
    columns.push_back(slice<std::uint32_t>("coverage_95", stats.coverage_95, begin, n));
    columns.push_back(slice<std::uint32_t>("coverage_99", stats.coverage_99, begin, n));
    return TableEmitter::Rows{n, std::move(columns)};
  });
}

Status HeadTables::emit_marginals(std::span<const ReducedHead> heads) {
  const std::size_t batches = (rows_.end + std::size_t{kScalarBatchRows} - 1) / kScalarBatchRows;
  return emitter_.emit_each("marginals", heads.size() * batches, [&](std::size_t i) {
    const ReducedHead& head = heads[i / batches];
    const std::size_t begin = i % batches * kScalarBatchRows, n = std::min<std::size_t>(kScalarBatchRows, rows_.end - begin);
    std::vector<Column> columns;
    columns.push_back(constant<std::uint16_t>("head", n, head.head));
    columns.push_back(counting("index", n, static_cast<std::uint32_t>(begin)));
    columns.push_back(slice<float>("column_sum", head.reduction.column_sum, begin, n));
    columns.push_back(slice<float>("diagonal_sum", head.reduction.diagonal_sum, begin, n));
    return TableEmitter::Rows{n, std::move(columns)};
  });
}

Status HeadTables::finish() {
  const std::size_t heads = summaries_.size();
  std::vector<std::uint16_t> kv_heads(heads);
  for (std::size_t h = 0; h < heads; ++h) kv_heads[h] = static_cast<std::uint16_t>(h / emitter_.plan().group());
  auto head_column = [&] {
    std::vector<std::uint16_t> ids(heads);
    std::iota(ids.begin(), ids.end(), std::uint16_t{0});
    return column("head", std::move(ids));
  };
  auto mean = [&](const char* name, float HeadSummary::* field) {
    std::vector<float> values(heads);
    for (std::size_t h = 0; h < heads; ++h) values[h] = summaries_[h].*field;
    return column(name, std::move(values));
  };
  std::vector<Column> columns;
  columns.push_back(head_column());
  columns.push_back(column("kv_head", std::move(kv_heads)));
  columns.push_back(mean("entropy", &HeadSummary::entropy));
  columns.push_back(mean("sink_mass", &HeadSummary::sink_mass));
  columns.push_back(mean("local_mass", &HeadSummary::local_mass));
  columns.push_back(mean("top1_mass", &HeadSummary::top1_mass));
  columns.push_back(mean("previous_mass", &HeadSummary::previous_mass));
  columns.push_back(mean("coverage_90", &HeadSummary::coverage_90));
  columns.push_back(mean("coverage_95", &HeadSummary::coverage_95));
  columns.push_back(mean("coverage_99", &HeadSummary::coverage_99));
  ATTNSCOPE_TRY(emitter_.emit("heads", heads, std::move(columns)));

  const std::uint32_t edge = emitter_.plan().reduce.thumb_edge;
  std::vector<Column> thumbs;
  thumbs.push_back(head_column());
  thumbs.push_back(column("cell", std::move(thumb_cells_)));
  thumbs.push_back(column("mean", std::move(thumb_mean_), edge * edge));
  thumbs.push_back(column("max", std::move(thumb_max_), edge * edge));
  return emitter_.emit("thumbs", heads, std::move(thumbs));
}

}  // namespace attnscope
