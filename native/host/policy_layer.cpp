#include "host/policy_layer.h"

#include <algorithm>
#include <numeric>

#include "host/failure.h"
#include "host/run_context.h"

namespace attnscope {
namespace {

template <class Engine>
Status refuse_moved_positions(const PolicyChoice& choice, const Engine& engine) {
  if (!engine.compacts_positions()) return success();
  return failure("E_POLICY_REPLAY_ONLY", "policy ", choice.entry->descriptor.id,
                 " gives kept keys new positions, which the live run does not do; replay it over a capture");
}

/// Whether every head that acts in this layer belongs to another family than "dense", which then means no policy at all.
bool dense_means_none(const PolicyRunPlan& plan, std::uint32_t layer) {
  for (std::uint32_t head = 0; head < plan.base.model.heads; ++head) {
    const std::int32_t id = plan.assignment[std::size_t(layer) * plan.base.model.heads + head];
    if (id >= 0 && plan.policies[id].entry->descriptor.family != Family::prefill) return true;
  }
  return false;
}

/// The unit of the policy that rules or indexes this kv head, made at its first head.
template <class Unit, class Make>
Result<Unit*> unit_of(std::vector<Unit>& units, std::vector<std::int32_t>& ids, std::int32_t id, Make make) {
  const auto found = std::find(ids.begin(), ids.end(), id);
  if (found != ids.end()) return &units[found - ids.begin()];
  auto policy = make();
  if (!policy) return policy.error();
  units.emplace_back();
  units.back().policy = policy.take();
  ids.push_back(id);
  return &units.back();
}

}  // namespace

Result<LayerPolicies> make_layer_policies(const PolicyRunPlan& plan, std::uint32_t layer) {
  const ModelPlan& model = plan.base.model;
  LayerPolicies made;
  std::vector<std::int32_t> retention_ids, retrieval_ids;
  const bool skip_dense = dense_means_none(plan, layer);
  for (std::uint32_t head = 0; head < model.heads; ++head) {
    const std::int32_t id = plan.assignment[std::size_t(layer) * model.heads + head];
    if (id < 0) continue;
    const PolicyChoice& choice = plan.policies[id];
    if (choice.entry->descriptor.family == Family::prefill && skip_dense) continue;
    const std::uint32_t kv_head = head / plan.base.group();
    switch (choice.entry->descriptor.family) {
      case Family::prefill: {
        auto policy = choice.entry->prefill(choice.config);
        if (!policy) return policy.error();
        made.prefill.resize(model.heads);
        made.prefill[head] = policy.take();
        break;
      }
      case Family::retention: {
        auto unit = unit_of(made.retention, retention_ids, id, [&] { return choice.entry->retention(choice.config); });
        if (!unit) return unit.error();
        ATTNSCOPE_TRY(refuse_moved_positions(choice, *unit.value()->policy));
        unit.value()->rules.resize(model.kv_heads);
        unit.value()->rules[kv_head] = 1;
        break;
      }
      case Family::retrieval: {
        // Ids of one kv head's policies differ from those of the next.
        const auto key = static_cast<std::int32_t>(kv_head * plan.policies.size() + id);
        auto unit = unit_of(made.retrieval, retrieval_ids, key, [&] { return choice.entry->retrieval(choice.config); });
        if (!unit) return unit.error();
        unit.value()->kv_head = kv_head;
        unit.value()->heads.push_back(head);
        break;
      }
    }
  }
  return Result<LayerPolicies>(std::move(made));
}

PolicyInput::PolicyInput(const Plan& plan, std::uint32_t layer, std::uint32_t tokens, std::uint32_t prompt_tokens)
    : keys_(plan.model.kv_heads), values_(plan.model.kv_heads), queries_(plan.model.heads) {
  const ModelPlan& model = plan.model;
  input_.layer = layer;
  input_.layers = model.layers;
  input_.heads = model.heads;
  input_.kv_heads = model.kv_heads;
  input_.head_dim = model.head_dim;
  input_.tokens = tokens;
  input_.prompt_tokens = prompt_tokens;
  input_.scale = model.attention_scale;
  input_.bytes_per_element = static_cast<double>(size_of(plan.vectors));
  input_.keys = keys_;
  input_.values = values_;
  input_.queries = queries_;
}

void PolicyInput::set_rows(std::span<const KvView> views) {
  for (std::size_t h = 0; h < keys_.size(); ++h) keys_[h] = views[h].keys, values_[h] = views[h].values;
}

void PolicyInput::set_queries(Rows all_heads, std::uint32_t first) {
  positions_.resize(all_heads.count);
  std::iota(positions_.begin(), positions_.end(), first);
  for (std::uint32_t h = 0; h < input_.heads; ++h) queries_[h] = {positions_, head_rows(all_heads, h, input_.head_dim)};
}

}  // namespace attnscope
