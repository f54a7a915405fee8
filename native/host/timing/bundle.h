// A folder of rows that an executable without Arrow can write and that survives being killed: index.json and a little-endian file
// a column, described in docs/format.md. attnscope import-bundle makes timings.arrow of it.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "host/kernels/kernel_device.h"
#include "host/timing/timing_row.h"

namespace attnscope {

class TimingBundle {
 public:
  /// Makes the folder; E_BUNDLE_EXISTS where it holds anything already, E_WRITE_FAILED where it cannot be made.
  static Result<TimingBundle> create(const std::string& folder, const DeviceFacts& device);

  void add(TimingRow row) { pending_.push_back(std::move(row)); }
  void add(TimingSkip skip) { skipped_.push_back(std::move(skip)); }
  /// Appends what was added to the columns, then replaces index.json in one step: a reader sees whole rows only. Once it has failed
  /// it fails: some columns may be longer than others.
  Status write(bool complete);
  std::size_t rows() const { return rows_; }

 private:
  TimingBundle(std::string folder, const DeviceFacts& device) : folder_(std::move(folder)), device_(device), codes_(timing_columns().size()) {}
  std::string index(bool complete) const;
  Status try_write(bool complete);
  Status append(std::size_t column);

  std::string folder_;
  DeviceFacts device_;                     // texts belong to the device
  std::size_t rows_ = 0;                   // on disk
  std::optional<Error> failed_;
  std::vector<TimingRow> pending_;
  std::vector<TimingSkip> skipped_;
  std::vector<std::map<std::string, std::uint32_t>> codes_;  // of text columns, by column
};

}  // namespace attnscope
