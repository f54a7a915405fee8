// A capture as a folder that an executable without Arrow can write and that survives being killed: `attnscope import-bundle` makes the
// capture of it. One file of little-endian columns a table, segment and layer, one index a layer, written when the layer is done, and
// index.json; described in docs/format.md.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/capture.h"

namespace attnscope {

/// What the run is of, and where it computes.
struct BundleDevice {
  std::string kind = "cpu", name, driver, products, compute, weights;  // weights: "resident", "streamed" or "mapped"
  std::uint32_t threads = 0;
};

/// A device's part of the summary over what was known of it before the run.
BundleDevice device_of(const CaptureSummary& summary, BundleDevice known);

/// Device, summary and the seconds of the whole run as one JSON object: what `attnscope-run --summary` writes.
std::string describe_run(const BundleDevice& device, const CaptureSummary& summary, double wall_seconds);

class BundleWriter;

class CaptureBundle final : public CaptureSink {
 public:
  /// Makes the folder; E_BUNDLE_EXISTS where it holds anything already, E_WRITE_FAILED where it cannot be made. `plan_sha256` may be empty.
  static Result<std::unique_ptr<CaptureBundle>> create(const std::string& folder, const BundleDevice& device, const std::string& plan_sha256);
  ~CaptureBundle() override;

  /// Puts a copy of request.json into the bundle; nothing happens where `path` does not exist.
  Status copy_request(const std::string& path);

  /// Tables are written by threads of the bundle's own: their indexes follow, and what went wrong is told, by one of the next calls.
  Status batch(Batch&& batch) override;
  Status layer_done(Segment segment, std::uint32_t layer) override;
  void progress(const RunProgress& progress) override;
  std::function<void(const RunProgress&)> on_progress;

  /// Ends the bundle: of a run that ended, or of one that stopped with an error. Files of layers that were not done are removed.
  Status finish(const CaptureSummary& summary);
  Status finish(const Error& error);

 private:
  struct Table;
  /// Tables whose index is one file: those of a layer and segment, or of the whole capture.
  struct Group {
    Segment segment = Segment::prefill;
    std::int32_t layer = -1;
    bool done = false;  // nothing more comes
    std::size_t batches = 0, indexed = 0;  // delivered, and of those the ones that an index counts
    std::vector<std::unique_ptr<Table>> tables;
  };

  CaptureBundle(std::string folder, BundleDevice device, std::string plan_sha256);
  Group& group_of(Segment segment, std::int32_t layer);
  /// Whether all that was delivered is written; with `wait` once it is.
  bool on_disk(const Group& group, bool wait);
  /// Writes the index of every group that is done and on the disk, with `wait` of all that are done, and before them that of the whole
  /// capture's tables where they have grown.
  Status index_groups(bool wait);
  Status write_index(Group& group);
  Status write_main(const char* status, const Error* error, const CaptureSummary* summary);
  Status end(const char* status, const Error* error, const CaptureSummary* summary);

  std::string folder_;
  BundleDevice device_;
  std::string plan_sha256_;
  std::vector<std::unique_ptr<Group>> groups_;  // not indexed yet
  std::unique_ptr<BundleWriter> writer_;        // after the tables it writes
  std::optional<Error> failed_;                 // what no call has told yet
};

}  // namespace attnscope
