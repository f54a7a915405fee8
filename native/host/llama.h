// The Llama family: RMSNorm, grouped-query attention with half-split RoPE, SwiGLU, tied or untied head.
// (Touvron et al. 2023, arXiv 2302.13971; names and layout as Hugging Face LlamaForCausalLM)
#pragma once
#include "host/model.h"

namespace attnscope {

Result<std::unique_ptr<Model>> make_llama(const ModelPlan& plan, const Weights& weights, ThreadPool& pool);

}  // namespace attnscope
