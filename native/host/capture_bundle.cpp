#include "host/capture_bundle.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "core/policy/json_writer.h"
#include "host/bundle_writer.h"
#include "host/failure.h"
#include "host/replace_file.h"

namespace attnscope {
namespace capture_bundles {

namespace fs = std::filesystem;

/// Freed when the run ends: what stopped it, and its last indexes, are told on a disk that is full, too. Indexes are replaced by
/// files beside them, the longest is that of 128K rows of logits.
constexpr std::size_t kReservedBytes = 192 * 1024;
constexpr const char* kReserve = "/reserve";

const char* type_name(const ColumnValues& values) {
  constexpr const char* names[] = {"f32", "u32", "u16", "i32"};  // in the variant's order
  return names[values.index()];
}

/// "prefill-0003", or "prefill" for tables of the whole capture.
std::string stem(Segment segment, std::int32_t layer) {
  if (layer < 0) return name_of(segment);
  char digits[16];
  std::snprintf(digits, sizeof digits, "-%04d", layer);
  return std::string(name_of(segment)) + digits;
}

void add_null(JsonWriter& json) { json.number(std::numeric_limits<double>::quiet_NaN()); }

void add_device(JsonWriter& json, const BundleDevice& device) {
  json.name("device").begin_object().member("kind", device.kind).member("name", device.name).member("driver", device.driver).member("threads", double(device.threads))
      .member("products", device.products).member("compute", device.compute).member("weights", device.weights).end_object();
}

void add_summary(JsonWriter& json, const CaptureSummary& summary) {
  json.name("summary").begin_object().member("prefillTokens", double(summary.prefill_tokens)).member("decodeSteps", double(summary.decode_steps));
  json.name("inverseFrequencies").begin_array();
  for (float frequency : summary.inverse_frequencies) json.number(frequency);
  json.end_array().name("seconds").begin_object();
  for (const auto& [phase, seconds] : summary.seconds) json.member(phase, seconds);
  json.end_object().member("peakResidentBytes", double(summary.peak_resident_bytes)).member("peakDeviceBytes", double(summary.peak_device_bytes))
      .member("peakPinnedBytes", double(summary.peak_pinned_bytes)).name("deviceBytesAtPeak").begin_object();
  for (const auto& [category, bytes] : summary.device_bytes_at_peak) json.member(category, double(bytes));
  json.end_object().end_object();
}

}  // namespace capture_bundles

struct CaptureBundle::Table {
  std::string name, file_name;
  Segment segment;
  struct Shape { std::string name; const char* type; std::uint32_t width; };
  std::vector<Shape> columns;
  BundleFile file;
};

BundleDevice device_of(const CaptureSummary& summary, BundleDevice known) {
  if (!summary.device.empty()) known.name = summary.device;
  if (!summary.driver.empty()) known.driver = summary.driver;
  if (!summary.products.empty()) known.products = summary.products;
  if (!summary.compute.empty()) {
    known.compute = summary.compute;
    known.weights = summary.streamed_weights ? "streamed" : "resident";
  }
  return known;
}

std::string describe_run(const BundleDevice& device, const CaptureSummary& summary, double wall_seconds) {
  JsonWriter json;
  json.begin_object().member("wallSeconds", wall_seconds).member("cancelled", summary.cancelled);
  capture_bundles::add_device(json, device);
  capture_bundles::add_summary(json, summary);
  return json.end_object().take() + "\n";
}

CaptureBundle::CaptureBundle(std::string folder, BundleDevice device, std::string plan_sha256)
    : folder_(std::move(folder)), device_(std::move(device)), plan_sha256_(std::move(plan_sha256)), writer_(std::make_unique<BundleWriter>()) {}

CaptureBundle::~CaptureBundle() {
  for (const auto& group : groups_)
    for (const auto& table : group->tables) {
      writer_->written(table->file, true);
      (void)writer_->close(table->file);
    }
}

Result<std::unique_ptr<CaptureBundle>> CaptureBundle::create(const std::string& folder, const BundleDevice& device, const std::string& plan_sha256) {
  std::error_code error;
  if (capture_bundles::fs::exists(folder, error) && !capture_bundles::fs::is_empty(folder, error))
    return failure("E_BUNDLE_EXISTS", folder, " already holds files, and nothing in it is touched; choose another folder with --out.");
  capture_bundles::fs::create_directories(folder, error);
  if (error) return failure("E_WRITE_FAILED", folder, " cannot be made (", error.message(), "); choose another folder with --out.");
  std::unique_ptr<CaptureBundle> bundle(new CaptureBundle(folder, device, plan_sha256));
  // An index without layers says what the folder is from the start.
  Status begun = bundle->write_main("running", nullptr, nullptr);
  if (begun) begun = replace_file(folder + capture_bundles::kReserve, std::string(capture_bundles::kReservedBytes, '\0'));
  if (begun) return bundle;
  // The folder was empty, and is again: the same command can be given once there is room.
  for (const char* name : {"/index.json", capture_bundles::kReserve})
    for (const char* end : {"", ".part"}) std::remove((folder + name + end).c_str());
  return begun.error();
}

Status CaptureBundle::copy_request(const std::string& path) {
  std::error_code error;
  if (!capture_bundles::fs::exists(path, error)) return success();
  capture_bundles::fs::copy_file(path, folder_ + "/request.json", error);
  return error ? Status(failure("E_WRITE_FAILED", path, " cannot be copied into ", folder_, " (", error.message(), "); check permissions and free space.")) : success();
}

CaptureBundle::Group& CaptureBundle::group_of(Segment segment, std::int32_t layer) {
  for (const auto& group : groups_)
    if (!group->done && group->layer == layer && (layer < 0 || group->segment == segment)) return *group;
  groups_.push_back(std::make_unique<Group>());
  groups_.back()->segment = segment;
  groups_.back()->layer = layer;
  return *groups_.back();
}

Status CaptureBundle::batch(Batch&& batch) {
  if (failed_) return *failed_;
  ATTNSCOPE_TRY(index_groups(false));
  Group& group = group_of(batch.segment, batch.layer);
  Table* table = nullptr;
  for (const auto& known : group.tables)
    if (known->name == batch.table && known->segment == batch.segment) table = known.get();
  if (table == nullptr) {
    group.tables.push_back(std::make_unique<Table>());
    table = group.tables.back().get();
    table->name = batch.table;
    table->segment = batch.segment;
    table->file_name = capture_bundles::stem(batch.segment, batch.layer) + "-" + batch.table + ".bin";
    table->file.path = folder_ + "/" + table->file_name;
    for (const Column& column : batch.columns) table->columns.push_back({column.name, capture_bundles::type_name(column.values), column.width});
  }
  ++group.batches;
  return writer_->add(table->file, std::move(batch.columns), batch.rows);
}

Status CaptureBundle::layer_done(Segment segment, std::uint32_t layer) {
  group_of(segment, static_cast<std::int32_t>(layer)).done = true;
  return failed_ ? Status(*failed_) : index_groups(false);
}

void CaptureBundle::progress(const RunProgress& progress) {
  // Decoding may take long without a batch, and the prompt's last layer is not to wait for one.
  if (const Status indexed = index_groups(false); !indexed && !failed_) failed_ = indexed.error();
  if (on_progress) on_progress(progress);
}

bool CaptureBundle::on_disk(const Group& group, bool wait) {
  bool written = true;
  for (const auto& table : group.tables) written = written && writer_->written(table->file, wait);
  return written;
}

Status CaptureBundle::index_groups(bool wait) {
  const auto at = std::find_if(groups_.begin(), groups_.end(), [](const auto& group) { return group->layer < 0; });
  Group* whole = at == groups_.end() ? nullptr : at->get();
  for (auto group = groups_.begin(); group != groups_.end();) {
    // Decoded rows are worth nothing without their tokens: tables of the whole capture are there before a layer that follows them.
    if (group->get() == whole || !(*group)->done || !on_disk(**group, wait) || (whole != nullptr && !on_disk(*whole, wait))) {
      ++group;
      continue;
    }
    ATTNSCOPE_TRY(writer_->status());
    if (whole != nullptr && whole->batches > whole->indexed) ATTNSCOPE_TRY(write_index(*whole));
    ATTNSCOPE_TRY(write_index(**group));
    group = groups_.erase(group);
  }
  return success();
}

Status CaptureBundle::write_index(Group& group) {
  JsonWriter json;
  json.begin_object();
  if (group.layer >= 0) json.member("segment", name_of(group.segment)).member("layer", double(group.layer));
  json.name("tables").begin_array();
  for (const auto& table : group.tables) {
    if (group.done) ATTNSCOPE_TRY(writer_->close(table->file));
    // A file of a batch that failed alone holds nothing that counts.
    if (table->file.rows.empty()) continue;
    json.begin_object().member("table", table->name);
    if (group.layer < 0) json.member("segment", name_of(table->segment));
    json.member("file", table->file_name).name("columns").begin_array();
    for (const auto& column : table->columns) json.begin_object().member("name", column.name).member("type", column.type).member("width", double(column.width)).end_object();
    json.end_array().name("batches").begin_array();
    for (std::uint32_t rows : table->file.rows) json.number(rows);
    json.end_array().end_object();
  }
  json.end_array().end_object();
  group.indexed = group.batches;
  const std::string name = group.layer < 0 ? "whole" : capture_bundles::stem(group.segment, group.layer);
  return replace_file(folder_ + "/" + name + ".json", json.take() + "\n");
}

Status CaptureBundle::write_main(const char* status, const Error* error, const CaptureSummary* summary) {
  JsonWriter json;
  json.begin_object().member("format", "attnscope-capture-bundle").member("version", 1.0).member("status", status).name("error");
  if (error != nullptr) json.begin_object().member("code", error->code).member("message", error->message).end_object();
  else capture_bundles::add_null(json);
  if (!plan_sha256_.empty()) json.member("plan", plan_sha256_);
  capture_bundles::add_device(json, device_);
  if (summary != nullptr) capture_bundles::add_summary(json, *summary);
  else capture_bundles::add_null(json.name("summary"));
  return replace_file(folder_ + "/index.json", json.end_object().take() + "\n");
}

Status CaptureBundle::end(const char* status, const Error* error, const CaptureSummary* summary) {
  std::remove((folder_ + capture_bundles::kReserve).c_str());
  Status indexed = index_groups(true);
  for (const auto& group : groups_) {
    for (const auto& table : group->tables) {
      writer_->written(table->file, true);
      if (group->layer < 0) continue;
      if (const Status closed = writer_->close(table->file); indexed && !closed) indexed = closed;
      std::remove(table->file.path.c_str());
    }
    // What belongs to no layer is worth having as far as it goes: logits up to the row where the run stopped.
    if (group->layer >= 0) continue;
    group->done = true;
    if (const Status whole = write_index(*group); indexed && !whole) indexed = whole;
  }
  groups_.clear();
  if (indexed) indexed = writer_->status();
  // A bundle that is not all there is not complete, whatever the run did.
  if (!indexed && error == nullptr) status = "partial", error = &indexed.error();
  const Status written = write_main(status, error, summary);
  return indexed ? written : indexed;
}

Status CaptureBundle::finish(const CaptureSummary& summary) {
  device_ = device_of(summary, std::move(device_));
  return end(summary.cancelled ? "partial" : "complete", nullptr, &summary);
}

Status CaptureBundle::finish(const Error& error) { return end("partial", &error, nullptr); }

}  // namespace attnscope
