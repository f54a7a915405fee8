#include "host/timing/bundle.h"

#include <bit>
#include <filesystem>
#include <fstream>

#include "core/policy/json_writer.h"
#include "host/failure.h"
#include "host/replace_file.h"

namespace attnscope {
namespace bundles {

static_assert(std::endian::native == std::endian::little, "columns are written as they lie in memory");

namespace fs = std::filesystem;

Status append_bytes(const std::string& path, const void* bytes, std::size_t count) {
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
  file.flush();
  return file ? success() : Status(cannot_write(path));
}

}  // namespace bundles

Result<TimingBundle> TimingBundle::create(const std::string& folder, const DeviceFacts& device) {
  std::error_code error;
  if (bundles::fs::exists(folder, error) && !bundles::fs::is_empty(folder, error))
    return failure("E_BUNDLE_EXISTS", folder, " already holds files, and nothing in it is touched; choose another folder with --out.");
  bundles::fs::create_directories(folder, error);
  if (error) return failure("E_WRITE_FAILED", folder, " cannot be made (", error.message(), "); choose another folder with --out.");
  TimingBundle bundle(folder, device);
  // An index without rows says what the folder is from the start.
  ATTNSCOPE_TRY(bundle.write(false));
  return bundle;
}

Status TimingBundle::append(std::size_t c) {
  const TimingColumn& column = timing_columns()[c];
  const std::string path = folder_ + "/" + column.name;
  return std::visit([&](auto member) -> Status {
    using Value = std::remove_cvref_t<decltype(TimingRow{}.*member)>;
    if constexpr (std::is_same_v<Value, std::string>) {
      std::vector<std::uint32_t> values;
      std::string texts;
      for (const TimingRow& row : pending_) {
        std::string one = row.*member;
        for (char& letter : one)
          if (letter == '\n') letter = ' ';
        const auto [at, is_new] = codes_[c].try_emplace(one, static_cast<std::uint32_t>(codes_[c].size()));
        if (is_new) texts += one + "\n";
        values.push_back(at->second);
      }
      // Texts before the codes that point at them.
      ATTNSCOPE_TRY(bundles::append_bytes(path + ".txt", texts.data(), texts.size()));
      return bundles::append_bytes(path + ".u32", values.data(), 4 * values.size());
    } else {
      std::vector<Value> values;
      for (const TimingRow& row : pending_) values.push_back(row.*member);
      return bundles::append_bytes(path + "." + type_name(column), values.data(), sizeof(Value) * values.size());
    }
  }, column.member);
}

std::string TimingBundle::index(bool complete) const {
  JsonWriter json;
  json.begin_object().member("format", "attnscope-timings-bundle").member("version", 1.0).member("status", complete ? "complete" : "running");
  json.name("device").begin_object().member("kind", device_.kind).member("name", device_.name).member("driver", device_.driver)
      .member("memoryBytes", double(device_.memory_bytes)).member("units", double(device_.units)).member("computeCapability", double(device_.compute_capability))
      .member("cacheBytes", double(device_.cache_bytes)).end_object();
  json.member("rows", double(rows_));
  json.name("columns").begin_array();
  for (const TimingColumn& column : timing_columns()) json.begin_object().member("name", column.name).member("type", type_name(column)).end_object();
  json.end_array().name("skipped").begin_array();
  for (const TimingSkip& skip : skipped_) {
    json.begin_object().member("op", skip.op).member("phase", skip.phase).member("policy", skip.policy).member("indices", skip.indices).member("batching", skip.batching);
    json.member("tokens", double(skip.tokens)).member("heads", double(skip.heads)).member("kvHeads", double(skip.kv_heads)).member("headDim", double(skip.head_dim));
    json.member("reason", skip.reason).end_object();
  }
  json.end_array().end_object();
  return json.take() + "\n";
}

Status TimingBundle::write(bool complete) {
  if (failed_) return *failed_;
  const Status status = try_write(complete);
  if (!status) failed_ = status.error();
  return status;
}

Status TimingBundle::try_write(bool complete) {
  for (std::size_t c = 0; c < timing_columns().size(); ++c) ATTNSCOPE_TRY(append(c));
  rows_ += pending_.size();
  pending_.clear();
  return replace_file(folder_ + "/index.json", index(complete));
}

}  // namespace attnscope
