// A capture as a folder that an executable without Arrow can write and that survives being killed: `attnscope import-bundle` makes the
// capture of it. One file of little-endian columns a table, segment and layer, one index a layer, written when the layer is done, and
// index.json; described in docs/format.md.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "host/capture.h"

namespace attnscope {

class CaptureBundle final : public CaptureSink {
 public:
  /// Makes the folder; E_BUNDLE_EXISTS where it holds anything already, E_WRITE_FAILED where it cannot be made.
  static Result<std::unique_ptr<CaptureBundle>> create(const std::string& folder);

  Status batch(Batch&& batch) override;
  Status layer_done(Segment segment, std::uint32_t layer) override;
  void progress(const RunProgress& progress) override;
  std::function<void(const RunProgress&)> on_progress;

  /// Ends the bundle: of a run that ended, or of one that stopped with an error.
  Status finish(const CaptureSummary& summary);
  Status finish(const Error& error);

 private:
  struct Table;
  explicit CaptureBundle(std::string folder);
  std::string folder_;
  std::map<std::string, std::unique_ptr<Table>> open_;
};

}  // namespace attnscope
