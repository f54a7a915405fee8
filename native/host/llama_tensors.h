// The tensors of a Llama checkpoint, by what they do; shapes checked when they are found.
#pragma once
#include <array>

#include "host/weights.h"

namespace attnscope {

struct LlamaTensors {
  struct Layer {
    Tensor input_norm, q, k, v, o, post_norm, gate, up, down;
    std::array<const Tensor*, 9> all() const { return {&input_norm, &q, &k, &v, &o, &post_norm, &gate, &up, &down}; }
  };
  Tensor embedding, final_norm, head;  // head: the embedding where they are tied
  std::vector<Layer> layers;

  /// As Model::non_finite_tensor().
  std::string non_finite(std::uint32_t layer) const;
};

Result<LlamaTensors> find_llama_tensors(const ModelPlan& plan, const Weights& weights);

}  // namespace attnscope
