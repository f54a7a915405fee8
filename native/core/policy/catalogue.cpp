#include <algorithm>

#include "core/policy/policy.h"

namespace attnscope {

Result<const PolicyEntry*> find_policy(std::string_view id) {
  std::string known;
  for (const PolicyEntry& entry : policies()) {
    if (id == entry.descriptor.id) return &entry;
    known.append(known.empty() ? "" : ", ").append(entry.descriptor.id);
  }
  return Error{"E_POLICY_UNKNOWN", "no policy is called \"" + std::string(id) + "\"; known: " + known};
}

Result<PolicyChoice> parse_policy(std::string_view text) {
  const std::size_t colon = text.find(':');
  std::string_view id = text.substr(0, colon);
  while (!id.empty() && id.front() == ' ') id.remove_prefix(1);
  while (!id.empty() && id.back() == ' ') id.remove_suffix(1);
  const Result<const PolicyEntry*> entry = find_policy(id);
  if (!entry) return entry.error();
  Result<PolicyConfig> config = parse_config(entry.value()->descriptor, colon == std::string_view::npos ? "" : text.substr(colon + 1));
  if (!config) return config.error();
  return PolicyChoice{entry.value(), config.take()};
}

Result<PolicyChoice> scaled_policy(std::string_view id, std::string_view preset, std::uint32_t tokens) {
  const Result<const PolicyEntry*> entry = find_policy(id);
  if (!entry) return entry.error();
  std::string known;
  for (const Preset& each : entry.value()->descriptor.presets) {
    if (preset == each.name) return PolicyChoice{entry.value(), scaled_preset(entry.value()->descriptor, each, tokens)};
    known.append(known.empty() ? "" : ", ").append(each.name);
  }
  return Error{"E_POLICY_PRESET", "policy " + std::string(id) + ": no preset is called \"" + std::string(preset) + "\"; known: " + known};
}

std::string write_policy(const PolicyChoice& choice) {
  const std::string values = write_config(choice.entry->descriptor, choice.config);
  return values.empty() ? choice.entry->descriptor.id : choice.entry->descriptor.id + (":" + values);
}

}  // namespace attnscope
