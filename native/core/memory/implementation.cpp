#include "core/memory/implementation.h"

#include <string>

#include "core/memory/hf.h"

namespace attnscope::memory {
namespace known {
namespace {

constexpr Implementation all[] = {
    {"hf-eager-fa2", "transformers 4.45 to 4.50, eager, FlashAttention-2: the stack that MOM measured.",
     [](const Config& c, Recorder& r) { hf_script(c, HfAttention::fa2, r); }, [](const Config& c) { return hf_closed_form(c, HfAttention::fa2); }, true},
    {"hf-sdpa",
     "transformers 4.45 to 4.50, eager, scaled_dot_product_attention: keys and values are repeated for every query head, calls after the first make a mask.",
     [](const Config& c, Recorder& r) { hf_script(c, HfAttention::sdpa, r); }, [](const Config& c) { return hf_closed_form(c, HfAttention::sdpa); }, true},
};

constexpr const char* stages[] = {"load",   "mask", "rotary",     "norm", "rope",       "append",  "attention",
                                  "retain", "mlp",  "mlp_concat", "add",  "final_norm", "lm_head", "reload"};
constexpr const char* formulas[] = {
    "W",
    "W + KV + n u + 2 e n T: a mask and the copy that cuts it",
    "W + KV + n u + angles, cosines and sines in fp32",
    "W + KV + 2..3 n u + an fp32 copy and its squares, 8 n d",
    "W + KV + 3 n u + n max(4 q + 2 k, 2 q + 5 k): rotated halves and products",
    "W + KV + the keys of a layer once more, k T + n (3 u + q + 2 k)",
    "W + KV + 3 n u + 2 n q + keys and values repeated for every head, or an fp32 sum a head",
    "W + KV + what a layer keeps, copied",
    "W + KV + 4 n u + 3 n i, of the largest piece and the outputs before it",
    "W + KV + 4 n u + 2 n u: pieces and their concatenation",
    "W + KV + 4..5 n u",
    "W + KV + 2 n u + an fp32 copy and its squares, 8 n d",
    "W + KV + n u + v a row of logits",
    "W + all keys and values + the last call's logits",
};
static_assert(std::size(formulas) == std::size(stages));

}  // namespace
}  // namespace known

const char* name_of(Stage stage) { return known::stages[static_cast<std::size_t>(stage)]; }

const char* formula_of(Stage stage) { return known::formulas[static_cast<std::size_t>(stage)]; }

std::span<const Implementation> implementations() { return known::all; }

Result<const Implementation*> find_implementation(std::string_view id) {
  std::string names;
  for (const Implementation& i : known::all) {
    if (id == i.id) return &i;
    names += (names.empty() ? "" : ", ") + std::string(i.id);
  }
  return Error{"E_MEMORY_IMPLEMENTATION", "no implementation is called \"" + std::string(id) + "\"; there are " + names};
}

Status run_script(const Implementation& implementation, const Config& config, EventSink& sink) {
  if (Status valid = validate(config); !valid) return valid;
  Recorder recorder(sink);
  implementation.script(config, recorder);
  return success();
}

Result<ClosedForm> peak(const Implementation& implementation, const Config& config) {
  if (const Status valid = validate(config); !valid) return valid.error();
  if (implementation.closed_form != nullptr) return implementation.closed_form(config);
  Peak peak;
  Recorder recorder(peak);
  implementation.script(config, recorder);
  ClosedForm out{peak.bytes, Stage::load, peak.event.phase, peak.event.step, peak.event.layer, peak.by_category};
  switch (peak.event.op) {
    case Op::mask: out.stage = Stage::mask; break;
    case Op::inputs: case Op::embed: case Op::rotary: out.stage = Stage::rotary; break;
    case Op::norm: out.stage = Stage::norm; break;
    case Op::qkv: case Op::rope: out.stage = Stage::rope; break;
    case Op::append: case Op::prefetch: case Op::evict: out.stage = Stage::append; break;
    case Op::attention: case Op::out_proj: out.stage = Stage::attention; break;
    case Op::retain: out.stage = Stage::retain; break;
    case Op::mlp: out.stage = Stage::mlp; break;
    case Op::mlp_concat: out.stage = Stage::mlp_concat; break;
    case Op::add: out.stage = Stage::add; break;
    case Op::final_norm: out.stage = Stage::final_norm; break;
    case Op::lm_head: out.stage = Stage::lm_head; break;
    case Op::reload: out.stage = Stage::reload; break;
    case Op::weights: case Op::end: break;
  }
  return out;
}

}  // namespace attnscope::memory
