#include "host/plan_file.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "core/policy/number_text.h"
#include "host/failure.h"
#include "host/sha256.h"

namespace attnscope {
namespace plan_files {

/// Values that a run `count*value` may add up to: heads of the largest model that validate() accepts.
constexpr std::size_t kMostHeads = std::size_t{4096} * 4096;

/// What is wrong with a line; nothing where it is fine.
using Complaint = std::optional<std::string>;

template <class T>
bool parse_whole(std::string_view text, T& value) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stop == text.data() + text.size();
}

/// Cuts off what comes before the next separator; the rest of the text where there is none.
std::string_view take(std::string_view& text, char separator = ' ') {
  const std::size_t at = text.find(separator);
  const std::string_view part = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return part;
}

Complaint not_whole(std::string_view word) { return text("\"", word, "\" is not a whole number in range"); }

Complaint read_list(std::string_view values, std::vector<std::uint32_t>& list) {
  while (!values.empty()) {
    const std::string_view word = take(values);
    std::uint32_t value = 0;
    if (!parse_whole(word, value)) return not_whole(word);
    list.push_back(value);
  }
  return {};
}

/// count*value count*value ...
template <class T>
Complaint read_runs(std::string_view values, std::vector<T>& list) {
  while (!values.empty()) {
    const std::string_view run = take(values);
    std::string_view rest = run;
    const std::string_view count_text = take(rest, '*');
    std::size_t count = 0;
    T value = 0;
    if (!parse_whole(count_text, count) || !parse_whole(rest, value)) return text("\"", run, "\" is not count*value");
    if (count > kMostHeads - list.size()) return text("it holds more than ", kMostHeads, " values");
    list.insert(list.end(), count, value);
  }
  return {};
}

Complaint read_dtype(std::string_view word, DType& dtype) {
  if (word == "f32") dtype = DType::f32;
  else if (word == "f16") dtype = DType::f16;
  else if (word == "bf16") dtype = DType::bf16;
  else return text("\"", word, "\" is not f32, f16 or bf16");
  return {};
}

Complaint read_rope(std::string_view values, RopeConfig& rope) {
  const std::string_view type = take(values);
  if (type != "default" && type != "llama3") return text("type \"", type, "\" is not default or llama3");
  rope.type = type == "llama3" ? RopeType::llama3 : RopeType::standard;
  for (double* number : {&rope.theta, &rope.factor, &rope.low_freq_factor, &rope.high_freq_factor, &rope.original_max_positions}) {
    const std::string_view word = take(values);
    if (!parse_number(word, *number)) return text("\"", word, "\" is not a number; type and five numbers were wanted");
  }
  if (!values.empty()) return text("\"", values, "\" follows the fifth number");
  return {};
}

Complaint read_tensor(std::string_view values, std::vector<TensorPlan>& tensors) {
  TensorPlan tensor;
  const auto whole = [&](auto& number) -> Complaint {
    const std::string_view word = take(values);
    if (!parse_whole(word, number)) return not_whole(word);
    return {};
  };
  if (auto bad = whole(tensor.file)) return bad;
  if (auto bad = whole(tensor.offset)) return bad;
  if (auto bad = whole(tensor.bytes)) return bad;
  if (auto bad = read_dtype(take(values), tensor.dtype)) return bad;
  const std::string_view shape = take(values);
  for (std::size_t begin = 0, end = 0; end < shape.size(); begin = end + 1) {
    end = std::min(shape.find('x', begin), shape.size());
    const std::string_view extent = shape.substr(begin, end - begin);
    std::uint32_t number = 0;
    if (!parse_whole(extent, number) || number == 0) return text("dimension \"", extent, "\" is not a positive whole number");
    tensor.shape.push_back(number);
  }
  if (tensor.shape.empty() || values.empty()) return std::string("file, offset, bytes, dtype, shape and name were wanted");
  tensor.name = values;
  tensors.push_back(std::move(tensor));
  return {};
}

Complaint read_device(std::string_view values, DevicePlan& device) {
  device.name = take(values);
  const std::string_view weights = take(values), bytes = take(values);
  if (weights == "auto") device.weights = DevicePlan::Weights::automatic;
  else if (weights == "resident") device.weights = DevicePlan::Weights::resident;
  else if (weights == "streamed") device.weights = DevicePlan::Weights::streamed;
  else return text("\"", weights, "\" is not auto, resident or streamed");
  if (!parse_whole(bytes, device.memory_bytes)) return not_whole(bytes);
  if (!values.empty()) return text("\"", values, "\" follows the bytes");
  return {};
}

struct Key {
  std::function<Complaint(std::string_view)> read;
  bool repeats = false;
  enum { always, with_reductions, optional } wanted = always;
};

Key number_key(std::uint32_t& into, decltype(Key::wanted) wanted = Key::always) {
  return {[&into](std::string_view value) -> Complaint { return parse_whole(value, into) ? Complaint() : not_whole(value); }, false, wanted};
}
Key float_key(float& into) {
  return {[&into](std::string_view value) -> Complaint {
    double number = 0;
    if (!parse_number(value, number)) return text("\"", value, "\" is not a number");
    into = static_cast<float>(number);
    return {};
  }};
}
Key flag_key(bool& into) {
  return {[&into](std::string_view value) -> Complaint {
    if (value != "0" && value != "1") return text("\"", value, "\" is not 0 or 1");
    into = value == "1";
    return {};
  }};
}
Key list_key(std::vector<std::uint32_t>& into, decltype(Key::wanted) wanted) {
  return {[&into](std::string_view values) { return read_list(values, into); }, true, wanted};
}

std::map<std::string, Key, std::less<>> keys_of(Plan& plan, const std::filesystem::path& folder) {
  ModelPlan& m = plan.model;
  ReducePlan& r = plan.reduce;
  std::map<std::string, Key, std::less<>> keys;
  keys["model.family"] = {[&m](std::string_view value) -> Complaint { return m.family = value, Complaint(); }};
  keys["model.layers"] = number_key(m.layers);
  keys["model.heads"] = number_key(m.heads);
  keys["model.kvHeads"] = number_key(m.kv_heads);
  keys["model.headDim"] = number_key(m.head_dim);
  keys["model.hiddenSize"] = number_key(m.hidden_size);
  keys["model.feedForwardSize"] = number_key(m.feed_forward_size);
  keys["model.vocabSize"] = number_key(m.vocab_size);
  keys["model.normEpsilon"] = float_key(m.norm_epsilon);
  keys["model.attentionScale"] = float_key(m.attention_scale);
  keys["model.tiedEmbeddings"] = flag_key(m.tied_embeddings);
  keys["model.rope"] = {[&m](std::string_view values) { return read_rope(values, m.rope); }};
  keys["file"] = {[&plan, folder](std::string_view path) -> Complaint {
    if (path.empty()) return std::string("it names no file");
    plan.files.push_back((folder / path).string());
    return {};
  }, true};
  keys["tensor"] = {[&plan](std::string_view values) { return read_tensor(values, plan.tensors); }, true};
  keys["tokens"] = list_key(plan.tokens, Key::always);
  keys["decode.steps"] = number_key(plan.decode_steps);
  keys["decode.forced"] = list_key(plan.forced, Key::optional);
  keys["vectors"] = {[&plan](std::string_view value) { return read_dtype(value, plan.vectors); }};
  keys["reduce.enabled"] = flag_key(r.enabled);
  keys["reduce.cells"] = {[&r](std::string_view values) { return read_runs(values, r.cells); }, true, Key::with_reductions};
  const std::pair<const char*, std::uint32_t*> numbers[] = {
      {"reduce.tileEdge", &r.tile_edge}, {"reduce.thumbEdge", &r.thumb_edge}, {"reduce.sinkTokens", &r.sink_tokens}, {"reduce.localTokens", &r.local_tokens},
      {"reduce.statsFirstRow", &r.stats_first_row}, {"reduce.pageTokens", &r.page_tokens}, {"reduce.queryPoolTokens", &r.query_pool_tokens},
      {"reduce.lagSink", &r.lag_sink}, {"reduce.lagSize", &r.lag_size}};
  for (const auto& [name, into] : numbers) keys[name] = number_key(*into, Key::with_reductions);
  keys["store.vectors"] = flag_key(plan.store.vectors);
  keys["store.logits"] = flag_key(plan.store.logits);
  keys["store.fullQueryHeads"] = {[&plan](std::string_view values) { return read_runs(values, plan.store.full_query_heads); }, true, Key::optional};
  keys["store.queryRows"] = list_key(plan.store.query_rows, Key::optional);
  keys["skipLayers"] = list_key(plan.skip_layers, Key::optional);
  keys["threads"] = number_key(plan.threads);
  keys["device"] = {[&plan](std::string_view values) { return read_device(values, plan.device); }, false, Key::optional};
  return keys;
}

/// By hand: a stream's iterators throw where a file cannot be read, a folder for one.
Result<std::string> read_text(const std::string& path) {
  std::string bytes;
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  bool whole = file != nullptr;
  if (file != nullptr) {
    char part[65536];
    for (std::size_t n; (n = std::fread(part, 1, sizeof part, file)) > 0;) bytes.append(part, n);
    whole = std::ferror(file) == 0;
    std::fclose(file);
  }
  return whole ? Result<std::string>(std::move(bytes)) : failure("E_PLAN_FILE", path, " cannot be read (", std::strerror(errno), "); check that it is there and may be read.");
}

}  // namespace plan_files

Result<Plan> parse_plan(std::string_view rest, const std::string& path) {
  using namespace plan_files;
  const auto refuse = [&](std::size_t line, const auto&... why) {
    return failure("E_PLAN_FILE", path, ", line ", line, ": ", why..., "; write the file anew with attnscope capture --export.");
  };
  Plan plan;
  const auto keys = keys_of(plan, std::filesystem::path(path).parent_path());
  std::set<std::string, std::less<>> seen;
  std::size_t line = 0;
  bool ended = false;
  while (!rest.empty()) {
    ++line;
    if (rest.find('\n') == std::string_view::npos) return refuse(line, "the file ends inside a line");
    const std::string_view whole = take(rest, '\n');
    std::string_view values = whole;
    const std::string_view name = take(values);
    if (line == 1) {
      if (name != "attnscope-plan") return refuse(line, "this is no plan file, which begins with attnscope-plan");
      if (values != "1") return refuse(line, "version ", values, " is not 1, the only version this program knows");
      continue;
    }
    if (whole == "end") {
      ended = true;
      if (!rest.empty()) return refuse(line + 1, "something follows the line end");
      break;
    }
    const auto key = keys.find(name);
    if (key == keys.end()) return refuse(line, "\"", name, "\" is no key of a plan");
    if (!seen.emplace(name).second && !key->second.repeats) return refuse(line, name, " was given before");
    if (const Complaint bad = key->second.read(values)) return refuse(line, name, ": ", *bad);
  }
  if (!ended) return refuse(line, "the last line is not end, so the file was cut short");
  for (const auto& [name, key] : keys)
    if (!seen.contains(name) && (key.wanted == Key::always || (key.wanted == Key::with_reductions && plan.reduce.enabled)))
      return refuse(line, "key ", name, " is missing");
  return plan;
}

Result<PlanFile> read_plan_file(const std::string& path) {
  auto bytes = plan_files::read_text(path);
  if (!bytes) return bytes.error();
  auto plan = parse_plan(bytes.value(), path);
  if (!plan) return plan.error();
  return PlanFile{plan.take(), sha256(bytes.value())};
}

}  // namespace attnscope
