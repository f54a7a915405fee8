// One call of a model in an execution scheme: S new tokens through every layer. Memory is taken and given back as scheme_plan.h says.
#pragma once
#include "host/device/device_weights.h"
#include "host/device/scheme_policies.h"

namespace attnscope {

/// Rows of every piece that `rows` are computed in.
std::uint32_t piece_rows(const memory::MiniSequence& mini, std::uint32_t rows);

class SchemeForward {
 public:
  /// All arguments outlive this.
  SchemeForward(const Plan& plan, const SchemePlan& scheme, DType compute, KernelDevice& device, SchemeMemory& memory, SchemeCache& cache, SchemePolicies& policies);

  /// Takes what the run holds to its end, and loads the weights.
  Status open(const Weights& weights, bool streamed);

  struct Call {
    std::span<const std::uint32_t> ids;
    std::uint32_t first = 0;                 // position of ids[0]
    bool decodes = false;
    bool last = false;                       // of its phase: what comes next is not known yet
    float* all_logits = nullptr;             // host memory for those of every row, or not wanted
    std::function<Status(std::uint32_t)> before_layer;
  };
  /// Logits of the last row are in last_logits() afterwards, where the scheme computes them for this call.
  Status run(const Call& call);
  std::span<const float> last_logits() const { return {row_logits_.as<float>(), plan_.model.vocab_size}; }

 private:
  using Category = memory::Category;
  using Op = memory::Op;
  Status attention(const Call& call, std::uint32_t layer);
  Status attend(const Call& call, std::uint32_t layer, std::uint32_t part, const DeviceBuffer& queries, const DeviceBuffer& out, std::uint32_t lead);
  Status attend_prompt(std::uint32_t head, std::uint32_t kv_head, std::uint32_t kv_heads, std::uint32_t held, std::uint32_t rows, const DeviceBuffer& queries,
                       const DeviceBuffer& out, std::uint32_t lead);
  Status attend_step(std::uint32_t head, std::uint32_t kv_head, std::uint32_t kv_heads, std::uint32_t keys, const DeviceBuffer& queries, const DeviceBuffer& out);
  Status mlp(const Call& call, std::uint32_t layer);
  Status logits(const Call& call);
  bool last_mlp_alone(const Call& call, std::uint32_t layer) const;

  Status rotations(const Call& call);
  Status normalise(const float* x, std::uint32_t rows, const float* weight, DeviceBuffer& into);
  Status multiply(const void* x, std::uint32_t rows, std::uint64_t in, const void* w, std::uint64_t out_width, void* out, DType out_dtype, bool add);
  Status rotate(std::uint32_t layer, const DeviceBuffer& x, std::uint32_t rows, std::uint32_t heads, bool rotated, const HeadTensor& out);
  Status count_non_finite(std::uint32_t layer, const float* x, std::uint64_t count);
  std::uint64_t workspace_bytes() const;

  const Plan& plan_;
  const ModelPlan& model_;
  const SchemePlan& scheme_;
  const DType compute_;
  KernelDevice& device_;
  SchemeMemory& memory_;
  SchemeCache& cache_;
  SchemePolicies& policies_;
  const std::uint64_t query_width_, kv_width_, element_;
  LlamaTensors tensors_;
  std::vector<float> inverse_frequencies_;
  std::unique_ptr<DeviceWeights> weights_;
  DeviceBuffer workspace_, counters_, counted_, row_logits_;
  // Of a call.
  DeviceBuffer hidden_, cosine_, sine_;
};

}  // namespace attnscope
