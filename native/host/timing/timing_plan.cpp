#include "host/timing/timing_plan.h"

#include <algorithm>
#include <string_view>

#include "host/failure.h"

namespace attnscope {
namespace timing {

/// Policies whose prefill has a kernel of its own.
constexpr std::string_view timed_policies[] = {"a-shape", "vertical-slash", "block-sparse"};
constexpr std::uint32_t longest = 1u << 24;

/// "id:preset=NAME@N" for a length, anything else as it is.
Result<PolicyChoice> resolve(std::string_view text, std::uint32_t tokens) {
  constexpr std::string_view preset = ":preset=", scaled = "@N";
  const std::size_t at = text.find(preset);
  if (at == std::string_view::npos || !text.ends_with(scaled)) return parse_policy(text);
  return scaled_policy(text.substr(0, at), text.substr(at + preset.size(), text.size() - at - preset.size() - scaled.size()), tokens);
}

Error refused(const std::string& what) { return {"E_TIMING_PLAN", what}; }

Status check_shape(const TimingShape& s) {
  const std::string name = text(s.heads, "/", s.kv_heads, "x", s.head_dim);
  if (s.heads == 0 || s.kv_heads == 0 || s.head_dim == 0 || s.heads > 1024 || s.head_dim > 1024) return refused("heads " + name + ": heads, kv heads and head_dim are from 1 to 1024.");
  if (s.heads % s.kv_heads != 0) return refused("heads " + name + ": heads must be a multiple of kv heads.");
  return success();
}

Status check_policy(const std::string& text) {
  const auto choice = resolve(text, longest);
  if (!choice) return choice.error();
  const std::string_view id = choice.value().entry->descriptor.id;
  if (std::find(std::begin(timed_policies), std::end(timed_policies), id) == std::end(timed_policies))
    return refused("policy " + text + " has no kernel of its own to measure; give a-shape, vertical-slash or block-sparse (decode lists are measured by --shares).");
  return success();
}

}  // namespace timing

std::vector<std::string> timing_ops() {
  return {"dense", "a-shape", "vertical-slash", "block-sparse", "decode", "decode-list", "lagkv", "simhash", "reduce", "merge", "copy"};
}

std::vector<std::uint32_t> all_lengths(const TimingPlan& plan) {
  std::vector<std::uint32_t> all = plan.lengths;
  for (const std::uint32_t edge : plan.edges) all.insert(all.end(), {edge - 1, edge, edge + 1});
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::vector<PolicyChoice> policies_at(const TimingPlan& plan, std::string_view id, std::uint32_t tokens) {
  std::vector<PolicyChoice> found;
  for (const std::string& text : plan.policies) {
    auto choice = timing::resolve(text, tokens);
    if (!choice || choice.value().entry->descriptor.id != id) continue;
    const bool known = std::any_of(found.begin(), found.end(), [&](const PolicyChoice& each) { return each.config.values == choice.value().config.values; });
    if (!known) found.push_back(choice.take());
  }
  return found;
}

Status validate(const TimingPlan& plan) {
  using namespace timing;
  for (const TimingShape& shape : plan.shapes) ATTNSCOPE_TRY(check_shape(shape));
  for (const std::uint32_t tokens : plan.lengths)
    if (tokens == 0 || tokens > longest) return refused(text("length ", tokens, " is not from 1 to ", longest, " tokens."));
  for (const std::uint32_t edge : plan.edges)
    if (edge < 2 || edge >= longest) return refused(text("edge ", edge, " is not from 2 to ", longest - 1, " tokens."));
  const auto ops = timing_ops();
  for (const std::string& op : plan.ops)
    if (std::find(ops.begin(), ops.end(), op) == ops.end()) {
      std::string known;
      for (const std::string& each : ops) known += (known.empty() ? "" : ", ") + each;
      return refused("operation " + op + " is not known; known: " + known + ".");
    }
  for (const std::string& policy : plan.policies) ATTNSCOPE_TRY(check_policy(policy));
  for (const CapturedLayer& layer : plan.captured) {
    ATTNSCOPE_TRY(check_shape(layer.shape));
    const std::size_t row = std::size_t{layer.tokens} * layer.shape.head_dim;
    if (layer.tokens == 0 || layer.q.size() != layer.shape.heads * row || layer.k.size() != layer.shape.kv_heads * row || layer.v.size() != layer.k.size())
      return refused(layer.name + ": queries, keys and values do not have the sizes that heads and tokens give.");
  }
  for (const double share : plan.shares)
    if (!(share > 0 && share <= 1)) return refused("a share of keys is above 0 and at most 1.");
  if (plan.repeats < kFewestRepetitions) return refused(text("fewer than ", kFewestRepetitions, " repetitions say nothing about spread; raise --repeats."));
  if (!(plan.cell_seconds > 0) || !(plan.budget_seconds >= 0)) return refused("seconds must be positive.");
  if (!(plan.patience > 0)) return refused("patience must be positive.");
  if (!plan.batched && !plan.per_head) return refused("neither batched nor per head: nothing to measure.");
  return success();
}

}  // namespace attnscope
