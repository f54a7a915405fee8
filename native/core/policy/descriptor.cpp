#include "core/policy/descriptor.h"

#include <algorithm>
#include <cmath>

#include "core/policy/number_text.h"

namespace attnscope {
namespace policy_text {

Error refusal(const char* code, const PolicyDescriptor& policy, std::string what) {
  return {code, "policy " + std::string(policy.id) + ": " + std::move(what)};
}

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

/// Names of a list's members, "a, b, c".
template <class List, class Name>
std::string joined(const List& list, Name name) {
  std::string text;
  for (const auto& each : list) text.append(text.empty() ? "" : ", ").append(name(each));
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// What stands before the first `separator`, which is taken off `rest` with it; all of it where there is none.
std::string_view take_until(std::string_view& rest, char separator) {
  const std::size_t at = rest.find(separator);
  const std::string_view head = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  return trimmed(head);
}

/// "a whole number from 1 to 64 (tokens)", "one of mean, max", "0 or 1".
std::string allowed(const Parameter& parameter) {
  switch (parameter.type) {
    case ParameterType::flag: return "0 or 1";
    case ParameterType::choice: return "one of " + joined(parameter.choices, [](const char* choice) { return choice; });
    case ParameterType::integer:
    case ParameterType::real: break;
  }
  const std::string unit = *parameter.unit != '\0' ? " (" + std::string(parameter.unit) + ")" : "";
  return (parameter.type == ParameterType::integer ? "a whole number from " : "a number from ") + number_text(parameter.minimum) + " to " +
         number_text(parameter.maximum) + unit;
}

bool parse_value(const Parameter& parameter, std::string_view text, double& value) {
  if (parameter.type == ParameterType::choice) {
    const auto found = std::find(parameter.choices.begin(), parameter.choices.end(), text);
    value = static_cast<double>(found - parameter.choices.begin());
    return found != parameter.choices.end();
  }
  if (!parse_number(text, value)) return false;
  if (parameter.type == ParameterType::flag) return value == 0 || value == 1;
  if (parameter.type == ParameterType::integer && value != std::floor(value)) return false;
  return value >= parameter.minimum && value <= parameter.maximum;
}

std::string value_text(const Parameter& parameter, double value) {
  return parameter.type == ParameterType::choice ? parameter.choices[static_cast<std::size_t>(value)] : number_text(value);
}

/// "NAME", or "NAME@N" for the form scaled to N tokens.
Result<PolicyConfig> parse_preset(const PolicyDescriptor& policy, std::string_view text) {
  const bool scaled = text.find('@') != std::string_view::npos;
  const std::string_view name = take_until(text, '@');
  const auto preset = std::find_if(policy.presets.begin(), policy.presets.end(), [&](const Preset& each) { return name == each.name; });
  if (preset == policy.presets.end())
    return refusal("E_POLICY_PRESET", policy, "no preset is called " + quoted(name) + "; known: " +
                                                  joined(policy.presets, [](const Preset& each) { return each.name; }));
  if (!scaled) return PolicyConfig{preset->values};
  double tokens;
  if (!parse_number(trimmed(text), tokens) || tokens != std::floor(tokens) || tokens < 1 || tokens > 4294967295.0)
    return refusal("E_POLICY_PRESET", policy, quoted(text) + " after @ is no number of tokens; write preset=" + std::string(name) + "@32768");
  if (preset->context_tokens == 0)
    return refusal("E_POLICY_PRESET", policy, "preset " + std::string(name) + " does not scale with the length; leave out @" + std::string(text));
  return scaled_preset(policy, *preset, static_cast<std::uint32_t>(tokens));
}

}  // namespace policy_text

PolicyConfig default_config(const PolicyDescriptor& policy) {
  PolicyConfig config;
  for (const Parameter& parameter : policy.parameters) config.values.push_back(parameter.fallback);
  return config;
}

Result<PolicyConfig> parse_config(const PolicyDescriptor& policy, std::string_view text) {
  using namespace policy_text;
  PolicyConfig config = default_config(policy);
  std::vector<bool> given(policy.parameters.size());
  bool first = true;
  for (std::string_view rest = trimmed(text); !rest.empty(); first = false) {
    std::string_view value = take_until(rest, ',');
    const bool assigned = value.find('=') != std::string_view::npos;
    const std::string_view name = take_until(value, '=');
    value = trimmed(value);
    if (name == "preset" && assigned) {
      if (!first) return refusal("E_POLICY_PRESET", policy, "preset=" + std::string(value) + " comes after other parameters; write it first");
      Result<PolicyConfig> preset = parse_preset(policy, value);
      if (!preset) return preset;
      config = preset.take();
      continue;
    }
    const auto parameter = std::find_if(policy.parameters.begin(), policy.parameters.end(), [&](const Parameter& each) { return name == each.name; });
    if (parameter == policy.parameters.end())
      return refusal("E_POLICY_PARAMETER", policy, "no parameter is called " + quoted(name) + "; " +
                                                       (policy.parameters.empty() ? "it has none" : "known: " + joined(policy.parameters, [](const Parameter& each) { return each.name; })));
    const auto at = static_cast<std::size_t>(parameter - policy.parameters.begin());
    if (given[at]) return refusal("E_POLICY_PARAMETER", policy, "parameter " + std::string(name) + " is given twice; write it once");
    given[at] = true;
    if (!assigned || !parse_value(*parameter, value, config.values[at]))
      return refusal("E_POLICY_PARAMETER", policy, "parameter " + std::string(name) + " is " + quoted(value) + "; write " + allowed(*parameter));
  }
  return config;
}

std::string write_config(const PolicyDescriptor& policy, const PolicyConfig& config) {
  std::string text;
  for (std::size_t i = 0; i < policy.parameters.size(); ++i) {
    const Parameter& parameter = policy.parameters[i];
    if (config.values[i] == parameter.fallback) continue;
    text.append(text.empty() ? "" : ",").append(parameter.name).append("=").append(policy_text::value_text(parameter, config.values[i]));
  }
  return text;
}

PolicyConfig scaled_preset(const PolicyDescriptor& policy, const Preset& preset, std::uint32_t tokens) {
  PolicyConfig config{preset.values};
  if (preset.context_tokens == 0) return config;
  for (std::size_t i = 0; i < policy.parameters.size(); ++i) {
    const Parameter& parameter = policy.parameters[i];
    if (!parameter.scales) continue;
    const double scaled = preset.values[i] * tokens / preset.context_tokens;
    config.values[i] = std::clamp(parameter.type == ParameterType::integer ? std::round(scaled) : scaled, parameter.minimum, parameter.maximum);
  }
  return config;
}

}  // namespace attnscope
