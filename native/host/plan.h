// What a run is asked to do: the C++ side of CapturePlan in native/engine.ts, field by field.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/result.h"
#include "core/rope.h"

namespace attnscope {

struct TensorPlan {
  std::string name;
  std::uint32_t file = 0;
  std::uint64_t offset = 0, bytes = 0;
  DType dtype = DType::f32;
  std::vector<std::uint64_t> shape;
};

struct ModelPlan {
  std::string family;
  std::uint32_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  std::uint32_t hidden_size = 0, feed_forward_size = 0, vocab_size = 0;
  float norm_epsilon = 0;
  bool tied_embeddings = false;
  float attention_scale = 0;
  RopeConfig rope;
};

struct ReducePlan {
  bool enabled = true;
  std::vector<std::uint32_t> cells;  // [layers * heads]
  std::uint32_t tile_edge = 0, thumb_edge = 0;
  std::uint32_t sink_tokens = 0, local_tokens = 0, stats_first_row = 0, page_tokens = 0, query_pool_tokens = 0;
  std::uint32_t lag_sink = 0, lag_size = 0;
};

struct StorePlan {
  bool vectors = false;
  std::vector<std::uint8_t> full_query_heads;  // [layers * heads]
  std::vector<std::uint32_t> query_rows;       // ascending prompt positions
  bool logits = false;
};

/// Where a run computes. On the CPU everything but `name` is ignored.
struct DevicePlan {
  std::string name = "cpu";               // "cpu", "cuda" or "cuda:<index>"
  /// Weights stay on the device, or come layer by layer and go again; automatic: streamed where they do not fit beside the rest.
  enum class Weights { automatic, resident, streamed } weights = Weights::automatic;
  std::uint64_t memory_bytes = 0;         // most device memory that the run allocates; 0: what the device has
};

struct Plan {
  ModelPlan model;
  std::vector<std::string> files;
  std::vector<TensorPlan> tensors;
  std::vector<std::uint32_t> tokens;
  std::uint32_t decode_steps = 0;
  std::vector<std::uint32_t> forced;  // decode_steps ids, or empty for greedy decoding
  DType vectors = DType::f32;
  ReducePlan reduce;
  StorePlan store;
  std::vector<std::uint32_t> skip_layers;
  std::uint32_t threads = 1;
  DevicePlan device;

  std::uint32_t prompt_tokens() const { return static_cast<std::uint32_t>(tokens.size()); }
  std::uint32_t total_tokens() const { return prompt_tokens() + decode_steps; }
  std::uint32_t group() const { return model.heads / model.kv_heads; }
  bool skips(std::uint32_t layer) const;
};

/// Refuses, by field name, every value that could crash the engine or make a capture meaningless.
Status validate(const Plan& plan);

}  // namespace attnscope
