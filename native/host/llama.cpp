#include "host/llama.h"

#include <algorithm>
#include <array>

#include "core/rope.h"
#include "host/activations.h"
#include "host/failure.h"

namespace attnscope {
namespace {

struct Layer {
  Tensor input_norm, q, k, v, o, post_norm, gate, up, down;
  std::vector<float> input_norm_weight, post_norm_weight;

  std::array<const Tensor*, 9> tensors() const { return {&input_norm, &q, &k, &v, &o, &post_norm, &gate, &up, &down}; }
};

/// Temporary rows that grow to the largest block seen and are reused.
class Workspace {
 public:
  MutableRows rows(std::size_t count, std::size_t dim) {
    if (values_.size() < count * dim) values_.resize(count * dim);
    return {values_.data(), count, dim, dim};
  }

 private:
  std::vector<float> values_;
};

class Llama final : public Model {
 public:
  Llama(const ModelPlan& plan, ThreadPool& pool) : plan_(plan), pool_(pool), matmul_(pool) {}

  Status load(const Weights& weights);

  void embed(std::span<const std::uint32_t> tokens, MutableRows hidden) override {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      to_float(embedding_.dtype, embedding_.row(tokens[i]), hidden.dim, hidden.row(i));
  }

  void project(std::uint32_t layer, Rows hidden, MutableRows queries, MutableRows keys, MutableRows values) override {
    const Layer& w = layers_[layer];
    const MutableRows normed = normed_.rows(hidden.count, hidden.dim);
    rms_norm(hidden, w.input_norm_weight, plan_.norm_epsilon, normed, pool_);
    matmul_.multiply(normed, w.q, queries);
    matmul_.multiply(normed, w.k, keys);
    matmul_.multiply(normed, w.v, values);
  }

  void rotate(std::uint32_t, MutableRows heads, std::uint32_t first_position) override {
    constexpr std::size_t task_rows = 64;
    pool_.parallel_for((heads.count + task_rows - 1) / task_rows, [&](std::size_t task, unsigned) {
      const MutableRows block = heads.slice(task * task_rows, std::min(task_rows, heads.count - task * task_rows));
      const std::uint32_t first = first_position + static_cast<std::uint32_t>(task * task_rows);
      const Rotations rotations = make_rotations(first, block.count, inverse_frequencies_);
      for (std::size_t column = 0; column < heads.dim; column += plan_.head_dim)
        apply_rope({block.data + column, block.count, plan_.head_dim, block.stride}, first, rotations);
    });
  }

  void finish_layer(std::uint32_t layer, Rows attention, MutableRows hidden) override {
    const Layer& w = layers_[layer];
    const MutableRows update = update_.rows(hidden.count, hidden.dim), normed = normed_.rows(hidden.count, hidden.dim);
    matmul_.multiply(attention, w.o, update);
    add(hidden, update, pool_);
    rms_norm(hidden, w.post_norm_weight, plan_.norm_epsilon, normed, pool_);
    const MutableRows gate = gate_.rows(hidden.count, plan_.feed_forward_size), up = up_.rows(hidden.count, plan_.feed_forward_size);
    matmul_.multiply(normed, w.gate, gate);
    matmul_.multiply(normed, w.up, up);
    silu_multiply(gate, up, pool_);
    matmul_.multiply(gate, w.down, update);
    add(hidden, update, pool_);
  }

  void logits(Rows hidden, MutableRows out) override {
    const MutableRows normed = normed_.rows(hidden.count, hidden.dim);
    rms_norm(hidden, final_norm_weight_, plan_.norm_epsilon, normed, pool_);
    matmul_.multiply(normed, head_, out);
  }

  std::span<const float> inverse_frequencies() const override { return inverse_frequencies_; }

  std::string non_finite_tensor(std::uint32_t layer) const override {
    if (layer < layers_.size()) {
      for (const Tensor* tensor : layers_[layer].tensors())
        if (!all_finite(*tensor)) return tensor->name;
    } else {
      for (const Tensor* tensor : {&embedding_, &final_norm_, &head_})
        if (!all_finite(*tensor)) return tensor->name;
    }
    return {};
  }

 private:
  const ModelPlan plan_;
  ThreadPool& pool_;
  MatMul matmul_;
  Tensor embedding_, final_norm_, head_;
  std::vector<float> final_norm_weight_, inverse_frequencies_;
  std::vector<Layer> layers_;
  Workspace normed_, update_, gate_, up_;
};

Status Llama::load(const Weights& weights) {
  auto find = [&](const std::string& name, std::initializer_list<std::uint64_t> shape, Tensor& into) -> Status {
    auto tensor = weights.find(name, std::span(shape.begin(), shape.size()));
    if (!tensor) return tensor.error();
    into = tensor.take();
    return success();
  };
  const std::uint64_t hidden = plan_.hidden_size, feed_forward = plan_.feed_forward_size, vocabulary = plan_.vocab_size;
  const std::uint64_t query_width = std::uint64_t(plan_.heads) * plan_.head_dim, kv_width = std::uint64_t(plan_.kv_heads) * plan_.head_dim;

  ATTNSCOPE_TRY(find("model.embed_tokens.weight", {vocabulary, hidden}, embedding_));
  ATTNSCOPE_TRY(find("model.norm.weight", {hidden}, final_norm_));
  if (plan_.tied_embeddings) head_ = embedding_;
  else ATTNSCOPE_TRY(find("lm_head.weight", {vocabulary, hidden}, head_));
  final_norm_weight_ = to_floats(final_norm_);

  layers_.resize(plan_.layers);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
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
    layer.input_norm_weight = to_floats(layer.input_norm);
    layer.post_norm_weight = to_floats(layer.post_norm);
  }

  auto frequencies = attnscope::inverse_frequencies(plan_.rope, plan_.head_dim);
  if (!frequencies) return frequencies.error();
  inverse_frequencies_ = frequencies.take();
  return success();
}

}  // namespace

Result<std::unique_ptr<Model>> make_llama(const ModelPlan& plan, const Weights& weights, ThreadPool& pool) {
  auto model = std::make_unique<Llama>(plan, pool);
  ATTNSCOPE_TRY(model->load(weights));
  return Result<std::unique_ptr<Model>>(std::move(model));
}

}  // namespace attnscope
