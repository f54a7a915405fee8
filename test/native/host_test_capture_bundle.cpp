// Capture bundles: what lies on the disk is what was delivered, whole layers whatever stops the run.
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "check.h"
#include "host/capture_bundle.h"
#include "host/failure.h"
#include "random_model.h"

using namespace attnscope;
namespace fs = std::filesystem;

namespace {

/// A folder name that is free, and is again when the object goes.
struct Folder {
  std::string path = (fs::temp_directory_path() / ("attnscope-bundle-" + std::to_string(::getpid()) + "-" + std::to_string(next++))).string();
  static inline int next = 0;
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(const std::string& name) const { return path + "/" + name; }
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return file.is_open() ? std::string(std::istreambuf_iterator<char>(file), {}) : "(none)";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Batch small_batch(const char* table, Segment segment, std::int32_t layer, std::uint32_t first) {
  return {table, segment, layer, 2, {{"head", 1, std::vector<std::uint16_t>{std::uint16_t(first), std::uint16_t(first + 1)}}, {"mean", 2, std::vector<float>{1, 2, 3, float(first)}}}};
}

std::unique_ptr<CaptureBundle> create(const Folder& folder) {
  auto bundle = CaptureBundle::create(folder.path, {"cpu", "a \"quoted\" name", "driver", "blas", "f32", "mapped", 3}, "0123abcd");
  CHECK(bundle.ok());
  return bundle.take();
}

/// Keeps the bytes of every table as they were delivered, in the order of the format, by file name.
class Bytes final : public CaptureSink {
 public:
  std::map<std::string, std::string> files;
  Status batch(Batch&& batch) override {
    char layer[16] = "";
    if (batch.layer >= 0) std::snprintf(layer, sizeof layer, "-%04d", batch.layer);
    std::string& bytes = files[std::string(name_of(batch.segment)) + layer + "-" + batch.table + ".bin"];
    for (const Column& column : batch.columns)
      std::visit([&](const auto& values) { bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof values[0]); }, column.values);
    return success();
  }
  Status layer_done(Segment, std::uint32_t) override { return success(); }
  void progress(const RunProgress&) override {}
};

}  // namespace

TEST("tables, indexes and the main index, byte by byte") {
  const Folder folder;
  auto bundle = create(folder);
  CHECK(contains(read(folder / "index.json"), "\"status\":\"running\"") && contains(read(folder / "index.json"), "\"summary\":null"));
  CHECK(bundle->batch(small_batch("heads", Segment::prefill, 3, 7)).ok());
  CHECK(bundle->batch(small_batch("heads", Segment::prefill, 3, 9)).ok());
  CHECK(bundle->layer_done(Segment::prefill, 3).ok());
  CHECK(bundle->batch(small_batch("steps", Segment::decode, -1, 1)).ok());
  CaptureSummary summary;
  summary.prefill_tokens = 17, summary.decode_steps = 2, summary.inverse_frequencies = {1, 0.1f}, summary.seconds = {{"load", 0.5}};
  summary.peak_resident_bytes = 5, summary.peak_device_bytes = 6, summary.peak_pinned_bytes = 7, summary.device_bytes_at_peak = {{"kv", 6}};
  summary.device = "NVIDIA H200", summary.compute = "bf16", summary.streamed_weights = true;
  CHECK(bundle->finish(summary).ok());

  const std::string heads = read(folder / "prefill-0003-heads.bin");
  const float expected[] = {1, 2, 3, 7};
  CHECK_EQUAL(heads.size(), 2 * (4 + 16));
  CHECK(heads.substr(0, 4) == std::string("\7\0\10\0", 4) && heads.substr(20, 4) == std::string("\11\0\12\0", 4));
  CHECK(std::memcmp(heads.data() + 4, expected, 16) == 0);
  CHECK(read(folder / "prefill-0003.json") ==
        "{\"segment\":\"prefill\",\"layer\":3,\"tables\":[{\"table\":\"heads\",\"file\":\"prefill-0003-heads.bin\",\"columns\":[{\"name\":\"head\",\"type\":\"u16\",\"width\":1},"
        "{\"name\":\"mean\",\"type\":\"f32\",\"width\":2}],\"batches\":[2,2]}]}\n");
  CHECK(read(folder / "whole.json") ==
        "{\"tables\":[{\"table\":\"steps\",\"segment\":\"decode\",\"file\":\"decode-steps.bin\",\"columns\":[{\"name\":\"head\",\"type\":\"u16\",\"width\":1},"
        "{\"name\":\"mean\",\"type\":\"f32\",\"width\":2}],\"batches\":[2]}]}\n");
  CHECK(read(folder / "index.json") ==
        "{\"format\":\"attnscope-capture-bundle\",\"version\":1,\"status\":\"complete\",\"error\":null,\"plan\":\"0123abcd\",\"device\":{\"kind\":\"cpu\",\"name\":\"NVIDIA H200\","
        "\"driver\":\"driver\",\"threads\":3,\"products\":\"blas\",\"compute\":\"bf16\",\"weights\":\"streamed\"},\"summary\":{\"prefillTokens\":17,\"decodeSteps\":2,"
        "\"inverseFrequencies\":[1,0.10000000149011612],\"seconds\":{\"load\":0.5},\"peakResidentBytes\":5,\"peakDeviceBytes\":6,\"peakPinnedBytes\":7,\"deviceBytesAtPeak\":{\"kv\":6}}}\n");
}

TEST("a run that failed keeps finished layers and what belongs to none; files of others go") {
  const Folder folder;
  auto bundle = create(folder);
  for (std::uint32_t layer : {0u, 1u})
    for (const char* table : {"heads", "rows"}) CHECK(bundle->batch(small_batch(table, Segment::prefill, static_cast<std::int32_t>(layer), layer)).ok());
  CHECK(bundle->layer_done(Segment::prefill, 0).ok());
  CHECK(bundle->batch(small_batch("logits", Segment::prefill, -1, 0)).ok());
  CHECK(bundle->finish(Error{"E_DEVICE_MEMORY", "the KV cache \"did not\" fit"}).ok());
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.path)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  CHECK(names == (std::vector<std::string>{"index.json", "prefill-0000-heads.bin", "prefill-0000-rows.bin", "prefill-0000.json", "prefill-logits.bin", "whole.json"}));
  const std::string index = read(folder / "index.json");
  CHECK(contains(index, "\"status\":\"partial\"") && contains(index, "\"error\":{\"code\":\"E_DEVICE_MEMORY\",\"message\":\"the KV cache \\\"did not\\\" fit\"}"));
}

TEST("a finished layer is indexed while the run goes on") {
  const Folder folder;
  auto bundle = create(folder);
  CHECK(bundle->batch(small_batch("heads", Segment::decode, 0, 1)).ok());
  CHECK(bundle->layer_done(Segment::decode, 0).ok());
  // Written by other threads: by one of the next calls, soon.
  for (int i = 0; i < 1000 && !fs::exists(folder / "decode-0000.json"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(bundle->batch(small_batch("rows", Segment::decode, 1, 1)).ok());
  }
  CHECK(fs::exists(folder / "decode-0000.json"));
  CHECK(contains(read(folder / "index.json"), "\"running\""));
}

TEST("a layer that nothing follows for long is indexed as well") {
  const Folder folder;
  auto bundle = create(folder);
  CHECK(bundle->batch(small_batch("heads", Segment::prefill, 0, 1)).ok());
  CHECK(bundle->layer_done(Segment::prefill, 0).ok());
  for (int i = 0; i < 1000 && !fs::exists(folder / "prefill-0000.json"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    bundle->progress({Phase::decode, 0, 9, 0});
  }
  CHECK(fs::exists(folder / "prefill-0000.json"));
  // An index that cannot be written: a folder lies where it is to be moved.
  fs::create_directories(folder / "prefill-0001.json");
  CHECK(bundle->batch(small_batch("heads", Segment::prefill, 1, 1)).ok());
  (void)bundle->layer_done(Segment::prefill, 1);
  for (int i = 0; i < 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    bundle->progress({Phase::decode, 0, 9, 0});
  }
  const Status told = bundle->batch(small_batch("steps", Segment::decode, -1, 1));
  CHECK(!told && told.error().code == "E_WRITE_FAILED" && contains(told.error().message, "prefill-0001.json"));
}

TEST("tables of the whole run are indexed before a layer that follows them, and again once they have grown") {
  const Folder folder;
  auto bundle = create(folder);
  const auto indexed = [&](const char* name) {
    // Written by other threads: by one of the next calls, soon.
    for (int i = 0; i < 1000 && !fs::exists(folder / name); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      CHECK(bundle->batch(small_batch("rows", Segment::decode, 7, 1)).ok());
    }
    return fs::exists(folder / name);
  };
  const auto finish_layer = [&](Segment segment, std::uint32_t layer) {
    CHECK(bundle->batch(small_batch("heads", segment, static_cast<std::int32_t>(layer), layer)).ok());
    CHECK(bundle->layer_done(segment, layer).ok());
  };
  finish_layer(Segment::prefill, 0);
  CHECK(indexed("prefill-0000.json") && !fs::exists(folder / "whole.json"));
  CHECK(bundle->batch(small_batch("logits", Segment::prefill, -1, 0)).ok());
  finish_layer(Segment::prefill, 1);
  CHECK(indexed("prefill-0001.json"));
  const std::string before = read(folder / "whole.json");
  CHECK(contains(before, "prefill-logits.bin") && !contains(before, "steps"));
  CHECK(bundle->batch(small_batch("steps", Segment::decode, -1, 0)).ok());
  CHECK(bundle->batch(small_batch("logits", Segment::prefill, -1, 1)).ok());
  finish_layer(Segment::decode, 0);
  CHECK(indexed("decode-0000.json"));
  // What a kill leaves now: both tables, with every batch, in files as long.
  const std::string after = read(folder / "whole.json");
  CHECK(contains(after, "decode-steps.bin") && contains(after, "\"batches\":[2,2]") && contains(read(folder / "index.json"), "\"running\""));
  CHECK_EQUAL(fs::file_size(folder / "decode-steps.bin"), 20);
  CHECK_EQUAL(fs::file_size(folder / "prefill-logits.bin"), 40);
  CHECK(bundle->finish(CaptureSummary()).ok());
  CHECK(read(folder / "whole.json") == after);
}

TEST("a folder in use is left alone; a disk that fails stops the run and is named") {
  const Folder folder;
  fs::create_directories(folder.path);
  std::ofstream(folder / "notes.txt") << "mine";
  const auto refused = CaptureBundle::create(folder.path, {}, "");
  CHECK(!refused.ok() && refused.error().code == "E_BUNDLE_EXISTS");
  CHECK(read(folder / "notes.txt") == "mine");
  fs::remove(folder / "notes.txt");

  auto bundle = create(folder);
  // A file where a table wants to go, as if the disk refused it.
  std::ofstream(folder / "prefill-0000-rows.bin") << "";
  Status status = success();
  for (int i = 0; i < 1000 && status; ++i) {
    status = bundle->batch(small_batch("rows", Segment::prefill, 0, 0));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(!status && status.error().code == "E_WRITE_FAILED" && contains(status.error().message, "prefill-0000-rows.bin"));
  const Status finished = bundle->finish(CaptureSummary());
  CHECK(!finished && finished.error().code == "E_WRITE_FAILED");
  CHECK(contains(read(folder / "index.json"), "\"status\":\"partial\"") && !fs::exists(folder / "prefill-0000.json"));
}

TEST("on a full disk there is room for the last indexes and for what stopped the run") {
  const Folder folder;
  auto bundle = create(folder);
  std::uint64_t kept = 0;
  for (const auto& entry : fs::directory_iterator(folder.path)) kept += fs::file_size(entry.path());
  CHECK(kept > 128 * 1024);
  CHECK(bundle->finish(Error{"E_WRITE_FAILED", "the disk is full"}).ok());
  std::uint64_t left = 0;
  for (const auto& entry : fs::directory_iterator(folder.path)) left += fs::file_size(entry.path());
  CHECK(left < 4096 && contains(read(folder / "index.json"), "the disk is full"));
}

TEST("the request is copied where there is one") {
  const Folder folder, elsewhere;
  auto bundle = create(folder);
  CHECK(bundle->copy_request(elsewhere / "request.json").ok() && !fs::exists(folder / "request.json"));
  fs::create_directories(elsewhere.path);
  std::ofstream(elsewhere / "request.json") << "{\"level\":\"replay\"}";
  CHECK(bundle->copy_request(elsewhere / "request.json").ok());
  CHECK(read(folder / "request.json") == "{\"level\":\"replay\"}");
}

TEST("a whole capture: every table's bytes are those that the run delivered, larger ones included") {
  const random_model::Checkpoint checkpoint(random_model::tiny());
  Plan plan = checkpoint.plan(1500, 2, 2);
  plan.decode_steps = 3;
  plan.store.logits = true;
  plan.store.full_query_heads.assign(18, 1);
  Cancellation cancellation;
  Bytes bytes;
  CHECK(run_capture(plan, bytes, cancellation).ok());
  const Folder folder;
  auto bundle = create(folder);
  const auto summary = run_capture(plan, *bundle, cancellation);
  CHECK(summary.ok() && bundle->finish(summary.value()).ok());
  std::size_t total = 0;
  for (const auto& [name, expected] : bytes.files) {
    if (read(folder / name) != expected) std::printf("  %s differs\n", name.c_str());
    CHECK(read(folder / name) == expected);
    total += expected.size();
  }
  CHECK(total > 10 << 20);
  for (const char* index : {"prefill-0000.json", "prefill-0001.json", "decode-0000.json", "decode-0001.json", "whole.json"}) CHECK(fs::exists(folder / index));
  CHECK(contains(read(folder / "index.json"), "\"status\":\"complete\""));
}
