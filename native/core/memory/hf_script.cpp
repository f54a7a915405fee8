// One request in transformers 4.45 to 4.50, eager, in the order in which tensors come and go. Functions hold their arguments and
// locals: the model its embeddings, the layer loop each layer's input, a runner the last logits until the next call has made its own.
#include <algorithm>
#include <vector>

#include "core/memory/hf.h"
#include "core/memory/hf_cache.h"

namespace attnscope::memory {

HfWidths::HfWidths(const Config& c, std::uint32_t parts) {
  const ModelShape& m = c.model;
  element = size_of(c.dtype);
  half = element == 2;
  hidden = element * m.hidden;
  ff = element * m.feed_forward;
  vocab = element * m.vocab;
  q = element * m.heads * m.head_dim;
  part_q = q / parts;
  part_kv = element * m.kv_heads * m.head_dim / parts;
  lse = 4ull * m.heads / parts;
  trig = element * m.head_dim;
}

std::uint64_t hf_mlp_piece(const Config& c, std::uint64_t tokens) {
  const MiniSequence& mini = c.scheme.mini;
  if (mini.mode == MiniSequence::Mode::by_size) return std::min<std::uint64_t>(tokens, mini.piece_tokens);
  if (mini.mode == MiniSequence::Mode::by_count) return (tokens + mini.pieces - 1) / mini.pieces;
  return tokens;
}

namespace hf_scripts {
namespace {

class Script {
 public:
  Script(const Config& config, HfAttention attention, Recorder& recorder)
      : c_(config), attention_(attention), r_(recorder), cache_(config, recorder), w_(config, cache_.parts()) {}

  void run() {
    load();
    r_.phase = Phase::prefill;
    alloc(w_.id * c_.prompt_tokens, Category::residual, Op::inputs);  // token ids, to the end
    const std::uint32_t calls = prefill_calls(c_);
    for (std::uint32_t call = 0; call < calls && r_.going(); ++call) {
      r_.step = call;
      const std::uint64_t tokens = call_tokens(c_, call);
      forward(tokens, logit_rows(c_, tokens));
    }
    if (c_.scheme.offload.unit != Offload::Unit::none && c_.scheme.offload.reload) {
      r_.phase = Phase::reload;
      cache_.reload();
    }
    r_.free(logits_, Op::end);
    r_.phase = Phase::decode;
    for (std::uint32_t step = 0; step < c_.decode_steps && r_.going(); ++step) {
      r_.step = step;
      forward(1, 1);
    }
  }

 private:
  Block alloc(std::uint64_t bytes, Category category, Op op) { return r_.alloc(bytes, category, op); }

  void load() {
    for (const WeightTensor& tensor : weight_tensors(c_.model, c_.dtype)) {
      r_.layer = tensor.layer;
      alloc(tensor.bytes, Category::weights, Op::weights);
    }
    r_.layer = -1;
    alloc(c_.policy.resident, Category::index, Op::inputs);
    if (c_.scheme.cache == Scheme::Cache::in_place) cache_.allocate(std::uint64_t{c_.prompt_tokens} + c_.decode_steps);
  }

  void forward(std::uint64_t n, std::uint64_t rows) {
    r_.layer = -1;
    embeddings_ = alloc(w_.hidden * n, Category::residual, Op::embed);
    Block positions = alloc(w_.position * n, Category::residual, Op::inputs), mask = make_mask(n);
    Block cosine, sine;
    if (!workspace_.held) workspace_ = alloc(c_.workspace_bytes, Category::workspace, Op::inputs);  // with the first product
    rotary(n, cosine, sine);
    Block hidden = embeddings_;
    for (std::uint32_t layer = 0; layer < c_.model.layers && r_.going(); ++layer) {
      r_.layer = static_cast<std::int16_t>(layer);
      Block next = decoder_layer(layer, n);
      if (layer > 0) r_.free(hidden, Op::add);
      hidden = next;
    }
    r_.layer = -1;
    Block normed = norm(n, Op::final_norm);
    r_.free(Op::final_norm, hidden, embeddings_, cosine, sine, positions, mask);
    Block logits = alloc(w_.vocab * rows, Category::logits, Op::lm_head);
    if (c_.scheme.logits.upcast && w_.half) {
      Block upcast = alloc(2 * w_.vocab * rows, Category::logits, Op::lm_head);
      r_.free(logits, Op::lm_head);
      logits = upcast;
    }
    r_.free(normed, Op::lm_head);
    r_.free(logits_, Op::lm_head);
    logits_ = logits;
  }

  /// Only where queries are not the last rows of a square: the kernel's own causal mask does otherwise.
  Block make_mask(std::uint64_t n) {
    const std::uint64_t held = cache_.tokens(0);
    if (attention_ != HfAttention::sdpa || n == 1 || held == 0) return {};
    const std::uint64_t cells = n * (held + n);
    Block full = alloc(w_.element * cells, Category::attention, Op::mask), mask = alloc(w_.element * cells, Category::attention, Op::mask);
    r_.free(full, Op::mask);
    Block hidden = alloc(cells, Category::attention, Op::mask);
    r_.free(hidden, Op::mask);
    return mask;
  }

  void rotary(std::uint64_t n, Block& cosine, Block& sine) {
    const std::uint64_t fp32 = 4ull * c_.model.head_dim * n;
    Block angles = alloc(fp32 / 2, Category::residual, Op::rotary), both = alloc(fp32, Category::residual, Op::rotary);
    cosine = alloc(fp32, Category::residual, Op::rotary);
    sine = alloc(fp32, Category::residual, Op::rotary);
    if (w_.half) {
      Block cosine16 = alloc(w_.trig * n, Category::residual, Op::rotary), sine16 = alloc(w_.trig * n, Category::residual, Op::rotary);
      r_.free(Op::rotary, cosine, sine);
      cosine = cosine16, sine = sine16;
    }
    r_.free(Op::rotary, angles, both);
  }

  /// RMS norm in fp32: copy, squares, their mean, the scaled rows, and back.
  Block norm(std::uint64_t n, Op op = Op::norm) {
    const std::uint64_t fp32 = 4ull * c_.model.hidden * n, bytes = w_.hidden * n;
    Block copy = alloc(w_.half ? fp32 : 0, Category::norm, op), squares = alloc(fp32, Category::norm, op);
    Block variance = alloc(w_.variance * n, Category::norm, op);
    r_.free(squares, op);
    Block scaled = alloc(fp32, Category::norm, op);
    r_.free(copy, op);
    Block cast = alloc(w_.half ? bytes : 0, Category::norm, op);
    Block out = alloc(bytes, Category::norm, op);
    r_.free(op, cast, scaled, variance);
    return out;
  }

  Block decoder_layer(std::uint32_t layer, std::uint64_t n) {
    const std::uint64_t row = w_.hidden * n;
    Block normed = norm(n), attended = attention(layer, n);
    Block projected = alloc(row, Category::attention, Op::out_proj);
    r_.free(Op::out_proj, attended, normed);
    Block residual = alloc(row, Category::residual, Op::add);
    r_.free(projected, Op::add);
    normed = norm(n);
    const bool last_token = r_.phase == Phase::prefill && layer + 1 == c_.model.layers && last_token_mlp(c_);
    Block out = last_token ? mlp(1) : mlp_in_pieces(n);
    r_.free(normed, Op::mlp);
    Block next = alloc(row, Category::residual, Op::add);
    r_.free(Op::add, out, residual);
    return next;
  }

  Block attention(std::uint32_t layer, std::uint64_t n) {
    const std::uint32_t parts = cache_.parts();
    Block index = alloc(r_.phase == Phase::prefill ? c_.policy.per_layer_call : 0, Category::index, Op::attention);
    std::vector<Block> outs(parts);
    for (std::uint32_t part = 0; part < parts; ++part) outs[part] = attention_part(layer, layer * parts + part, n);
    r_.free(index, Op::attention);
    if (parts == 1) return outs[0];
    Block out = alloc(w_.q * n, Category::attention, Op::attention);
    for (Block& part : outs) r_.free(part, Op::attention);
    return out;
  }

  Block attention_part(std::uint32_t layer, std::uint32_t slot, std::uint64_t n) {
    const std::uint64_t held = cache_.tokens(slot);
    const Category fresh = cache_.fresh(slot);
    Block q = alloc(w_.part_q * n, Category::attention, Op::qkv), k = alloc(w_.part_kv * n, Category::attention, Op::qkv),
          v = alloc(w_.part_kv * n, fresh, Op::qkv);
    Block turned_q = rope(w_.part_q * n, Category::attention), turned_k = rope(w_.part_kv * n, fresh);
    r_.free(Op::rope, q, k);
    cache_.append(slot, turned_k, v, n);

    const std::uint64_t tokens = held + n;
    Block repeated_k, repeated_v, lse;
    if (attention_ == HfAttention::sdpa && c_.model.heads > c_.model.kv_heads) {
      repeated_k = alloc(w_.part_q * tokens, Category::attention, Op::attention);
      repeated_v = alloc(w_.part_q * tokens, Category::attention, Op::attention);
    }
    Block out = alloc(w_.part_q * n, Category::attention, Op::attention);
    if (attention_ == HfAttention::fa2) lse = alloc(w_.lse * n, Category::attention, Op::attention);
    r_.free(Op::attention, lse, repeated_k, repeated_v, turned_q);
    cache_.done();
    cache_.retain(slot, kept(layer, held, tokens));
    return out;
  }

  std::uint64_t kept(std::uint32_t layer, std::uint64_t held, std::uint64_t tokens) const {
    if (r_.phase == Phase::prefill) return kept_after_call(c_, r_.step, layer, tokens);
    return !c_.retention.kept.empty() && c_.retention.decode == Retention::Decode::holds ? held : tokens;
  }

  /// x cos + rotate_half(x) sin, of one of q and k.
  Block rope(std::uint64_t bytes, Category category) {
    Block by_cosine = alloc(bytes, Category::attention, Op::rope), negated = alloc(bytes / 2, Category::attention, Op::rope);
    Block rotated = alloc(bytes, Category::attention, Op::rope);
    r_.free(negated, Op::rope);
    Block by_sine = alloc(bytes, Category::attention, Op::rope);
    r_.free(rotated, Op::rope);
    Block out = alloc(bytes, category, Op::rope);
    r_.free(Op::rope, by_cosine, by_sine);
    return out;
  }

  Block mlp_in_pieces(std::uint64_t n) {
    const std::uint64_t piece = hf_mlp_piece(c_, n);
    if (piece >= n) return mlp(n);
    std::vector<Block> outs;
    for (std::uint64_t at = 0; at < n; at += piece) outs.push_back(mlp(std::min(piece, n - at)));
    Block out = alloc(w_.hidden * n, Category::mlp, Op::mlp_concat);
    for (Block& part : outs) r_.free(part, Op::mlp_concat);
    return out;
  }

  Block mlp(std::uint64_t n) {
    Block gate = alloc(w_.ff * n, Category::mlp, Op::mlp), active = alloc(w_.ff * n, Category::mlp, Op::mlp);
    r_.free(gate, Op::mlp);
    Block up = alloc(w_.ff * n, Category::mlp, Op::mlp), product = alloc(w_.ff * n, Category::mlp, Op::mlp);
    r_.free(Op::mlp, active, up);
    Block out = alloc(w_.hidden * n, Category::mlp, Op::mlp);
    r_.free(product, Op::mlp);
    return out;
  }

  const Config& c_;
  HfAttention attention_;
  Recorder& r_;
  HfCache cache_;
  HfWidths w_;
  Block embeddings_, logits_, workspace_;
};

}  // namespace
}  // namespace hf_scripts

void hf_script(const Config& config, HfAttention attention, Recorder& recorder) { hf_scripts::Script(config, attention, recorder).run(); }

}  // namespace attnscope::memory
