// Policies of the tests' own, and plans of runs with one policy in every head of a random model.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <map>

#include "host/policy_run.h"
#include "random_model.h"

namespace policy_cases {

using namespace attnscope;

inline PolicyChoice choice(const char* text) {
  auto parsed = parse_policy(text);
  if (parsed) return parsed.take();
  std::printf("%s: %s\n", text, parsed.error().message.c_str());
  std::exit(1);
}

/// One policy in every head.
inline PolicyRunPlan plan_of(const random_model::Checkpoint& checkpoint, PolicyChoice policy, std::uint32_t tokens, std::uint32_t steps, DType vectors = DType::f32) {
  PolicyRunPlan plan;
  plan.base = checkpoint.plan(tokens, 1024, 2);
  plan.base.reduce.enabled = false;
  plan.base.store = {};
  plan.base.vectors = vectors;
  plan.base.decode_steps = steps;
  plan.policies = {std::move(policy)};
  plan.assignment.assign(std::size_t(plan.base.model.layers) * plan.base.model.heads, 0);
  return plan;
}

/// Drops every third token as soon as it is older than 8, each kv head another residue. `uneven`: in kv head h older than 8 h, so that caches
/// differ in length.
class EveryThird final : public RetentionPolicy {
 public:
  explicit EveryThird(bool before, bool uneven = false) : before_(before), uneven_(uneven) {}
  Status append(const LayerInput& input, std::span<const ResidentTokens> resident, const AppendEvent&, std::span<std::vector<std::uint32_t>> evict) override {
    for (std::size_t h = 0; h < resident.size(); ++h)
      for (std::uint32_t s = 0; s < resident[h].size(); ++s)
        if (resident[h].positions[s] % 3 == h % 3 && resident[h].positions[s] + (uneven_ ? 8 * h : 8) < input.tokens) evict[h].push_back(s);
    return success();
  }
  bool evicts_before_attention() const override { return before_; }

 private:
  bool before_, uneven_;
};

/// Drops all that there is, the new tokens too.
class DropAll final : public RetentionPolicy {
 public:
  Status append(const LayerInput&, std::span<const ResidentTokens> resident, const AppendEvent&, std::span<std::vector<std::uint32_t>> evict) override {
    for (std::size_t h = 0; h < resident.size(); ++h)
      for (std::uint32_t s = 0; s < resident[h].size(); ++s) evict[h].push_back(s);
    return success();
  }
  bool evicts_before_attention() const override { return true; }
};

/// Names a slot that is not there.
class Faulty final : public RetentionPolicy {
 public:
  Status append(const LayerInput&, std::span<const ResidentTokens> resident, const AppendEvent&, std::span<std::vector<std::uint32_t>> evict) override {
    evict[0].push_back(static_cast<std::uint32_t>(resident[0].size()));
    return success();
  }
};

/// An entry of the catalogue's kind that is in no catalogue.
inline PolicyEntry& entry_of(const char* id, Family family) {
  static std::map<std::string, PolicyEntry> entries;
  PolicyEntry& entry = entries[id];
  entry.descriptor.id = id;
  entry.descriptor.family = family;
  return entry;
}

template <class Policy, bool... Arguments>
PolicyChoice retention(const char* id) {
  PolicyEntry& entry = entry_of(id, Family::retention);
  entry.retention = [](const PolicyConfig&) -> Result<std::unique_ptr<RetentionPolicy>> { return std::unique_ptr<RetentionPolicy>(new Policy(Arguments...)); };
  return {&entry, {}};
}

}  // namespace policy_cases
