#include "host/llama_tensors.h"

#include "host/failure.h"

namespace attnscope {

std::string LlamaTensors::non_finite(std::uint32_t layer) const {
  if (layer < layers.size()) {
    for (const Tensor* tensor : layers[layer].all())
      if (!all_finite(*tensor)) return tensor->name;
  } else {
    for (const Tensor* tensor : {&embedding, &final_norm, &head})
      if (!all_finite(*tensor)) return tensor->name;
  }
  return {};
}

Result<LlamaTensors> find_llama_tensors(const ModelPlan& plan, const Weights& weights) {
  LlamaTensors found;
  auto find = [&](const std::string& name, std::initializer_list<std::uint64_t> shape, Tensor& into) -> Status {
    auto tensor = weights.find(name, std::span(shape.begin(), shape.size()));
    if (!tensor) return tensor.error();
    into = tensor.take();
    return success();
  };
  const std::uint64_t hidden = plan.hidden_size, feed_forward = plan.feed_forward_size, vocabulary = plan.vocab_size;
  const std::uint64_t query_width = std::uint64_t(plan.heads) * plan.head_dim, kv_width = std::uint64_t(plan.kv_heads) * plan.head_dim;

  ATTNSCOPE_TRY(find("model.embed_tokens.weight", {vocabulary, hidden}, found.embedding));
  ATTNSCOPE_TRY(find("model.norm.weight", {hidden}, found.final_norm));
  if (plan.tied_embeddings) found.head = found.embedding;
  else ATTNSCOPE_TRY(find("lm_head.weight", {vocabulary, hidden}, found.head));

  found.layers.resize(plan.layers);
  for (std::size_t i = 0; i < found.layers.size(); ++i) {
    LlamaTensors::Layer& layer = found.layers[i];
    const std::string prefix = text("model.layers.", i, ".");
    ATTNSCOPE_TRY(find(prefix + "input_layernorm.weight", {hidden}, layer.input_norm));
    ATTNSCOPE_TRY(find(prefix + "self_attn.q_proj.weight", {query_width, hidden}, layer.q));
    ATTNSCOPE_TRY(find(prefix + "self_attn.k_proj.weight", {kv_width, hidden}, layer.k));
    ATTNSCOPE_TRY(find(prefix + "self_attn.v_proj.weight", {kv_width, hidden}, layer.v));
    ATTNSCOPE_TRY(find(prefix + "self_attn.o_proj.weight", {hidden, query_width}, layer.o));
    ATTNSCOPE_TRY(find(prefix + "post_attention_layernorm.weight", {hidden}, layer.post_norm));
    ATTNSCOPE_TRY(find(prefix + "mlp.gate_proj.weight", {feed_forward, hidden}, layer.gate));
    ATTNSCOPE_TRY(find(prefix + "mlp.up_proj.weight", {feed_forward, hidden}, layer.up));
    ATTNSCOPE_TRY(find(prefix + "mlp.down_proj.weight", {hidden, feed_forward}, layer.down));
  }
  return found;
}

}  // namespace attnscope
