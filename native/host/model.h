// The architecture of a model, cut where the engine needs to look inside: projections, rotation, the rest of a layer.
// A new family implements Model and adds itself to the table in model.cpp.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/views.h"
#include "host/matmul.h"
#include "host/plan.h"
#include "host/weights.h"

namespace attnscope {

/// Rows of activations are fp32; a block is consecutive positions. Called from one thread, which uses the pool.
class Model {
 public:
  virtual ~Model() = default;

  /// Token embeddings into `hidden` [tokens][hidden size].
  virtual void embed(std::span<const std::uint32_t> tokens, MutableRows hidden) = 0;
  /// The layer's queries [rows][heads * head dim], keys and values [rows][kv heads * head dim] before rotation.
  virtual void project(std::uint32_t layer, Rows hidden, MutableRows queries, MutableRows keys, MutableRows values) = 0;
  /// Applies the position encoding in place to queries or keys of all heads, [rows][heads * head dim].
  virtual void rotate(std::uint32_t layer, MutableRows heads, std::uint32_t first_position) = 0;
  /// Adds attention's output projection and the feed-forward network to `hidden`; `attention` is [rows][heads * head dim].
  virtual void finish_layer(std::uint32_t layer, Rows attention, MutableRows hidden) = 0;
  /// Logits [rows][vocabulary size] of the last layer's output.
  virtual void logits(Rows hidden, MutableRows out) = 0;

  /// head_dim / 2 values in radians per token, after scaling.
  virtual std::span<const float> inverse_frequencies() const = 0;
  /// Name of the first tensor with a value that is not finite among the layer's (layer == layers: embedding, final norm
  /// and head); empty if all are finite. Reads every weight: for explaining a failure.
  virtual std::string non_finite_tensor(std::uint32_t layer) const = 0;
};

/// The model of the plan's family over these weights, every tensor's shape checked. Both outlive the model.
Result<std::unique_ptr<Model>> make_model(const ModelPlan& plan, const Weights& weights, ThreadPool& pool);

}  // namespace attnscope
