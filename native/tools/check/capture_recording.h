// A capture kept in memory, table by table: what two runs are compared by.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "host/capture_sink.h"

namespace attnscope::check_captures {

struct RecordedColumn {
  std::uint32_t width = 1;
  ColumnValues values;  // of all batches, one after the other
};

/// Names a table of one layer, or of the whole capture with layer -1.
struct TableKey {
  std::string table;
  Segment segment = Segment::prefill;
  std::int32_t layer = -1;
  auto operator<=>(const TableKey&) const = default;
};

class Recording final : public CaptureSink {
 public:
  Status batch(Batch&& batch) override;
  Status layer_done(Segment segment, std::uint32_t layer) override;
  void progress(const RunProgress&) override {}

  const std::map<TableKey, std::map<std::string, RecordedColumn>>& tables() const { return tables_; }
  /// A column's values as T; empty where there is none of that type.
  template <class T>
  const std::vector<T>& column(const TableKey& key, const std::string& name) const {
    static const std::vector<T> none;
    const auto table = tables_.find(key);
    if (table == tables_.end()) return none;
    const auto column = table->second.find(name);
    if (column == table->second.end()) return none;
    const auto* values = std::get_if<std::vector<T>>(&column->second.values);
    return values != nullptr ? *values : none;
  }
  std::map<TableKey, std::map<std::string, RecordedColumn>>& tables() { return tables_; }
  std::size_t layers_done() const { return layers_done_; }

 private:
  std::map<TableKey, std::map<std::string, RecordedColumn>> tables_;
  std::size_t layers_done_ = 0;
};

}  // namespace attnscope::check_captures
