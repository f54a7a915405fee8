// A random Llama checkpoint on disk and the plan of a capture of it, for tests of the host without Node.
#pragma once
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "host/capture.h"

namespace random_model {

using namespace attnscope;

/// Awkward on purpose: 9 heads over 3 kv heads, head_dim 10 (not hidden / heads, no multiple of a vector register).
inline ModelPlan tiny() {
  ModelPlan m;
  m.family = "llama";
  m.layers = 2, m.heads = 9, m.kv_heads = 3, m.head_dim = 10, m.hidden_size = 28, m.feed_forward_size = 37, m.vocab_size = 61;
  m.norm_epsilon = 1e-5f;
  m.attention_scale = 1 / std::sqrt(10.0f);
  return m;
}

/// bf16 weights of a model in a file that goes when the object does: norms 1, matrices of variance 1 / fan-in.
class Checkpoint {
 public:
  explicit Checkpoint(const ModelPlan& model) : model_(model) {
    char name[] = "/tmp/attnscope-test-XXXXXX";
    std::FILE* file = ::fdopen(::mkstemp(name), "wb");
    path_ = name;
    const std::uint64_t query_width = std::uint64_t{model.heads} * model.head_dim, kv_width = std::uint64_t{model.kv_heads} * model.head_dim;
    const std::uint64_t hidden = model.hidden_size, wide = model.feed_forward_size;
    add(file, "model.embed_tokens.weight", {model.vocab_size, hidden});
    for (std::uint32_t layer = 0; layer < model.layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      add(file, prefix + "input_layernorm.weight", {hidden});
      add(file, prefix + "self_attn.q_proj.weight", {query_width, hidden});
      add(file, prefix + "self_attn.k_proj.weight", {kv_width, hidden});
      add(file, prefix + "self_attn.v_proj.weight", {kv_width, hidden});
      add(file, prefix + "self_attn.o_proj.weight", {hidden, query_width});
      add(file, prefix + "post_attention_layernorm.weight", {hidden});
      add(file, prefix + "mlp.gate_proj.weight", {wide, hidden});
      add(file, prefix + "mlp.up_proj.weight", {wide, hidden});
      add(file, prefix + "mlp.down_proj.weight", {hidden, wide});
    }
    add(file, "model.norm.weight", {hidden});
    if (!model.tied_embeddings) add(file, "lm_head.weight", {model.vocab_size, hidden});
    std::fclose(file);
  }
  ~Checkpoint() { std::remove(path_.c_str()); }
  Checkpoint(const Checkpoint&) = delete;

  /// A plan that writes every table; small edges, so that there are several tiles and levels.
  Plan plan(std::uint32_t tokens, std::uint32_t cell, unsigned threads) const {
    std::mt19937 random(5);
    Plan plan;
    plan.model = model_;
    plan.files = {path_};
    plan.tensors = tensors_;
    for (std::uint32_t i = 0; i < tokens; ++i) plan.tokens.push_back(random() % model_.vocab_size);
    plan.vectors = DType::f16;
    const std::size_t heads = std::size_t{model_.layers} * model_.heads;
    ReducePlan& r = plan.reduce;
    r.cells.assign(heads, cell);
    r.tile_edge = 16, r.thumb_edge = 8, r.sink_tokens = 4, r.local_tokens = 16, r.stats_first_row = 8;
    r.page_tokens = 16, r.query_pool_tokens = 64, r.lag_sink = 16, r.lag_size = 32;
    plan.store.vectors = true;
    plan.store.full_query_heads.assign(heads, 0);
    plan.store.full_query_heads[1] = 1;
    plan.store.query_rows = {tokens - 1};
    plan.threads = threads;
    return plan;
  }

 private:
  void add(std::FILE* file, const std::string& name, std::vector<std::uint64_t> shape) {
    std::uint64_t count = 1;
    for (std::uint64_t extent : shape) count *= extent;
    std::uniform_real_distribution<float> uniform(-1, 1);
    const float spread = std::sqrt(3 / static_cast<float>(shape.back()));
    std::vector<std::uint16_t> bits(count);
    for (std::uint16_t& b : bits)
      b = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(shape.size() == 1 ? 1.0f : uniform(random_) * spread) >> 16);
    std::fwrite(bits.data(), 2, count, file);
    tensors_.push_back({name, 0, offset_, 2 * count, DType::bf16, std::move(shape)});
    offset_ += 2 * count;
  }

  ModelPlan model_;
  std::string path_;
  std::mt19937 random_{3};
  std::uint64_t offset_ = 0;
  std::vector<TensorPlan> tensors_;
};

}  // namespace random_model
