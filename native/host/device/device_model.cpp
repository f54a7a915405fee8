#include "host/device/device_model.h"

#include <algorithm>

#include "core/rope.h"
#include "host/device/device_weights.h"
#include "host/failure.h"
#include "host/layer_forward.h"

namespace attnscope {
namespace device_model {

constexpr const char* kAdvice = "use a shorter --context or --weights streamed";

struct Widths {
  explicit Widths(const ModelPlan& m)
      : hidden(m.hidden_size), query(std::uint64_t(m.heads) * m.head_dim), kv(std::uint64_t(m.kv_heads) * m.head_dim), wide(m.feed_forward_size), vocabulary(m.vocab_size) {}
  std::uint64_t hidden, query, kv, wide, vocabulary;
};

struct Buffers {
  DeviceBuffer normed, scratch, workspace, cosine, sine, ids, counters, counted;
};

/// Offsets in the scratch memory, which projections and feed-forward network take in turn. Rounded attention output is read before
/// the gate's place is written.
struct Scratch {
  std::uint64_t q = 0, k, v, after_projection;       // fp32
  std::uint64_t attention = 0, gate = 0, up, after_finish;  // in the precision of products
  Scratch(const Widths& w, std::uint64_t rows, DType compute) {
    k = aligned(rows * w.query * sizeof(float));
    v = k + aligned(rows * w.kv * sizeof(float));
    after_projection = v + rows * w.kv * sizeof(float);
    up = aligned(rows * w.wide * size_of(compute));
    after_finish = std::max(up + rows * w.wide * size_of(compute), rows * w.query * size_of(compute));
  }
};

/// What the products of a block and of a single row work in.
std::uint64_t workspace_bytes(const Widths& w, std::uint32_t block_rows, DType compute, KernelDevice& device) {
  struct Product { std::uint64_t in, out; DType dtype; bool add; };
  const Product products[] = {{w.hidden, w.query, DType::f32, false}, {w.hidden, w.kv, DType::f32, false}, {w.query, w.hidden, DType::f32, true},
                              {w.hidden, w.wide, compute, false}, {w.wide, w.hidden, DType::f32, true}, {w.hidden, w.vocabulary, DType::f32, false}};
  std::uint64_t most = 0;
  for (const Product& product : products)
    for (const std::uint32_t rows : {block_rows, std::min(block_rows, 64u), 1u}) {
      MultiplyArgs args;
      args.dtype = compute, args.out_dtype = product.dtype, args.add = product.add, args.rows = rows;
      args.in = static_cast<std::uint32_t>(product.in), args.out_width = static_cast<std::uint32_t>(product.out);
      most = std::max<std::uint64_t>(most, device.workspace_bytes(args));
    }
  return most;
}

std::vector<BufferWant> list(const Plan& plan, DType compute, std::uint32_t block_rows, KernelDevice* device, Buffers& buffers) {
  const Widths w(plan.model);
  const Scratch scratch(w, block_rows, compute);
  const std::uint64_t angles = std::uint64_t{plan.total_tokens()} * (plan.model.head_dim / 2) * sizeof(float);
  const std::uint64_t counters = (2 * std::uint64_t{plan.model.layers} + 1) * sizeof(std::uint32_t);
  constexpr auto activations = MemoryCategory::activations;
  return {{&buffers.normed, block_rows * w.hidden * size_of(compute), "a block's normalised rows", activations, kAdvice},
          {&buffers.scratch, std::max(scratch.after_projection, scratch.after_finish), "a block's projections", activations, kAdvice},
          {&buffers.cosine, angles, "the rotations' cosines", activations, kAdvice},
          {&buffers.sine, angles, "the rotations' sines", activations, kAdvice},
          {&buffers.ids, block_rows * sizeof(std::uint32_t), "token ids", activations, kAdvice},
          {&buffers.counters, counters, "counters", activations, kAdvice},
          {&buffers.workspace, device ? workspace_bytes(w, block_rows, compute, *device) : 0, "what matrix products work in", MemoryCategory::workspace, kAdvice},
          {&buffers.counted, counters, "counters", activations, "", true}};
}

}  // namespace device_model

Status check(Outcome outcome) {
  if (outcome == nullptr) return success();
  const std::string_view said = outcome;
  const std::size_t space = said.find(' ');
  if (space == said.npos) return Error{std::string(said), std::string(said)};
  return Error{std::string(said.substr(0, space)), std::string(said.substr(space + 1))};
}

DType compute_of(const Plan& plan, KernelDevice* device) {
  DType stored = DType::bf16;
  for (const TensorPlan& tensor : plan.tensors)
    if (tensor.name == "model.layers.0.self_attn.q_proj.weight") stored = tensor.dtype;
  const bool multiplies_floats = device != nullptr && std::string_view(device->facts().kind) == "cpu";
  return stored == DType::f32 && !multiplies_floats ? DType::bf16 : stored;
}

DeviceNeeds model_needs(const Plan& plan, DType compute, bool streamed, std::uint32_t block_rows, KernelDevice* device) {
  WeightBuffers weights;
  device_model::Buffers buffers;
  DeviceNeeds needs = needs_of(list_weights(plan.model, compute, streamed, weights));
  needs += needs_of(device_model::list(plan, compute, block_rows, device, buffers));
  needs.streamed_weights = streamed;
  return needs;
}

bool streams_weights(const Plan& plan, const DeviceModelOptions& options, DType compute, KernelDevice* device, std::uint64_t available) {
  if (options.weights != DevicePlan::Weights::automatic) return options.weights == DevicePlan::Weights::streamed;
  return model_needs(plan, compute, false, options.block_rows, device).total() + options.other_bytes > available;
}

namespace {

class DeviceLlama final : public DeviceModel {
 public:
  DeviceLlama(const Plan& plan, KernelDevice& device, DType compute, std::uint32_t block_rows)
      : plan_(plan), widths_(plan.model), device_(device), compute_(compute), block_rows_(block_rows) {}

  Status open(const Weights& weights, DeviceMemory& memory, bool streamed) {
    auto found = find_llama_tensors(plan_.model, weights);
    if (!found) return found.error();
    tensors_ = found.take();
    auto frequencies = attnscope::inverse_frequencies(plan_.model.rope, plan_.model.head_dim);
    if (!frequencies) return frequencies.error();
    inverse_frequencies_ = frequencies.take();
    ATTNSCOPE_TRY(allocate(memory, device_model::list(plan_, compute_, block_rows_, &device_, buffers_)));
    auto loaded = DeviceWeights::load(plan_.model, tensors_, compute_, streamed, plan_.threads, device_, memory);
    if (!loaded) return loaded.error();
    weights_ = loaded.take();
    ATTNSCOPE_TRY(check(device_.fill(buffers_.counters.data(), 0, buffers_.counters.bytes())));
    return upload_rotations();
  }

  DType compute() const override { return compute_; }
  bool streams_weights() const override { return weights_->streamed(); }
  std::uint32_t block_rows() const override { return block_rows_; }

  Status embed(std::span<const std::uint32_t> ids, float* hidden) override {
    for (std::size_t begin = 0; begin < ids.size(); begin += block_rows_) {
      const std::size_t rows = std::min<std::size_t>(block_rows_, ids.size() - begin);
      float* out = hidden + begin * widths_.hidden;
      ATTNSCOPE_TRY(check(device_.upload(buffers_.ids.data(), ids.data() + begin, rows * sizeof(std::uint32_t))));
      EmbedArgs args;
      args.dtype = compute_, args.rows = static_cast<std::uint32_t>(rows), args.width = plan_.model.hidden_size;
      args.table = weights_->embedding(), args.ids = buffers_.ids.as<std::uint32_t>(), args.out = out;
      ATTNSCOPE_TRY(check(device_.embed(args)));
      ATTNSCOPE_TRY(count_non_finite(plan_.model.layers, out, rows * widths_.hidden));
    }
    return success();
  }

  Status begin_layer(std::uint32_t layer) override { return weights_->begin_layer(layer); }

  Result<Projected> project(std::uint32_t layer, const float* hidden, std::uint32_t rows) override {
    const DeviceWeights::Layer w = weights_->layer(layer);
    const device_model::Scratch at(widths_, rows, compute_);
    const auto floats = [&](std::uint64_t offset) { return reinterpret_cast<float*>(buffers_.scratch.at(offset)); };
    const Projected out{floats(at.q), floats(at.k), floats(at.v)};
    ATTNSCOPE_TRY(normalise(hidden, rows, w.input_norm));
    ATTNSCOPE_TRY(multiply(buffers_.normed.data(), rows, widths_.hidden, w.q, widths_.query, floats(at.q), DType::f32, false));
    ATTNSCOPE_TRY(multiply(buffers_.normed.data(), rows, widths_.hidden, w.k, widths_.kv, floats(at.k), DType::f32, false));
    ATTNSCOPE_TRY(multiply(buffers_.normed.data(), rows, widths_.hidden, w.v, widths_.kv, floats(at.v), DType::f32, false));
    const std::uint64_t queries = rows * widths_.query, keys = rows * widths_.kv;
    if (out.k == out.q + queries && out.v == out.k + keys) {  // nothing lies between them: one count
      ATTNSCOPE_TRY(count_non_finite(layer, out.q, queries + 2 * keys));
      return out;
    }
    ATTNSCOPE_TRY(count_non_finite(layer, out.q, queries));
    ATTNSCOPE_TRY(count_non_finite(layer, out.k, keys));
    ATTNSCOPE_TRY(count_non_finite(layer, out.v, keys));
    return out;
  }

  Status place(std::uint32_t layer, const float* x, std::uint32_t rows, std::uint32_t heads, std::optional<std::uint32_t> first, const HeadTensor& out) override {
    RotateArgs args;
    args.dtype = plan_.vectors, args.rows = rows, args.heads = heads, args.head_dim = plan_.model.head_dim, args.x = x, args.out = out;
    if (first) {
      const std::size_t skipped = std::size_t{*first} * (plan_.model.head_dim / 2);
      args.cosine = buffers_.cosine.as<float>() + skipped;
      args.sine = buffers_.sine.as<float>() + skipped;
    }
    args.overflowed = buffers_.counters.as<std::uint32_t>() + layer;
    return check(device_.rotate(args));
  }

  Status finish(std::uint32_t layer, const void* attention, DType dtype, std::uint32_t rows, float* hidden) override {
    const DeviceWeights::Layer w = weights_->layer(layer);
    const device_model::Scratch at(widths_, rows, compute_);
    if (dtype != compute_) {
      void* rounded = buffers_.scratch.at(at.attention);
      ATTNSCOPE_TRY(check(device_.cast({dtype, compute_, rows * widths_.query, attention, rounded})));
      attention = rounded;
    }
    ATTNSCOPE_TRY(multiply(attention, rows, widths_.query, w.o, widths_.hidden, hidden, DType::f32, true));
    ATTNSCOPE_TRY(normalise(hidden, rows, w.post_norm));
    void *gate = buffers_.scratch.at(at.gate), *up = buffers_.scratch.at(at.up);
    ATTNSCOPE_TRY(multiply(buffers_.normed.data(), rows, widths_.hidden, w.gate, widths_.wide, gate, compute_, false));
    ATTNSCOPE_TRY(multiply(buffers_.normed.data(), rows, widths_.hidden, w.up, widths_.wide, up, compute_, false));
    ATTNSCOPE_TRY(check(device_.activate({compute_, rows * widths_.wide, gate, up})));
    ATTNSCOPE_TRY(multiply(gate, rows, widths_.wide, w.down, widths_.hidden, hidden, DType::f32, true));
    return count_non_finite(layer, hidden, rows * widths_.hidden);
  }

  Status logits(const float* hidden, std::uint32_t rows, float* out) override {
    ATTNSCOPE_TRY(normalise(hidden, rows, weights_->final_norm()));
    ATTNSCOPE_TRY(multiply(buffers_.normed.data(), rows, widths_.hidden, weights_->head(), widths_.vocabulary, out, DType::f32, false));
    return count_non_finite(plan_.model.layers, out, rows * widths_.vocabulary);
  }

  const std::uint32_t* counter_data() const override { return buffers_.counters.as<std::uint32_t>(); }
  std::size_t counters() const override { return 2 * std::size_t{plan_.model.layers} + 1; }

  Status judge(std::span<const std::uint32_t> counted) const override { return judge_counters(plan_, tensors_, compute_, counted); }

  Status check_counters() override {
    ATTNSCOPE_TRY(check(device_.download(buffers_.counted.data(), buffers_.counters.data(), buffers_.counters.bytes())));
    ATTNSCOPE_TRY(check(device_.synchronize()));
    return judge({buffers_.counted.as<std::uint32_t>(), counters()});
  }

  Status count_non_finite(std::uint32_t layer, const float* x, std::uint64_t count) override {
    return check(device_.count_non_finite({count, x, buffers_.counters.as<std::uint32_t>() + plan_.model.layers + layer}));
  }

  std::span<const float> inverse_frequencies() const override { return inverse_frequencies_; }

 private:
  Status normalise(const float* x, std::uint32_t rows, const float* weight) {
    return check(device_.norm({compute_, rows, plan_.model.hidden_size, x, weight, plan_.model.norm_epsilon, buffers_.normed.data()}));
  }

  Status multiply(const void* x, std::uint32_t rows, std::uint64_t in, const void* w, std::uint64_t out_width, void* out, DType out_dtype, bool add) {
    MultiplyArgs args;
    args.dtype = compute_, args.out_dtype = out_dtype, args.add = add, args.rows = rows;
    args.in = static_cast<std::uint32_t>(in), args.out_width = static_cast<std::uint32_t>(out_width);
    args.x = x, args.w = w, args.out = out, args.workspace = buffers_.workspace.data();
    if (device_.workspace_bytes(args) > buffers_.workspace.bytes())
      return failure("E_KERNEL_MEMORY", "a matrix product of ", rows, " rows needs more memory to work in than was set aside; this is a fault of the engine, report it");
    return check(device_.multiply(args));
  }

  /// Angles of all positions, in pieces, on several threads: 128K positions of 64 channels take half a second on one.
  Status upload_rotations() {
    constexpr std::uint32_t piece = 32768, task_rows = 512;
    const std::size_t half = inverse_frequencies_.size();
    ThreadPool pool(std::clamp(plan_.threads, 1u, 8u));
    std::vector<float> cosine, sine;
    for (std::uint32_t begin = 0; begin < plan_.total_tokens(); begin += piece) {
      const std::uint32_t count = std::min(piece, plan_.total_tokens() - begin);
      cosine.resize(count * half);
      sine.resize(count * half);
      pool.parallel_for((count + task_rows - 1) / task_rows, [&](std::size_t task, unsigned) {
        const auto first = static_cast<std::uint32_t>(task * task_rows);
        const Rotations rotations = make_rotations(begin + first, std::min(task_rows, count - first), inverse_frequencies_);
        std::copy(rotations.cos.begin(), rotations.cos.end(), cosine.begin() + static_cast<std::ptrdiff_t>(first * half));
        std::copy(rotations.sin.begin(), rotations.sin.end(), sine.begin() + static_cast<std::ptrdiff_t>(first * half));
      });
      const std::uint64_t at = begin * half * sizeof(float), bytes = count * half * sizeof(float);
      ATTNSCOPE_TRY(check(device_.upload(buffers_.cosine.at(at), cosine.data(), bytes)));
      ATTNSCOPE_TRY(check(device_.upload(buffers_.sine.at(at), sine.data(), bytes)));
    }
    return success();
  }

  const Plan& plan_;
  const device_model::Widths widths_;
  KernelDevice& device_;
  const DType compute_;
  const std::uint32_t block_rows_;
  LlamaTensors tensors_;
  std::vector<float> inverse_frequencies_;
  device_model::Buffers buffers_;
  std::unique_ptr<DeviceWeights> weights_;
};

}  // namespace

Status judge_counters(const Plan& plan, const LlamaTensors& tensors, DType compute, std::span<const std::uint32_t> counted) {
  const std::uint32_t layers = plan.model.layers;
  const auto overflowed = counted.first(layers), not_numbers = counted.subspan(layers);
  // A value of the embedding that is no number makes every layer's so.
  if (not_numbers[layers] != 0)
    if (const std::string tensor = tensors.non_finite(layers); !tensor.empty()) return not_finite(tensor, layers, layers, compute);
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    // What overflows is infinite afterwards: only then it may be the reason for the rest.
    if (overflowed[layer] != 0) return vectors_overflow(overflowed[layer], "queries, keys and values", layer, plan.vectors);
    if (not_numbers[layer] != 0) return not_finite(tensors.non_finite(layer), layer, layers, compute);
  }
  if (not_numbers[layers] != 0) return not_finite({}, layers, layers, compute);
  return success();
}

Status check_device(const Plan& plan, KernelDevice& device, DType compute) {
  const bool computes_floats = std::string_view(device.facts().kind) == "cpu";
  if (!computes_floats && (plan.vectors == DType::f32 || compute == DType::f32))
    return failure("E_DEVICE_DTYPE", device.facts().name, " attends to 16-bit vectors only; run with --vectors bf16 or f16");
  constexpr std::uint32_t largest_dim = 128;  // of the CUDA kernels (native/cuda/mma_tile.h)
  if (!computes_floats && plan.model.head_dim > largest_dim)
    return failure("E_KERNEL_HEAD_DIM", "the model has head_dim ", plan.model.head_dim, ", CUDA kernels take up to ", largest_dim, "; run it with --device cpu");
  if (plan.model.family != "llama") return failure("E_PLAN_INVALID", "plan field model.family is \"", plan.model.family, "\"; on a device this engine knows: llama");
  return success();
}

Result<std::unique_ptr<DeviceModel>> open_device_model(const Plan& plan, const Weights& weights, KernelDevice& device, DeviceMemory& memory,
                                                       const DeviceModelOptions& options) {
  const DType compute = options.compute.value_or(compute_of(plan, &device));
  ATTNSCOPE_TRY(check_device(plan, device, compute));
  const bool streamed = streams_weights(plan, options, compute, &device, memory.available());
  auto model = std::make_unique<DeviceLlama>(plan, device, compute, options.block_rows);
  ATTNSCOPE_TRY(model->open(weights, memory, streamed));
  return Result<std::unique_ptr<DeviceModel>>(std::move(model));
}

}  // namespace attnscope
