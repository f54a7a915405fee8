#include "host/model.h"

#include "host/failure.h"
#include "host/llama.h"

namespace attnscope {
namespace {

struct ModelFamily {
  const char* name;
  Result<std::unique_ptr<Model>> (*make)(const ModelPlan&, const Weights&, ThreadPool&);
};
constexpr ModelFamily kFamilies[] = {{"llama", make_llama}};

}  // namespace

Result<std::unique_ptr<Model>> make_model(const ModelPlan& plan, const Weights& weights, ThreadPool& pool) {
  std::string known;
  for (const ModelFamily& family : kFamilies) {
    if (plan.family == family.name) return family.make(plan, weights, pool);
    known += text(known.empty() ? "" : ", ", family.name);
  }
  return failure("E_PLAN_INVALID", "plan field model.family is \"", plan.family, "\"; this engine knows: ", known);
}

}  // namespace attnscope
