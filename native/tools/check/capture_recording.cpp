#include "tools/check/capture_recording.h"

namespace attnscope::check_captures {

Status Recording::batch(Batch&& batch) {
  auto& table = tables_[{batch.table, batch.segment, batch.layer}];
  for (Column& column : batch.columns) {
    const auto [at, is_new] = table.try_emplace(column.name, RecordedColumn{column.width, {}});
    if (is_new) {
      at->second.values = std::move(column.values);
      continue;
    }
    std::visit([&](auto& values) {
      if (const auto* more = std::get_if<std::remove_cvref_t<decltype(values)>>(&column.values)) values.insert(values.end(), more->begin(), more->end());
    }, at->second.values);
  }
  return success();
}

Status Recording::layer_done(Segment, std::uint32_t) {
  ++layers_done_;
  return success();
}

}  // namespace attnscope::check_captures
