// The peak of hf_script without running it: the largest of a forward pass's stages, at the layers and calls that can hold it. Keys
// and values only grow from call to call and layer to layer, so those are the first and last ones; a retention policy may keep
// what it likes, then all of them are looked at.
#include <algorithm>
#include <vector>

#include "core/memory/hf.h"

namespace attnscope::memory {
namespace hf_forms {
namespace {

/// What is held at one moment beside weights, workspace, tables and token ids.
struct Held {
  std::uint64_t kv = 0, residual = 0, norm = 0, attention = 0, mlp = 0, logits = 0, index = 0;
  std::uint64_t sum() const { return kv + residual + norm + attention + mlp + logits + index; }
};

class Form {
 public:
  Form(const Config& c, HfAttention attention)
      : c_(c), attention_(attention), layers_(c.model.layers), parts_(c.scheme.offload.unit == Offload::Unit::head ? c.model.kv_heads : 1), w_(c, parts_),
        slots_(std::uint64_t{layers_} * parts_), in_place_(c.scheme.cache == Scheme::Cache::in_place),
        offloaded_(c.scheme.offload.unit != Offload::Unit::none && slots_ > 2) {
    if (!c.retention.kept.empty()) held_.resize(layers_), after_.resize(layers_);
  }

  ClosedForm peak() {
    const std::uint32_t calls = prefill_calls(c_);
    const bool every = c_.retention.kept.size() > layers_;
    for (std::uint32_t call = 0; call < calls; ++call) {
      if (!every && call == 1 && calls > 3) call = calls - 2;
      prefill(call);
    }
    const std::uint64_t rows = logit_rows(c_, call_tokens(c_, calls - 1));
    if (offloaded_ && c_.scheme.offload.reload) {
      phase_ = Phase::reload;
      offloaded_ = false;
      look(Stage::reload, -1, {.kv = all_after(), .logits = final_logits(rows)});
    }
    if (c_.decode_steps > 0) decode(c_.decode_steps - 1);
    return result();
  }

 private:
  void prefill(std::uint32_t call) {
    phase_ = Phase::prefill, step_ = call;
    const std::uint64_t n = call_tokens(c_, call), before = std::uint64_t{call} * c_.scheme.chunk_tokens;
    held_all_ = before, after_all_ = before + n;
    for (std::size_t l = 0; l < held_.size(); ++l) {
      const auto layer = static_cast<std::uint32_t>(l);
      held_[l] = call == 0 ? 0 : c_.retention.kept.size() > layers_ ? after_[l] : kept_after_call(c_, 0, layer, before);
      after_[l] = kept_after_call(c_, call, layer, held_[l] + n);
    }
    previous_ = call == 0 ? 0 : final_logits(logit_rows(c_, call_tokens(c_, call - 1)));
    forward(n, logit_rows(c_, n));
  }

  void decode(std::uint32_t step) {
    phase_ = Phase::decode, step_ = step;
    held_all_ = std::uint64_t{c_.prompt_tokens} + step, after_all_ = held_all_ + 1;
    const bool grows = c_.retention.decode == Retention::Decode::grows;
    for (std::size_t l = 0; l < held_.size(); ++l) {
      held_[l] = after_[l] + (grows ? step : 0);
      after_[l] = held_[l] + (grows ? 1 : 0);
    }
    previous_ = step == 0 ? 0 : final_logits(1);
    forward(1, 1);
  }

  void forward(std::uint64_t n, std::uint64_t rows) {
    n_ = n;
    const std::uint64_t u = w_.hidden * n, position = w_.position * n, fp32 = 4ull * c_.model.head_dim * n;
    const std::uint64_t cells = attention_ == HfAttention::sdpa && n > 1 && held(0) > 0 ? n * (held(0) + n) : 0;
    mask_ = w_.element * cells;
    kv_ = offloaded_ ? (held(0) == 0 ? 0 : entry(held(0)) + entry(held(layers_ - 1))) : in_place_ ? in_place_bytes() : all_held();
    common_ = 0, mask_in_ = 0;
    look(Stage::mask, -1, {.kv = kv_, .residual = u + position, .attention = 2 * mask_});
    mask_in_ = mask_;
    look(Stage::rotary, -1, {.kv = kv_, .residual = u + position + 7 * fp32 / 2 + (w_.half ? 2 * w_.trig * n : 0)});
    common_ = position + 2 * w_.trig * n;

    const bool every = !held_.empty();
    for (std::uint32_t l = 0; l < layers_; ++l) {
      if (!every && l == 3 && layers_ > 5) l = layers_ - 2, kv_ = uniform_before(l);
      layer(l);
    }
    const std::uint64_t end = offloaded_ ? entry(after(0)) + entry(after(layers_ - 1)) : in_place_ ? in_place_bytes() : all_after();
    look(Stage::final_norm, -1, {.kv = end, .residual = 2 * u, .norm = norm_peak()});
    common_ = 0, mask_in_ = 0;
    const std::uint64_t upcast = c_.scheme.logits.upcast && w_.half ? 3 : 1;
    look(Stage::lm_head, -1, {.kv = end, .norm = u, .logits = upcast * w_.vocab * rows});
  }

  void layer(std::uint32_t l) {
    const std::uint64_t u = w_.hidden * n_, input = (l > 0 ? 2 : 1) * u, q = w_.q * n_;
    const std::uint64_t index = phase_ == Phase::prefill ? c_.policy.per_layer_call : 0;
    if (offloaded_) kv_ = offloaded_before(l, 0);
    look(Stage::norm, l, {.kv = kv_, .residual = input, .norm = norm_peak()});
    for (std::uint32_t part = 0; part < parts_; ++part) {
      if (part == 3 && parts_ > 5) {  // heads differ by what their layer holds beside them: the first ones and the last
        if (!offloaded_ && !in_place_) kv_ += (parts_ - 4) * (entry(after(l)) - entry(held(l)));
        part = parts_ - 1;
      }
      attention_part(l, part, {.residual = input, .norm = u, .attention = part * w_.part_q * n_, .index = index});
    }
    if (parts_ > 1) look(Stage::attention, l, {.kv = kv_, .residual = input, .norm = u, .attention = 2 * q});
    look(Stage::attention, l, {.kv = kv_, .residual = input, .norm = u, .attention = q + u});
    look(Stage::add, l, {.kv = kv_, .residual = input + u, .attention = u});
    look(Stage::norm, l, {.kv = kv_, .residual = input + u, .norm = norm_peak()});
    const Held around{.kv = kv_, .residual = input + u, .norm = u};
    const bool last_token = phase_ == Phase::prefill && l + 1 == layers_ && last_token_mlp(c_);
    if (last_token) mlp(l, around, 1, 0);
    else mlp_in_pieces(l, around);
    look(Stage::add, l, {.kv = kv_, .residual = input + 2 * u, .mlp = last_token ? w_.hidden : u});
  }

  /// One part's way from projections to retained entry; `around` is what the layer holds meanwhile. Moves kv_ on.
  void attention_part(std::uint32_t l, std::uint32_t part, const Held& around) {
    const std::uint64_t had = held(l), tokens = had + n_, q = w_.part_q * n_, k = w_.part_kv * n_;
    const bool quantized = c_.kv.quantized(), stays = !in_place_ && !quantized && had == 0;
    if (offloaded_) kv_ = offloaded_before(l, part);
    Held now = around;
    now.kv = kv_, now.attention += 4 * q + k, (stays ? now.kv : now.attention) += k;
    look(Stage::rope, l, now);
    now = around;
    now.kv = kv_ + (stays ? 2 * k : 0), now.attention += 2 * q + (stays ? 3 * k : 5 * k);
    look(Stage::rope, l, now);

    now = around;
    now.attention += q + (stays ? 0 : 2 * k);
    const std::uint64_t plain = quantized ? 2 * (had > 0 ? w_.part_kv * tokens : k) : 0;
    if (had > 0) now.attention += plain;
    if (!stays) {
      now.kv = kv_ + (in_place_ ? 0 : appending(l, part, tokens));
      look(Stage::append, l, now);
    }
    if (offloaded_) kv_ = offloaded_after(l, part);
    else if (!in_place_) kv_ += entry(tokens) - entry(had);

    now = around;
    now.kv = kv_;
    const std::uint64_t repeated = attention_ == HfAttention::sdpa && c_.model.heads > c_.model.kv_heads ? 2 * w_.part_q * tokens : 0;
    now.attention += q + plain + repeated + q + (attention_ == HfAttention::fa2 ? w_.lse * n_ : 0);
    look(Stage::attention, l, now);

    const std::uint64_t kept = after(l);
    if (kept >= tokens) return;
    now = around;
    now.attention += q, now.index += c_.retention.scratch_bytes;
    now.kv = kv_ + std::max(keys(kept), keys(kept) - keys(tokens) + values(kept));
    if (keys(tokens) > keys(kept) + values(kept)) now.kv = kv_ + keys(kept);
    look(Stage::retain, l, now);
    kv_ += entry(kept) - entry(tokens);
  }

  /// The most that appending adds: new keys, then new values without the old keys, unless a host copy of both was just brought.
  std::uint64_t appending(std::uint32_t l, std::uint32_t part, std::uint64_t tokens) const {
    const std::uint64_t had = held(l), new_k = keys(tokens), new_v = values(tokens);
    if (had == 0) return new_k + new_v;
    if (offloaded_) return offloaded_after(l, part) + entry(had) - kv_;
    return std::max(new_k, new_k - keys(had) + new_v);
  }

  void mlp_in_pieces(std::uint32_t l, const Held& around) {
    const std::uint64_t piece = hf_mlp_piece(c_, n_);
    if (piece >= n_) return mlp(l, around, n_, 0);
    const std::uint64_t last = (n_ - 1) / piece;
    for (std::uint64_t at = last - 1; at <= last; ++at) mlp(l, around, std::min(piece, n_ - at * piece), at * piece * w_.hidden);
    Held now = around;
    now.mlp = 2 * w_.hidden * n_;
    look(Stage::mlp_concat, l, now);
  }

  void mlp(std::uint32_t l, Held now, std::uint64_t n, std::uint64_t outputs) {
    now.mlp = outputs + n * std::max(3 * w_.ff, w_.ff + w_.hidden);
    look(Stage::mlp, l, now);
  }

  std::uint64_t norm_peak() const {
    const std::uint64_t fp32 = 4ull * c_.model.hidden * n_, variance = w_.variance * n_;
    return variance + (w_.half ? 2 * fp32 : std::max(fp32, fp32 + w_.hidden * n_));
  }

  // Keys and values. Where they are offloaded, two or three entries are on the device: the first layer's through the whole first
  // call, the one before until the current one is appended to, later the next one, on its way.
  std::uint64_t stored(const KvScales& scales, std::uint64_t tokens) const {
    return stored_bytes(c_.kv.type, scales, w_.element, tokens, c_.model.kv_heads / parts_, c_.model.head_dim);
  }
  std::uint64_t keys(std::uint64_t tokens) const { return stored(c_.kv.keys, tokens); }
  std::uint64_t values(std::uint64_t tokens) const { return stored(c_.kv.values, tokens); }
  std::uint64_t entry(std::uint64_t tokens) const { return keys(tokens) + values(tokens); }
  std::uint64_t held(std::uint32_t l) const { return held_.empty() ? held_all_ : held_[l]; }
  std::uint64_t after(std::uint32_t l) const { return held_.empty() ? after_all_ : after_[l]; }
  std::uint64_t in_place_bytes() const { return slots_ * entry(std::uint64_t{c_.prompt_tokens} + c_.decode_steps); }
  std::uint64_t uniform_before(std::uint32_t l) const {
    return in_place_ ? in_place_bytes() : parts_ * (l * entry(after_all_) + (layers_ - l) * entry(held_all_));
  }
  std::uint64_t all_held() const { return total(held_, held_all_); }
  std::uint64_t all_after() const { return total(after_, after_all_); }
  std::uint64_t total(const std::vector<std::uint64_t>& by_layer, std::uint64_t uniform) const {
    if (by_layer.empty()) return slots_ * entry(uniform);
    std::uint64_t sum = 0;
    for (const std::uint64_t tokens : by_layer) sum += parts_ * entry(tokens);
    return sum;
  }
  std::uint64_t offloaded_before(std::uint32_t l, std::uint32_t part) const {
    const std::uint64_t slot = std::uint64_t{l} * parts_ + part;
    const std::uint32_t previous = part > 0 ? l : l - 1;
    if (held(l) == 0) return (slot > 0 ? entry(after(0)) : 0) + (slot > 1 ? entry(after(previous)) : 0);
    return entry(held(l)) + (slot > 0 ? entry(after(previous)) : entry(held(layers_ - 1)));
  }
  std::uint64_t offloaded_after(std::uint32_t l, std::uint32_t part) const {
    const std::uint64_t slot = std::uint64_t{l} * parts_ + part, own = entry(held(l) + n_);
    if (held(l) == 0) return own + (slot > 0 ? entry(after(0)) : 0);
    if (slot + 1 == slots_) return own + entry(after(0));
    return own + entry(held(part + 1 < parts_ ? l : l + 1));
  }

  std::uint64_t final_logits(std::uint64_t rows) const { return w_.vocab * rows * (c_.scheme.logits.upcast && w_.half ? 2 : 1); }

  void look(Stage stage, std::int64_t l, Held now) {
    now.residual += common_, now.attention += mask_in_, now.logits += phase_ == Phase::reload ? 0 : previous_;
    const std::uint64_t sum = now.sum();
    if (sum <= most_) return;
    most_ = sum, best_ = now;
    out_.stage = stage, out_.phase = phase_, out_.step = step_, out_.layer = static_cast<std::int16_t>(l);
  }

  ClosedForm result() {
    const auto set = [&](Category category, std::uint64_t bytes) { out_.by_category[static_cast<std::size_t>(category)] = bytes; };
    set(Category::weights, weight_bytes(c_.model, c_.dtype));
    set(Category::workspace, c_.workspace_bytes);
    set(Category::index, c_.policy.resident + best_.index);
    set(Category::kv, best_.kv);
    set(Category::residual, w_.id * c_.prompt_tokens + best_.residual);
    set(Category::norm, best_.norm);
    set(Category::attention, best_.attention);
    set(Category::mlp, best_.mlp);
    set(Category::logits, best_.logits);
    for (const std::uint64_t bytes : out_.by_category) out_.bytes += bytes;
    return out_;
  }

  const Config& c_;
  const HfAttention attention_;
  const std::uint32_t layers_, parts_;
  const HfWidths w_;
  const std::uint64_t slots_;
  const bool in_place_;
  bool offloaded_;
  Phase phase_ = Phase::prefill;
  std::uint32_t step_ = 0;
  std::uint64_t n_ = 0, held_all_ = 0, after_all_ = 0;   // tokens of the call, and of the cache before and after it
  std::vector<std::uint64_t> held_, after_;              // by layer, where a policy evicts
  std::uint64_t kv_ = 0;                                 // on the device now
  std::uint64_t previous_ = 0, common_ = 0, mask_ = 0, mask_in_ = 0;
  std::uint64_t most_ = 0;
  Held best_;
  ClosedForm out_;
};

}  // namespace
}  // namespace hf_forms

ClosedForm hf_closed_form(const Config& config, HfAttention attention) { return hf_forms::Form(config, attention).peak(); }

}  // namespace attnscope::memory
