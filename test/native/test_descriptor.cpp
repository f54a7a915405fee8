#include <cstdio>
#include <string>

#include "check.h"
#include "core/policy/json_writer.h"
#include "core/policy/number_text.h"
#include "core/policy/policy.h"

using namespace attnscope;

namespace {

PolicyDescriptor sample() {
  PolicyDescriptor policy{"sample", "Sample", Family::retrieval, DecisionUnit::query_head, "token", "decode", Frees::emulated, QueryAware::every_step};
  policy.parameters = {
      {"n", ParameterType::integer, "tokens", 1, 4096, 64, "Tokens", false, true, {}},
      {"share", ParameterType::real, "share of 1", 1e-7, 1, 0.1, "Share", true, false, {}},
      {"rule", ParameterType::choice, "", 0, 0, 1, "Rule", false, false, {"mean", "max", "sum"}},
      {"forced", ParameterType::flag, "", 0, 1, 1, "Forced", false, false, {}},
  };
  policy.presets = {{"paper", "section 4", {64, 0.1, 1, 1}, 131072}, {"demo", "README", {4000, 0.3, 2, 0}, 0}, {"long", "table 2", {1000, 0.5, 0, 1}, 131072}};
  return policy;
}

/// Parsed and written again; the error's code and message where it is refused.
std::string again(std::string_view text) {
  const PolicyDescriptor policy = sample();
  const auto config = parse_config(policy, text);
  return config ? write_config(policy, config.value()) : config.error().code + " " + config.error().message;
}

void expect(std::string_view text, const std::string& wanted) {
  const std::string got = again(text);
  if (got != wanted) std::printf("  \"%s\" gave \"%s\", expected \"%s\"\n", std::string(text).c_str(), got.c_str(), wanted.c_str());
  CHECK(got == wanted);
}

bool holds(const std::string& text, const char* part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) std::printf("  \"%s\" does not hold \"%s\"\n", text.c_str(), part);
  return found;
}

}  // namespace

TEST("only what differs from the defaults is written, in the descriptor's order") {
  expect("", "");
  expect("n=64,share=0.1,rule=max,forced=1", "");
  expect("forced=0,n=100", "n=100,forced=0");
  expect(" share = 1e-6 , rule=sum ", "share=0.000001,rule=sum");
  expect("n=4096", "n=4096");
  expect("n=1e3", "n=1000");
}

TEST("presets come first, then what changes them; @N scales") {
  expect("preset=demo", "n=4000,share=0.3,rule=sum,forced=0");
  expect("preset=demo,n=64,forced=1", "share=0.3,rule=sum");
  expect("preset=long@65536", "n=500,share=0.5,rule=mean");
  expect("preset=long@131072", "n=1000,share=0.5,rule=mean");
  expect("preset=long@1", "n=1,share=0.5,rule=mean");              // never below the range
  expect("preset=long@4294967295", "n=4096,share=0.5,rule=mean");  // nor above
}

TEST("refusals name the parameter, what came and what is allowed") {
  const std::pair<const char*, const char*> cases[] = {
      {"m=1", "E_POLICY_PARAMETER policy sample: no parameter is called \"m\"; known: n, share, rule, forced"},
      {"n=1.5", "E_POLICY_PARAMETER policy sample: parameter n is \"1.5\"; write a whole number from 1 to 4096 (tokens)"},
      {"n=0", "is \"0\"; write a whole number"},
      {"n=4097", "is \"4097\""},
      {"n=", "is \"\"; write"},
      {"n", "is \"\"; write"},
      {"n=1=2", "is \"1=2\""},
      {"n=12x", "is \"12x\""},
      {"n=0x10", "is \"0x10\""},
      {"share=nan", "parameter share is \"nan\"; write a number from 1e-07 to 1 (share of 1)"},
      {"share=inf", "is \"inf\""},
      {"share=1e999", "is \"1e999\""},
      {"rule=median", "parameter rule is \"median\"; write one of mean, max, sum"},
      {"rule=1", "write one of mean, max, sum"},
      {"forced=yes", "parameter forced is \"yes\"; write 0 or 1"},
      {"forced=2", "write 0 or 1"},
      {"n=1,n=2", "parameter n is given twice"},
      {",", "no parameter is called \"\""},
      {"preset=none", "E_POLICY_PRESET policy sample: no preset is called \"none\"; known: paper, demo, long"},
      {"n=1,preset=paper", "E_POLICY_PRESET policy sample: preset=paper comes after other parameters; write it first"},
      {"preset=long@", "E_POLICY_PRESET policy sample: \"\" after @ is no number of tokens"},
      {"preset=long@0", "is no number of tokens"},
      {"preset=long@1.5", "is no number of tokens"},
      {"preset=demo@4096", "E_POLICY_PRESET policy sample: preset demo does not scale with the length; leave out @4096"},
  };
  for (const auto& [text, part] : cases) CHECK(holds(again(text), part));
}

TEST("every number reads back to itself and is written shortest") {
  const std::pair<double, const char*> cases[] = {{0, "0"}, {-0.0, "0"}, {0.1, "0.1"}, {1.0 / 3, "0.3333333333333333"}, {1e6, "1000000"},
                                                  {-2.5, "-2.5"}, {1e-6, "0.000001"}, {1e-7, "1e-07"}, {1e15, "1e+15"}, {123456789012345, "123456789012345"}};
  for (const auto& [value, text] : cases) CHECK(number_text(value) == text);
  std::uint64_t state = 1;
  for (int i = 0; i < 20000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const double value = std::ldexp(static_cast<double>(static_cast<std::int64_t>(state)), static_cast<int>(state % 121) - 90);
    double back = 0;
    CHECK(parse_number(number_text(value), back) && back == value);
  }
}

TEST("JSON escapes what JSON must") {
  JsonWriter json;
  json.begin_object().member("a\"b", "c\\d\n\x1f\u00e9").name("list").begin_array().number(0.25).boolean(false).begin_array().end_array();
  json.begin_object().end_object().number(std::nan("")).end_array().member("last", 3.0).end_object();
  CHECK(json.take() == "{\"a\\\"b\":\"c\\\\d\\u000a\\u001f\u00e9\",\"list\":[0.25,false,[],{},null],\"last\":3}");
}

TEST("every policy's declaration is sound, and its defaults, presets and texts read back") {
  for (const PolicyEntry& entry : policies()) {
    const PolicyDescriptor& policy = entry.descriptor;
    const auto fail = [&](const char* what) { std::printf("  %s: %s\n", policy.id, what); CHECK(false); };
    if ((entry.prefill != nullptr) + (entry.retention != nullptr) + (entry.retrieval != nullptr) != 1) fail("not exactly one maker");
    if (policy.presets.empty()) fail("no preset");
    bool seed = false;
    for (const Parameter& parameter : policy.parameters) {
      seed = seed || std::string_view(parameter.name) == "seed";
      const double highest = parameter.type == ParameterType::choice ? static_cast<double>(parameter.choices.size()) - 1 : parameter.maximum;
      if (!(parameter.minimum <= parameter.fallback && parameter.fallback <= highest)) fail("a default outside its range");
      if (parameter.logarithmic && !(parameter.minimum > 0)) fail("a logarithmic range that holds 0");
    }
    if (seed != policy.sampled) fail("sampled without a parameter seed, or the reverse");
    for (const Preset& preset : policy.presets) {
      if (preset.values.size() != policy.parameters.size()) { fail("a preset with another number of values"); continue; }
      for (const std::uint32_t tokens : {1u, 4096u, 131072u, 0xffffffffu}) {
        const PolicyChoice choice{&entry, scaled_preset(policy, preset, tokens)};
        const auto back = parse_policy(write_policy(choice));
        if (!back) { std::printf("  %s\n", back.error().message.c_str()); CHECK(false); continue; }
        CHECK(back.value().entry == &entry);
        CHECK(back.value().config.values == choice.config.values);
      }
    }
  }
}

TEST("an unknown policy is refused with the ids that are known") {
  const auto unknown = parse_policy("vertical:v=1");
  CHECK(!unknown && unknown.error().code == "E_POLICY_UNKNOWN" && holds(unknown.error().message, "no policy is called \"vertical\"; known: "));
  if (!policies().empty()) CHECK(!unknown && holds(unknown.error().message, policies().front().descriptor.id));
}
