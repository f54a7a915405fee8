// The catalogue as JSON: PolicyCatalogue of native/engine.ts, member for member.
#include "core/policy/json_writer.h"
#include "core/policy/policy.h"
#include "core/replay/metrics.h"

namespace attnscope {
namespace describe {

// Names as in native/engine.ts, by value of the enumerations.
constexpr const char* types[] = {"integer", "real", "choice", "flag"};
constexpr const char* families[] = {"prefill", "retention", "retrieval"};
constexpr const char* units[] = {"query head", "kv head", "layer"};
constexpr const char* freed[] = {"nothing", "memory", "emulated"};
constexpr const char* awareness[] = {"no", "prompt", "every step"};
constexpr const char* moments[] = {"prefill", "build", "step"};
constexpr const char* token_classes[kTokenClasses] = {"special", "word", "number", "punctuation", "space", "newline", "other"};

template <std::size_t n, class Enum>
const char* name_of(const char* const (&names)[n], Enum value) {
  return names[static_cast<std::size_t>(value)];
}

void write(JsonWriter& json, const Parameter& parameter) {
  const bool numeric = parameter.type == ParameterType::integer || parameter.type == ParameterType::real;
  const double highest = parameter.type == ParameterType::choice ? static_cast<double>(parameter.choices.size()) - 1 : 1;
  json.begin_object().member("name", parameter.name).member("type", name_of(types, parameter.type)).member("unit", parameter.unit);
  json.member("minimum", numeric ? parameter.minimum : 0).member("maximum", numeric ? parameter.maximum : highest);
  json.member("fallback", parameter.fallback).member("logarithmic", parameter.logarithmic).member("scales", parameter.scales);
  json.name("choices").begin_array();
  for (const char* choice : parameter.choices) json.string(choice);
  json.end_array().member("doc", parameter.doc).end_object();
}

void write(JsonWriter& json, const Preset& preset) {
  json.begin_object().member("name", preset.name).member("source", preset.source).name("values").begin_array();
  for (const double value : preset.values) json.number(value);
  json.end_array().member("contextTokens", static_cast<double>(preset.context_tokens)).end_object();
}

void write(JsonWriter& json, const PolicyKernel& kernel) {
  json.begin_object().member("when", name_of(moments, kernel.when)).member("op", kernel.op).member("phase", kernel.phase).end_object();
}

void write(JsonWriter& json, const PolicyDescriptor& policy) {
  json.begin_object().member("id", policy.id).member("title", policy.title).member("family", name_of(families, policy.family));
  json.member("unit", name_of(units, policy.unit)).member("granularity", policy.granularity).member("phase", policy.phase);
  json.member("frees", name_of(freed, policy.frees)).member("queryAware", name_of(awareness, policy.query_aware));
  json.member("sampled", policy.sampled).member("needsFuture", policy.needs_future).member("yardstick", policy.yardstick);
  json.member("doc", policy.doc).member("source", policy.source).name("kernels").begin_array();
  for (const PolicyKernel& kernel : policy.kernels) write(json, kernel);
  json.end_array().member("untimed", policy.untimed).name("parameters").begin_array();
  for (const Parameter& parameter : policy.parameters) write(json, parameter);
  json.end_array().name("presets").begin_array();
  for (const Preset& preset : policy.presets) write(json, preset);
  json.end_array().end_object();
}

void write(JsonWriter& json, const MetricSpec& metric) {
  json.begin_object().member("name", metric.name).member("unit", metric.unit).member("kind", metric.kind);
  json.member("better", metric.better).member("doc", metric.doc).end_object();
}

}  // namespace describe

std::string describe_policies() {
  JsonWriter json;
  json.begin_object().name("policies").begin_array();
  for (const PolicyEntry& entry : policies()) describe::write(json, entry.descriptor);
  json.end_array().name("metrics").begin_array();
  for (const MetricSpec& metric : metric_specs()) describe::write(json, metric);
  json.end_array().name("tokenClasses").begin_array();
  for (const char* token_class : describe::token_classes) json.string(token_class);
  return json.end_array().end_object().take();
}

}  // namespace attnscope
