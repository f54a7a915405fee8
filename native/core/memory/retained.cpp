#include "core/memory/retained.h"

#include <cmath>
#include <string>

namespace attnscope::memory {
namespace retained {
namespace {

/// One value a call and layer; `kept` of (tokens seen, layer, whether the prompt ends).
template <class F>
std::vector<std::uint32_t> by_call(const Config& c, F kept) {
  const std::uint32_t calls = prefill_calls(c);
  std::vector<std::uint32_t> out;
  out.reserve(std::size_t{calls} * c.model.layers);
  std::uint32_t seen = 0;
  for (std::uint32_t call = 0; call < calls; ++call) {
    seen += call_tokens(c, call);
    for (std::uint32_t layer = 0; layer < c.model.layers; ++layer) out.push_back(kept(seen, layer, call + 1 == calls));
  }
  return out;
}

/// First layers that keep everything.
std::uint32_t skipped_layers(const PolicyChoice& policy) {
  const std::vector<Parameter>& parameters = policy.entry->descriptor.parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (std::string_view(parameters[i].name) == "skip_layers") return policy.config.count(i);
  return 0;
}

}  // namespace
}  // namespace retained

Result<Retention> retained_share(const Config& config, double share) {
  if (!(share > 0 && share <= 1)) return Error{"E_MEMORY_CONFIG", "memory model: retention.share is " + std::to_string(share) + "; pass a share above 0 and at most 1"};
  Retention out;
  out.kept = retained::by_call(config, [&](std::uint32_t seen, std::uint32_t, bool) { return static_cast<std::uint32_t>(std::ceil(share * seen)); });
  return out;
}

Result<Retention> retained_by(const Config& config, const PolicyChoice& policy) {
  const PolicyEntry& entry = *policy.entry;
  if (entry.resident_after == nullptr || entry.descriptor.frees != Frees::memory)
    return Error{"E_MEMORY_POLICY", std::string(entry.descriptor.id) + " frees no memory of keys and values; name a policy of the family retention that does"};
  const std::uint32_t skipped = retained::skipped_layers(policy);
  Retention out;
  out.kept = retained::by_call(config, [&](std::uint32_t seen, std::uint32_t layer, bool ends) {
    return layer < skipped || (!ends && !entry.evicts_by_chunk) ? seen : entry.resident_after(policy.config, seen, 0);
  });
  const std::uint32_t n = config.prompt_tokens;
  const bool holds = entry.resident_after(policy.config, n, 1) <= entry.resident_after(policy.config, n, 0);
  out.decode = holds && skipped == 0 ? Retention::Decode::holds : Retention::Decode::grows;
  return out;
}

}  // namespace attnscope::memory
