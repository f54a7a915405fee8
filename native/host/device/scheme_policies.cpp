#include "host/device/scheme_policies.h"

#include <algorithm>

#include "host/device/device_model.h"
#include "host/failure.h"

namespace attnscope {

SchemePolicies::SchemePolicies(const Plan& plan, const SchemePlan& scheme, KernelDevice& device, SchemeMemory& memory, SchemeCache& cache)
    : plan_(plan), scheme_(scheme), device_(device), memory_(memory), cache_(cache), mirror_(plan.model, DType::f32), drop_(plan.model.kv_heads),
      expansions_(plan.model.kv_heads) {}

Status SchemePolicies::open() {
  if (!active()) return success();
  run_.base = plan_;
  run_.policies = {*scheme_.retention};
  run_.assignment.assign(std::size_t{plan_.model.layers} * plan_.model.heads, 0);
  run_.schedule.chunk = scheme_.scheme.chunk_tokens;
  ATTNSCOPE_TRY(validate(run_));
  for (std::uint32_t layer = 0; layer < plan_.model.layers; ++layer) {
    auto made = make_layer_policies(run_, layer);
    if (!made) return made.error();
    layers_.push_back(made.take());
  }
  return success();
}

Status SchemePolicies::appended(std::uint32_t layer, const std::byte* queries, std::uint32_t first, std::uint32_t count) {
  if (!active() || layers_[layer].retention.empty()) return success();
  ATTNSCOPE_TRY(bring(layer, queries, count));
  const std::uint32_t prompt = plan_.prompt_tokens(), kv_heads = plan_.model.kv_heads;
  AppendEvent event;
  event.added = count;
  event.prefill = first < prompt;
  event.first_chunk = first == 0;
  event.prefill_ends = first + count == prompt;
  PolicyInput input(plan_, layer, first + count, prompt);
  const std::size_t width = std::size_t{plan_.model.heads} * plan_.model.head_dim;
  input.set_queries({queries_.data(), count, width, width}, first);
  std::vector<ResidentTokens> resident(kv_heads);
  for (std::uint32_t h = 0; h < kv_heads; ++h) {
    const KvView view = mirror_.view(layer, h, expansions_[h]);
    resident[h] = {view.keys, view.values, mirror_.positions(layer, h), false};
    drop_[h].clear();
  }
  auto& unit = layers_[layer].retention.front();
  ATTNSCOPE_TRY(unit.policy->append(input.with(unit.memo), resident, event, drop_));
  // A prompt in one piece is attended to whole whatever the policy does in its steps.
  const bool whole = event.prefill && scheme_.scheme.chunk_tokens == 0;
  if (whole || !unit.policy->evicts_before_attention()) return success();
  for (std::uint32_t h = 0; h < kv_heads && event.prefill; ++h)
    if (!drop_[h].empty() && drop_[h].back() >= resident[h].size() - count)
      return failure("E_SCHEME", "policy ", scheme_.retention->entry->descriptor.id, " drops tokens of a chunk before its own attention, which no scheme does; "
                     "use a prompt in one piece, smaller chunks, or the policy's setting that attends first");
  return evict(layer);
}

Status SchemePolicies::attended(std::uint32_t layer) { return active() ? evict(layer) : success(); }

Status SchemePolicies::evict(std::uint32_t layer) {
  if (std::all_of(drop_.begin(), drop_.end(), [](const auto& slots) { return slots.empty(); })) return success();
  for (std::uint32_t h = 0; h < drop_.size(); ++h) ATTNSCOPE_TRY(mirror_.evict(layer, h, drop_[h]));  // checks them, too
  ATTNSCOPE_TRY(cache_.evict(drop_));
  for (auto& slots : drop_) slots.clear();
  return success();
}

/// New rows of the layer to the host, in fp32.
Status SchemePolicies::bring(std::uint32_t layer, const std::byte* queries, std::uint32_t count) {
  const ModelPlan& model = plan_.model;
  const std::size_t element = size_of(plan_.vectors), dim = model.head_dim, width = model.heads * dim, head_bytes = count * dim * element, query_bytes = count * width * element;
  DeviceBuffer landing;
  memory_.op = memory::Op::retain;
  ATTNSCOPE_TRY(memory_.allocate_host(landing, query_bytes + 2 * model.kv_heads * head_bytes, memory::Category::activations, "rows that a policy looks at"));
  ATTNSCOPE_TRY(check(device_.download(landing.data(), queries, query_bytes)));
  for (std::uint32_t h = 0; h < model.kv_heads; ++h) {
    const std::uint32_t row = cache_.held(layer, h) - count;
    ATTNSCOPE_TRY(check(device_.download(landing.at(query_bytes + 2 * h * head_bytes), cache_.keys(h, row).data, head_bytes)));
    ATTNSCOPE_TRY(check(device_.download(landing.at(query_bytes + (2 * h + 1) * head_bytes), cache_.values(h, row).data, head_bytes)));
  }
  ATTNSCOPE_TRY(check(device_.synchronize()));
  queries_.resize(count * width);
  to_float(plan_.vectors, landing.data(), count * width, queries_.data());
  rows_.resize(2 * count * dim);
  for (std::uint32_t h = 0; h < model.kv_heads; ++h) {
    to_float(plan_.vectors, landing.at(query_bytes + 2 * h * head_bytes), rows_.size(), rows_.data());
    ATTNSCOPE_TRY(mirror_.append(layer, h, {rows_.data(), count, dim, dim}, {rows_.data() + count * dim, count, dim, dim}));
  }
  return success();
}

}  // namespace attnscope
