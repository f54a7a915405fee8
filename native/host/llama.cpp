#include "host/llama.h"

#include <algorithm>

#include "core/rope.h"
#include "host/activations.h"
#include "host/failure.h"
#include "host/llama_tensors.h"

namespace attnscope {
namespace {

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
      to_float(tensors_.embedding.dtype, tensors_.embedding.row(tokens[i]), hidden.dim, hidden.row(i));
  }

  void project(std::uint32_t layer, Rows hidden, MutableRows queries, MutableRows keys, MutableRows values) override {
    const LlamaTensors::Layer& w = tensors_.layers[layer];
    const MutableRows normed = normed_.rows(hidden.count, hidden.dim);
    rms_norm(hidden, norms_[layer].input, plan_.norm_epsilon, normed, pool_);
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
    const LlamaTensors::Layer& w = tensors_.layers[layer];
    const MutableRows update = update_.rows(hidden.count, hidden.dim), normed = normed_.rows(hidden.count, hidden.dim);
    matmul_.multiply(attention, w.o, update);
    add(hidden, update, pool_);
    rms_norm(hidden, norms_[layer].post, plan_.norm_epsilon, normed, pool_);
    const MutableRows gate = gate_.rows(hidden.count, plan_.feed_forward_size), up = up_.rows(hidden.count, plan_.feed_forward_size);
    matmul_.multiply(normed, w.gate, gate);
    matmul_.multiply(normed, w.up, up);
    silu_multiply(gate, up, pool_);
    matmul_.multiply(gate, w.down, update);
    add(hidden, update, pool_);
  }

  void logits(Rows hidden, MutableRows out) override {
    const MutableRows normed = normed_.rows(hidden.count, hidden.dim);
    rms_norm(hidden, final_norm_, plan_.norm_epsilon, normed, pool_);
    matmul_.multiply(normed, tensors_.head, out);
  }

  std::span<const float> inverse_frequencies() const override { return inverse_frequencies_; }

  std::string non_finite_tensor(std::uint32_t layer) const override { return tensors_.non_finite(layer); }

 private:
  const ModelPlan plan_;
  ThreadPool& pool_;
  MatMul matmul_;
  LlamaTensors tensors_;
  struct NormWeights { std::vector<float> input, post; };
  std::vector<NormWeights> norms_;  // [layers]
  std::vector<float> final_norm_, inverse_frequencies_;
  Workspace normed_, update_, gate_, up_;
};

Status Llama::load(const Weights& weights) {
  auto found = find_llama_tensors(plan_, weights);
  if (!found) return found.error();
  tensors_ = found.take();
  final_norm_ = to_floats(tensors_.final_norm);
  for (const LlamaTensors::Layer& layer : tensors_.layers) norms_.push_back({to_floats(layer.input_norm), to_floats(layer.post_norm)});

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
