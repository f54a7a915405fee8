#include "host/device/scheme_forward.h"

#include <algorithm>
#include <set>

#include "core/rope.h"
#include "host/device/device_model.h"
#include "host/failure.h"

namespace attnscope {

std::uint32_t piece_rows(const memory::MiniSequence& mini, std::uint32_t rows) {
  if (mini.mode == memory::MiniSequence::Mode::by_size) return std::min(rows, mini.piece_tokens);
  if (mini.mode == memory::MiniSequence::Mode::by_count) return (rows + mini.pieces - 1) / mini.pieces;
  return rows;
}

SchemeForward::SchemeForward(const Plan& plan, const SchemePlan& scheme, DType compute, KernelDevice& device, SchemeMemory& memory, SchemeCache& cache, SchemePolicies& policies)
    : plan_(plan), model_(plan.model), scheme_(scheme), compute_(compute), device_(device), memory_(memory), cache_(cache), policies_(policies),
      query_width_(std::uint64_t{model_.heads} * model_.head_dim), kv_width_(std::uint64_t{model_.kv_heads} * model_.head_dim), element_(size_of(plan.vectors)) {}

Status SchemeForward::open(const Weights& weights, bool streamed) {
  auto found = find_llama_tensors(model_, weights);
  if (!found) return found.error();
  tensors_ = found.take();
  auto frequencies = attnscope::inverse_frequencies(model_.rope, model_.head_dim);
  if (!frequencies) return frequencies.error();
  inverse_frequencies_ = frequencies.take();
  memory_.op = Op::weights;
  const std::uint64_t counters = (2 * std::uint64_t{model_.layers} + 1) * sizeof(std::uint32_t);
  ATTNSCOPE_TRY(memory_.allocate(workspace_, workspace_bytes(), Category::workspace, "what matrix products work in"));
  ATTNSCOPE_TRY(memory_.allocate(counters_, counters, Category::activations, "counters"));
  ATTNSCOPE_TRY(memory_.allocate_host(counted_, counters, Category::activations, "counters"));
  ATTNSCOPE_TRY(memory_.allocate_host(row_logits_, std::uint64_t{model_.vocab_size} * sizeof(float), Category::logits, "a row's logits"));
  ATTNSCOPE_TRY(check(device_.fill(counters_.data(), 0, counters_.bytes())));
  auto loaded = DeviceWeights::load(model_, tensors_, compute_, streamed, plan_.threads, device_, memory_.device());
  if (!loaded) return loaded.error();
  weights_ = loaded.take();
  return success();
}

/// The most that any product of the run works in: of every number of rows that pieces and their remainders have.
std::uint64_t SchemeForward::workspace_bytes() const {
  const std::uint32_t prompt = plan_.prompt_tokens(), chunk = scheme_.scheme.chunk_tokens == 0 ? prompt : std::min(scheme_.scheme.chunk_tokens, prompt);
  std::set<std::uint32_t> rows{1};
  for (const std::uint32_t call : {chunk, prompt % chunk}) {
    if (call == 0) continue;
    const std::uint32_t piece = piece_rows(scheme_.scheme.mini, call);
    rows.insert({call, piece});
    if (call % piece != 0) rows.insert(call % piece);
  }
  struct Product { std::uint64_t in, out; DType dtype; bool add; };
  const Product products[] = {{model_.hidden_size, query_width_, DType::f32, false}, {model_.hidden_size, kv_width_, DType::f32, false},
                              {query_width_, model_.hidden_size, DType::f32, true}, {model_.hidden_size, model_.feed_forward_size, compute_, false},
                              {model_.feed_forward_size, model_.hidden_size, DType::f32, true}, {model_.hidden_size, model_.vocab_size, DType::f32, false}};
  std::uint64_t most = 0;
  for (const Product& product : products)
    for (const std::uint32_t count : rows) {
      MultiplyArgs args;
      args.dtype = compute_, args.out_dtype = product.dtype, args.add = product.add, args.rows = count;
      args.in = static_cast<std::uint32_t>(product.in), args.out_width = static_cast<std::uint32_t>(product.out);
      most = std::max<std::uint64_t>(most, device_.workspace_bytes(args));
    }
  return most;
}

Status SchemeForward::run(const Call& call) {
  const auto rows = static_cast<std::uint32_t>(call.ids.size());
  memory_.layer = -1;
  memory_.op = Op::embed;
  ATTNSCOPE_TRY(memory_.allocate(hidden_, std::uint64_t{rows} * model_.hidden_size * sizeof(float), Category::residual, "the residual stream"));
  {
    memory_.op = Op::inputs;
    DeviceBuffer ids;
    ATTNSCOPE_TRY(memory_.allocate(ids, call.ids.size_bytes(), Category::activations, "token ids"));
    ATTNSCOPE_TRY(check(device_.upload(ids.data(), call.ids.data(), call.ids.size_bytes())));
    ATTNSCOPE_TRY(rotations(call));
    memory_.op = Op::embed;
    ATTNSCOPE_TRY(check(device_.embed({compute_, rows, model_.hidden_size, weights_->embedding(), ids.as<std::uint32_t>(), hidden_.as<float>()})));
    ATTNSCOPE_TRY(count_non_finite(model_.layers, hidden_.as<float>(), std::uint64_t{rows} * model_.hidden_size));
  }
  for (std::uint32_t layer = 0; layer < model_.layers; ++layer) {
    memory_.layer = static_cast<std::int16_t>(layer);
    if (call.before_layer) ATTNSCOPE_TRY(call.before_layer(layer));
    ATTNSCOPE_TRY(weights_->begin_layer(layer));
    ATTNSCOPE_TRY(attention(call, layer));
    ATTNSCOPE_TRY(mlp(call, layer));
  }
  memory_.layer = -1;
  ATTNSCOPE_TRY(logits(call));
  memory_.op = Op::end;
  cosine_ = {}, sine_ = {}, hidden_ = {};
  ATTNSCOPE_TRY(check(device_.download(counted_.data(), counters_.data(), counters_.bytes())));
  ATTNSCOPE_TRY(check(device_.synchronize()));
  return judge_counters(plan_, tensors_, compute_, {counted_.as<std::uint32_t>(), counted_.bytes() / sizeof(std::uint32_t)});
}

Status SchemeForward::rotations(const Call& call) {
  const Rotations made = make_rotations(call.first, call.ids.size(), inverse_frequencies_);
  memory_.op = Op::rotary;
  ATTNSCOPE_TRY(memory_.allocate(cosine_, made.cos.size() * sizeof(float), Category::activations, "the rotations' cosines"));
  ATTNSCOPE_TRY(memory_.allocate(sine_, made.sin.size() * sizeof(float), Category::activations, "the rotations' sines"));
  ATTNSCOPE_TRY(check(device_.upload(cosine_.data(), made.cos.data(), cosine_.bytes())));
  return check(device_.upload(sine_.data(), made.sin.data(), sine_.bytes()));
}

Status SchemeForward::attention(const Call& call, std::uint32_t layer) {
  const auto rows = static_cast<std::uint32_t>(call.ids.size());
  const DeviceWeights::Layer w = weights_->layer(layer);
  const std::uint64_t float_row = rows * sizeof(float);
  DeviceBuffer q, k, v;
  {
    DeviceBuffer normed;
    ATTNSCOPE_TRY(normalise(hidden_.as<float>(), rows, w.input_norm, normed));
    memory_.op = Op::qkv;
    const struct { DeviceBuffer& into; const void* weight; std::uint64_t width; const char* what; } products[] = {
        {q, w.q, query_width_, "queries before rotation"}, {k, w.k, kv_width_, "keys before rotation"}, {v, w.v, kv_width_, "values before rounding"}};
    for (const auto& product : products) {
      ATTNSCOPE_TRY(memory_.allocate(product.into, product.width * float_row, Category::attention, product.what));
      ATTNSCOPE_TRY(multiply(normed.data(), rows, model_.hidden_size, product.weight, product.width, product.into.data(), DType::f32, false));
      ATTNSCOPE_TRY(count_non_finite(layer, product.into.as<float>(), rows * product.width));
    }
  }

  // Attention over a prompt begins at multiples of 64: rows before the first new one are zeros that nobody looks at.
  std::uint32_t lead = 0;
  for (std::uint32_t h = 0; h < model_.kv_heads && !call.decodes; ++h) lead = std::max(lead, cache_.held(layer, h) % 64);
  memory_.op = Op::rope;
  DeviceBuffer queries, keys, values;
  const std::uint64_t row_bytes = query_width_ * element_;
  ATTNSCOPE_TRY(memory_.allocate(queries, (lead + rows) * row_bytes, Category::attention, "queries"));
  if (lead > 0) ATTNSCOPE_TRY(check(device_.fill(queries.data(), 0, lead * row_bytes)));
  ATTNSCOPE_TRY(rotate(layer, q, rows, model_.heads, true, {queries.at(lead * row_bytes), model_.head_dim, query_width_}));
  q = {};
  // Where kv heads do not stand at the same row of one piece of memory, they are computed apart and copied.
  const bool apart = cache_.parts() > 1 || !cache_.uniform(layer);
  const std::uint64_t head_stride = std::uint64_t{rows} * model_.head_dim;
  if (apart) {
    ATTNSCOPE_TRY(memory_.allocate(keys, rows * kv_width_ * element_, Category::attention, "keys"));
    ATTNSCOPE_TRY(memory_.allocate(values, rows * kv_width_ * element_, Category::attention, "values"));
    ATTNSCOPE_TRY(rotate(layer, k, rows, model_.kv_heads, true, {keys.data(), head_stride, model_.head_dim}));
    ATTNSCOPE_TRY(rotate(layer, v, rows, model_.kv_heads, false, {values.data(), head_stride, model_.head_dim}));
    k = {}, v = {};
  }

  DeviceBuffer out;
  const std::uint32_t parts = cache_.parts(), heads = cache_.heads_of_part();
  for (std::uint32_t part = 0; part < parts; ++part) {
    ATTNSCOPE_TRY(cache_.begin(layer, part, rows, call.last && layer + 1 == model_.layers && part + 1 == parts));
    if (apart) {
      for (std::uint32_t h = 0; h < heads; ++h) {
        const std::uint32_t kv_head = part * heads + h, row = cache_.held(layer, kv_head);
        const std::uint64_t from = kv_head * head_stride * element_, bytes = head_stride * element_;
        ATTNSCOPE_TRY(check(device_.copy(cache_.keys(h, row).data, keys.at(from), bytes)));
        ATTNSCOPE_TRY(check(device_.copy(cache_.values(h, row).data, values.at(from), bytes)));
      }
    } else {
      const std::uint32_t row = cache_.held(layer, 0);
      ATTNSCOPE_TRY(rotate(layer, k, rows, model_.kv_heads, true, cache_.keys(0, row)));
      ATTNSCOPE_TRY(rotate(layer, v, rows, model_.kv_heads, false, cache_.values(0, row)));
    }
    memory_.op = Op::append;
    k = {}, v = {};
    ATTNSCOPE_TRY(cache_.appended(rows));
    ATTNSCOPE_TRY(policies_.appended(layer, queries.at(lead * row_bytes), call.first, rows));
    memory_.op = Op::attention;
    if (!out) ATTNSCOPE_TRY(memory_.allocate(out, call.decodes ? query_width_ * sizeof(float) : (lead + rows) * row_bytes, Category::attention, "attention's output"));
    ATTNSCOPE_TRY(attend(call, layer, part, queries, out, lead));
    ATTNSCOPE_TRY(policies_.attended(layer));
    ATTNSCOPE_TRY(cache_.end());
  }
  memory_.op = Op::attention;
  keys = {}, values = {}, queries = {};

  memory_.op = Op::out_proj;
  const DType held = call.decodes ? DType::f32 : plan_.vectors;
  const std::byte* attended = out.at(call.decodes ? 0 : lead * row_bytes);
  DeviceBuffer cast;
  if (held != compute_) {
    ATTNSCOPE_TRY(memory_.allocate(cast, rows * query_width_ * size_of(compute_), Category::attention, "attention's output, rounded"));
    ATTNSCOPE_TRY(check(device_.cast({held, compute_, rows * query_width_, attended, cast.data()})));
    out = {};
    attended = cast.at(0);
  }
  return multiply(attended, rows, query_width_, w.o, model_.hidden_size, hidden_.data(), DType::f32, true);
}

/// All heads of a part at once where they hold as many rows, else a kv head after the other.
Status SchemeForward::attend(const Call& call, std::uint32_t layer, std::uint32_t part, const DeviceBuffer& queries, const DeviceBuffer& out, std::uint32_t lead) {
  const std::uint32_t heads = cache_.heads_of_part(), first = part * heads, together = heads == 1 || cache_.uniform(layer) ? heads : 1;
  for (std::uint32_t h = 0; h < heads; h += together) {
    const std::uint32_t held = cache_.held(layer, first + h);
    ATTNSCOPE_TRY(call.decodes ? attend_step(h, first + h, together, held, queries, out)
                               : attend_prompt(h, first + h, together, held, static_cast<std::uint32_t>(call.ids.size()), queries, out, lead));
  }
  return success();
}

Status SchemeForward::attend_prompt(std::uint32_t head, std::uint32_t kv_head, std::uint32_t kv_heads, std::uint32_t held, std::uint32_t rows, const DeviceBuffer& queries,
                                    const DeviceBuffer& out, std::uint32_t lead) {
  const std::uint32_t before = held - rows, padding = before % 64, group = plan_.group();
  const std::uint64_t at = ((lead - padding) * query_width_ + std::uint64_t{kv_head} * group * model_.head_dim) * element_;
  AttentionArgs args;
  args.dtype = plan_.vectors, args.heads = kv_heads * group, args.kv_heads = kv_heads, args.head_dim = model_.head_dim;
  args.first_query = before - padding, args.queries = padding + rows, args.keys = held, args.scale = model_.attention_scale;
  args.q = {queries.at(at), model_.head_dim, query_width_}, args.out = {out.at(at), model_.head_dim, query_width_};
  args.k = cache_.keys(head, 0), args.v = cache_.values(head, 0);
  return check(device_.dense(args));
}

Status SchemeForward::attend_step(std::uint32_t head, std::uint32_t kv_head, std::uint32_t kv_heads, std::uint32_t keys, const DeviceBuffer& queries, const DeviceBuffer& out) {
  const std::uint32_t group = plan_.group();
  const std::uint64_t at = std::uint64_t{kv_head} * group * model_.head_dim;
  if (keys == 0) return check(device_.fill(out.at(at * sizeof(float)), 0, std::uint64_t{kv_heads} * group * model_.head_dim * sizeof(float)));
  DecodeArgs args;
  args.dtype = plan_.vectors, args.heads = kv_heads * group, args.kv_heads = kv_heads, args.head_dim = model_.head_dim;
  args.keys = keys, args.scale = model_.attention_scale;
  args.q = {queries.at(at * element_), model_.head_dim, query_width_};
  args.k = cache_.keys(head, 0), args.v = cache_.values(head, 0);
  args.out = out.as<float>() + at;
  DeviceBuffer lse, workspace;
  ATTNSCOPE_TRY(memory_.allocate(lse, args.heads * sizeof(float), Category::attention, "log-sum-exps of a row"));
  ATTNSCOPE_TRY(memory_.allocate(workspace, device_.workspace_bytes(args), Category::workspace, "what decode attention works in"));
  args.lse = lse.as<float>(), args.workspace = workspace.data();
  return check(device_.decode(args));
}

bool SchemeForward::last_mlp_alone(const Call& call, std::uint32_t layer) const {
  if (layer + 1 != model_.layers || call.decodes || scheme_.scheme.logits.rows != memory::LogitsMode::Rows::last) return false;
  memory::Config config;
  config.model.family = scheme_.family;
  config.scheme = scheme_.scheme;
  return memory::last_token_mlp(config);
}

Status SchemeForward::mlp(const Call& call, std::uint32_t layer) {
  const auto all = static_cast<std::uint32_t>(call.ids.size());
  const DeviceWeights::Layer w = weights_->layer(layer);
  const std::uint64_t wide = model_.feed_forward_size;
  const std::uint32_t piece = call.decodes ? all : piece_rows(scheme_.scheme.mini, all);
  for (std::uint32_t begin = last_mlp_alone(call, layer) ? all - 1 : 0; begin < all; begin += piece) {
    const std::uint32_t rows = std::min(piece, all - begin);
    float* hidden = hidden_.as<float>() + std::uint64_t{begin} * model_.hidden_size;
    DeviceBuffer normed, gate, up;
    ATTNSCOPE_TRY(normalise(hidden, rows, w.post_norm, normed));
    memory_.op = Op::mlp;
    ATTNSCOPE_TRY(memory_.allocate(gate, rows * wide * size_of(compute_), Category::mlp, "the MLP's gate"));
    ATTNSCOPE_TRY(multiply(normed.data(), rows, model_.hidden_size, w.gate, wide, gate.data(), compute_, false));
    ATTNSCOPE_TRY(memory_.allocate(up, rows * wide * size_of(compute_), Category::mlp, "the MLP's up projection"));
    ATTNSCOPE_TRY(multiply(normed.data(), rows, model_.hidden_size, w.up, wide, up.data(), compute_, false));
    ATTNSCOPE_TRY(check(device_.activate({compute_, rows * wide, gate.data(), up.data()})));
    ATTNSCOPE_TRY(multiply(gate.data(), rows, wide, w.down, model_.hidden_size, hidden, DType::f32, true));
    ATTNSCOPE_TRY(count_non_finite(layer, hidden, std::uint64_t{rows} * model_.hidden_size));
    up = {}, gate = {}, normed = {};
  }
  return success();
}

Status SchemeForward::logits(const Call& call) {
  const auto all = static_cast<std::uint32_t>(call.ids.size());
  const bool of_last = call.decodes || scheme_.scheme.logits.rows == memory::LogitsMode::Rows::last;
  if (of_last && !call.last && !call.decodes) return success();
  const std::uint64_t width = model_.vocab_size;
  const std::uint32_t piece = of_last ? 1 : piece_rows(scheme_.scheme.mini, all);
  for (std::uint32_t begin = of_last ? all - 1 : 0; begin < all; begin += piece) {
    const std::uint32_t rows = std::min(piece, all - begin);
    DeviceBuffer normed, out;
    ATTNSCOPE_TRY(normalise(hidden_.as<float>() + std::uint64_t{begin} * model_.hidden_size, rows, weights_->final_norm(), normed));
    memory_.op = Op::lm_head;
    ATTNSCOPE_TRY(memory_.allocate(out, rows * width * sizeof(float), Category::logits, "logits"));
    ATTNSCOPE_TRY(multiply(normed.data(), rows, model_.hidden_size, weights_->head(), width, out.data(), DType::f32, false));
    ATTNSCOPE_TRY(count_non_finite(model_.layers, out.as<float>(), rows * width));
    if (call.all_logits != nullptr) ATTNSCOPE_TRY(check(device_.download(call.all_logits + begin * width, out.data(), out.bytes())));
    if (begin + rows == all) ATTNSCOPE_TRY(check(device_.download(row_logits_.data(), out.at((rows - 1) * width * sizeof(float)), width * sizeof(float))));
    out = {}, normed = {};
  }
  return success();
}

Status SchemeForward::normalise(const float* x, std::uint32_t rows, const float* weight, DeviceBuffer& into) {
  memory_.op = weight == weights_->final_norm() ? Op::final_norm : Op::norm;
  ATTNSCOPE_TRY(memory_.allocate(into, std::uint64_t{rows} * model_.hidden_size * size_of(compute_), Category::norm, "normalised rows"));
  return check(device_.norm({compute_, rows, model_.hidden_size, x, weight, model_.norm_epsilon, into.data()}));
}

Status SchemeForward::multiply(const void* x, std::uint32_t rows, std::uint64_t in, const void* w, std::uint64_t out_width, void* out, DType out_dtype, bool add) {
  MultiplyArgs args;
  args.dtype = compute_, args.out_dtype = out_dtype, args.add = add, args.rows = rows;
  args.in = static_cast<std::uint32_t>(in), args.out_width = static_cast<std::uint32_t>(out_width);
  args.x = x, args.w = w, args.out = out, args.workspace = workspace_.data();
  if (device_.workspace_bytes(args) > workspace_.bytes())
    return failure("E_KERNEL_MEMORY", "a matrix product of ", rows, " rows needs more memory to work in than was set aside; this is a fault of the engine, report it");
  return check(device_.multiply(args));
}

Status SchemeForward::rotate(std::uint32_t layer, const DeviceBuffer& x, std::uint32_t rows, std::uint32_t heads, bool rotated, const HeadTensor& out) {
  RotateArgs args;
  args.dtype = plan_.vectors, args.rows = rows, args.heads = heads, args.head_dim = model_.head_dim, args.x = x.as<float>(), args.out = out;
  if (rotated) args.cosine = cosine_.as<float>(), args.sine = sine_.as<float>();
  args.overflowed = counters_.as<std::uint32_t>() + layer;
  return check(device_.rotate(args));
}

Status SchemeForward::count_non_finite(std::uint32_t layer, const float* x, std::uint64_t count) {
  return check(device_.count_non_finite({count, x, counters_.as<std::uint32_t>() + model_.layers + layer}));
}

}  // namespace attnscope
