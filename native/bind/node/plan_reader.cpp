#include "bind/node/plan_reader.h"

#include "bind/node/object_reader.h"

namespace attnscope::node {
namespace {

constexpr const char* kCode = "E_PLAN_INVALID";
constexpr std::uint64_t kLargestOffset = std::uint64_t(1) << 53;  // whole numbers of JavaScript

ModelPlan read_model(const ObjectReader& from) {
  ModelPlan model;
  model.family = from.string("family");
  model.layers = from.u32("layers");
  model.heads = from.u32("heads");
  model.kv_heads = from.u32("kvHeads");
  model.head_dim = from.u32("headDim");
  model.hidden_size = from.u32("hiddenSize");
  model.feed_forward_size = from.u32("feedForwardSize");
  model.vocab_size = from.u32("vocabSize");
  model.norm_epsilon = static_cast<float>(from.number("normEpsilon"));
  model.tied_embeddings = from.boolean("tiedEmbeddings");
  model.attention_scale = static_cast<float>(from.number("attentionScale"));
  const ObjectReader rope = from.object("rope");
  const std::string type = rope.string("type");
  if (type != "default" && type != "llama3") rope.refuse("type", "default or llama3");
  model.rope.type = type == "llama3" ? RopeType::llama3 : RopeType::standard;
  model.rope.theta = rope.number("theta");
  model.rope.factor = rope.number("factor");
  model.rope.low_freq_factor = rope.number("lowFrequencyFactor");
  model.rope.high_freq_factor = rope.number("highFrequencyFactor");
  model.rope.original_max_positions = rope.number("originalMaxPositions");
  return model;
}

TensorPlan read_tensor(const ObjectReader& from) {
  TensorPlan tensor;
  tensor.name = from.string("name");
  tensor.file = from.u32("file");
  tensor.offset = from.count("offset", kLargestOffset);
  tensor.bytes = from.count("bytes", kLargestOffset);
  tensor.dtype = from.dtype("dtype");
  const Napi::Array shape = from.array("shape");
  for (std::uint32_t i = 0; i < shape.Length(); ++i) {
    const Napi::Value extent = shape.Get(i);
    const double number = extent.IsNumber() ? extent.As<Napi::Number>().DoubleValue() : -1;
    if (!(number >= 1 && number < 4294967296.0) || number != double(std::uint64_t(number))) from.refuse("shape", "a list of positive whole numbers");
    tensor.shape.push_back(static_cast<std::uint64_t>(number));
  }
  return tensor;
}

ReducePlan read_reduce(const ObjectReader& from) {
  ReducePlan reduce;
  reduce.enabled = from.boolean("enabled");
  reduce.cells = from.u32_array("cells");
  reduce.tile_edge = from.u32("tileEdge");
  reduce.thumb_edge = from.u32("thumbEdge");
  reduce.sink_tokens = from.u32("sinkTokens");
  reduce.local_tokens = from.u32("localTokens");
  reduce.stats_first_row = from.u32("statsFirstRow");
  reduce.page_tokens = from.u32("pageTokens");
  reduce.query_pool_tokens = from.u32("queryPoolTokens");
  reduce.lag_sink = from.u32("lagSink");
  reduce.lag_size = from.u32("lagSize");
  return reduce;
}

StorePlan read_store(const ObjectReader& from) {
  StorePlan store;
  store.vectors = from.boolean("vectors");
  store.full_query_heads = from.u8_array("fullQueryHeads");
  store.query_rows = from.u32_array("queryRows");
  store.logits = from.boolean("logits");
  return store;
}

DevicePlan read_device(const ObjectReader& from) {
  DevicePlan device;
  device.name = from.string("name");
  const std::string weights = from.string("weights");
  if (weights == "auto") device.weights = DevicePlan::Weights::automatic;
  else if (weights == "resident") device.weights = DevicePlan::Weights::resident;
  else if (weights == "streamed") device.weights = DevicePlan::Weights::streamed;
  else from.refuse("weights", "auto, resident or streamed");
  device.memory_bytes = from.count("memoryBytes", kLargestOffset);
  return device;
}

/// What every run has: model, tensors, tokens, decoding, precision, threads, device.
void read_run(const ObjectReader& from, Plan& plan) {
  if (from.number("version") != 1) from.refuse("version", "1, the only version this engine knows");
  plan.model = read_model(from.object("model"));
  const Napi::Array files = from.array("files");
  for (std::uint32_t i = 0; i < files.Length(); ++i) {
    const Napi::Value file = files.Get(i);
    if (!file.IsString()) from.refuse("files", "a list of paths");
    plan.files.push_back(file.As<Napi::String>());
  }
  const Napi::Array tensors = from.array("tensors");
  for (std::uint32_t i = 0; i < tensors.Length(); ++i)
    plan.tensors.push_back(read_tensor({tensors.Get(i), "tensors[" + std::to_string(i) + "]", kCode}));
  plan.tokens = from.u32_array("tokens");
  const ObjectReader decode = from.object("decode");
  plan.decode_steps = decode.u32("steps");
  plan.forced = decode.u32_array("forced");
  plan.vectors = from.dtype("vectors");
  plan.threads = from.u32("threads");
  if (from.has("device")) plan.device = read_device(from.object("device"));
}

}  // namespace

Plan read_plan(Napi::Value value) {
  const ObjectReader from(value, "", kCode);
  Plan plan;
  read_run(from, plan);
  plan.reduce = read_reduce(from.object("reduce"));
  plan.store = read_store(from.object("store"));
  plan.skip_layers = from.u32_array("skipLayers");
  return plan;
}

PolicyRunPlan read_policy_run_plan(Napi::Value value) {
  const ObjectReader from(value, "", kCode);
  PolicyRunPlan plan;
  read_run(from, plan.base);
  plan.base.reduce.enabled = false;
  const Napi::Array policies = from.array("policies");
  for (std::uint32_t i = 0; i < policies.Length(); ++i) {
    const Napi::Value text = policies.Get(i);
    if (!text.IsString()) from.refuse("policies", "a list of policy texts");
    auto choice = parse_policy(text.As<Napi::String>().Utf8Value());
    if (!choice) throw js_error(value.Env(), choice.error());
    plan.policies.push_back(choice.take());
  }
  plan.assignment = from.i32_array("assignment");
  const ObjectReader schedule = from.object("schedule");
  plan.schedule = {schedule.u32("context"), schedule.u32("chunk"), schedule.u32("firstChunk")};
  const std::string mode = from.string("mode");
  if (mode != "compare" && mode != "generate") from.refuse("mode", "compare or generate");
  plan.compare = mode == "compare";
  plan.stop_ids = from.u32_array("stopIds");
  const Napi::Array traces = from.array("traces");
  for (std::uint32_t i = 0; i < traces.Length(); ++i) {
    const ObjectReader head(traces.Get(i), "traces[" + std::to_string(i) + "]", kCode);
    plan.traces.push_back({head.u32("layer"), head.u32("head")});
  }
  return plan;
}

}  // namespace attnscope::node
