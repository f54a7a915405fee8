#include "host/device/policy_device.h"

#include <algorithm>
#include <tuple>

#include "host/device/policy_attend.h"
#include "host/device/policy_cache.h"
#include "host/evicting_cache.h"
#include "host/failure.h"

namespace attnscope {
namespace {

constexpr const char* kPolicyAdvice = "use a shorter --context or --weights streamed";
/// Rows that a thread widens at a time.
constexpr std::size_t kWidenedRows = 64;

class DeviceBackend final : public PolicyBackend {
 public:
  DeviceBackend(const Plan& plan, const PolicyDevice& on)
      : plan_(plan), model_(plan.model), on_(on), query_width_(std::size_t(model_.heads) * model_.head_dim),
        kv_width_(std::size_t(model_.kv_heads) * model_.head_dim), element_(size_of(plan.vectors)), cache_(plan, on.device, on.memory),
        attention_(plan, on.device, on.memory, cache_), mirror_(model_, DType::f32), views_(model_.kv_heads), expansions_(model_.kv_heads) {}

  /// Also of a run that ends early: what is queued is done before its memory goes.
  ~DeviceBackend() override { (void)on_.device.synchronize(); }

  Status begin(std::span<const std::uint32_t> ids, std::uint32_t first) override {
    first_ = first;
    on_.memory.at(phase(), -1);
    ATTNSCOPE_TRY(allocate(static_cast<std::uint32_t>(ids.size())));
    ATTNSCOPE_TRY(on_.model.embed(ids, hidden_.as<float>()));
    return keep_going();
  }

  std::uint64_t layer_work() const override {
    return on_.run.row_work() * rows_ + causal_pairs(first_, rows_) * model_.heads;
  }

  Status project(std::uint32_t layer, const LayerUse& use) override {
    on_.memory.at(phase(), static_cast<std::int32_t>(layer));
    ATTNSCOPE_TRY(on_.model.begin_layer(layer));
    watched_ = use.rows;
    if (use.rows) ATTNSCOPE_TRY(allocate_watched(use.apart));
    if (!use.apart) ATTNSCOPE_TRY(reserve(layer, rows_, use.evicts));
    for (std::uint32_t begin = 0; begin < rows_; begin += on_.model.block_rows()) {
      const std::uint32_t count = std::min(on_.model.block_rows(), rows_ - begin);
      const auto projected = on_.model.project(layer, hidden_row(begin), count);
      if (!projected) return projected.error();
      ATTNSCOPE_TRY(place_block(layer, projected.value(), begin, count, use));
      ATTNSCOPE_TRY(keep_going());
      on_.run.progress.advance(count * on_.run.projection_work());
    }
    return success();
  }

  Status feed(std::uint32_t layer, TokenRange rows) override {
    ATTNSCOPE_TRY(reserve(layer, rows.size(), true));
    const std::size_t at = (rows.begin - first_) * kv_width_;
    ATTNSCOPE_TRY(cache_.append(layer, keys_.at(at * element_), values_.at(at * element_), rows.size()));
    return mirror(layer, rows.begin - first_, rows.size());
  }

  Status refresh(std::uint32_t layer) override {
    if (watched_)
      for (std::uint32_t h = 0; h < model_.kv_heads; ++h) views_[h] = mirror_.view(layer, h, expansions_[h]);
    return keep_going();
  }

  Status attend(std::uint32_t layer, TokenRange rows, const LayerReads& reads) override {
    if (decoding()) {
      ATTNSCOPE_TRY(attention_.step(layer, queries_.data(), reads.selected, attended_.as<float>()));
      return on_.model.finish(layer, attended_.data(), DType::f32, 1, hidden_.as<float>());
    }
    const std::uint32_t block_rows = on_.model.block_rows();
    for (std::uint32_t at = rows.begin; at < rows.end;) {
      const std::uint32_t end = std::min(rows.end, (at / block_rows + 1) * block_rows), held = (end - 1) / block_rows * block_rows;
      const std::size_t row_bytes = query_width_ * element_;
      ATTNSCOPE_TRY(attend_block(layer, {queries_.at(at * row_bytes), attended_.at((at - held) * row_bytes), at, end - at}, rows.end, reads.plans));
      on_.run.progress.advance(causal_pairs(at, end - at) * model_.heads);
      at = end;
      if (at != rows_ && at % block_rows != 0) continue;
      ATTNSCOPE_TRY(on_.model.finish(layer, attended_.data(), plan_.vectors, at - held, hidden_row(held)));
      on_.run.progress.advance((at - held) * (on_.run.row_work() - on_.run.projection_work()));
      ATTNSCOPE_TRY(keep_going());
    }
    return success();
  }

  /// A layer of a prompt is waited for, so that progress tells what was done and a broken layer is named before the next one runs.
  Status keep_residual(std::uint32_t layer) override {
    const std::size_t width = model_.hidden_size;
    ATTNSCOPE_TRY(check(on_.device.download(residuals_.as<float>() + layer * width, hidden_row(rows_ - 1), width * sizeof(float))));
    if (decoding()) return success();
    ATTNSCOPE_TRY(on_.model.check_counters());
    return keep_going();
  }

  Status end() override {
    on_.memory.at(phase(), -1);
    ATTNSCOPE_TRY(on_.model.logits(hidden_row(rows_ - 1), 1, device_logits_.as<float>()));
    ATTNSCOPE_TRY(check(on_.device.download(logits_.data(), device_logits_.data(), logits_.bytes())));
    ATTNSCOPE_TRY(on_.model.check_counters());
    if (!decoding()) release();
    return success();
  }

  Rows queries(TokenRange rows) const override {
    return Rows{host_queries_.data(), rows_, query_width_, query_width_}.slice(rows.begin - first_, rows.size());
  }
  std::span<const KvView> views() const override { return views_; }
  std::span<const std::uint32_t> positions(std::uint32_t layer, std::uint32_t kv_head) const override { return mirror_.positions(layer, kv_head); }
  void close(std::uint32_t layer) override { mirror_.release(layer); }

  Status evict(std::uint32_t layer, std::span<const std::vector<std::uint32_t>> slots) override {
    for (std::uint32_t h = 0; h < slots.size(); ++h) ATTNSCOPE_TRY(mirror_.evict(layer, h, slots[h]));  // checks them, too
    return cache_.evict(layer, slots);
  }

  std::span<const float> logits() const override { return {logits_.as<float>(), model_.vocab_size}; }
  std::span<const float> residual(std::uint32_t layer) const override {
    return {residuals_.as<float>() + std::size_t(layer) * model_.hidden_size, model_.hidden_size};
  }
  std::size_t length(std::uint32_t layer, std::uint32_t kv_head) const override { return cache_.length(layer, kv_head); }
  std::size_t appended(std::uint32_t layer, std::uint32_t) const override { return cache_.appended(layer); }
  std::uint64_t tokens() const override { return cache_.tokens(); }

 private:
  bool decoding() const { return first_ > 0; }
  const char* phase() const { return decoding() ? "decode" : "prefill"; }
  float* hidden_row(std::size_t row) const { return hidden_.as<float>() + row * model_.hidden_size; }
  Status keep_going() const { return on_.run.pool.keep_going(0) ? success() : Status(cancelled()); }

  Status allocate(std::uint32_t rows) {
    if (rows == rows_ && hidden_) return success();
    rows_ = rows;
    const std::uint64_t held = std::min(rows, on_.model.block_rows()), logits = std::uint64_t{model_.vocab_size} * sizeof(float);
    // The attention of decoded rows comes in fp32.
    const std::vector<BufferWant> wanted = {
        {&hidden_, std::uint64_t{rows} * model_.hidden_size * sizeof(float), "the residual stream", MemoryCategory::activations, kPolicyAdvice},
        {&queries_, rows * query_width_ * element_, "the prompt's queries", MemoryCategory::activations, kPolicyAdvice},
        {&attended_, held * query_width_ * sizeof(float), "a block's attention output", MemoryCategory::activations, kPolicyAdvice}};
    ATTNSCOPE_TRY(attnscope::allocate(on_.memory, wanted));
    if (logits_) return success();
    const std::vector<BufferWant> once = {
        {&device_logits_, logits, "a row's logits", MemoryCategory::logits, kPolicyAdvice},
        {&logits_, logits, "a row's logits", MemoryCategory::logits, kPolicyAdvice, true},
        {&residuals_, std::uint64_t{model_.layers} * model_.hidden_size * sizeof(float), "a row's residual stream", MemoryCategory::activations, kPolicyAdvice, true}};
    return attnscope::allocate(on_.memory, once);
  }

  /// For layers whose rows go to the host: a block of them on their way, or all keys and values where they wait.
  Status allocate_watched(bool apart) {
    const std::uint64_t block = std::min(rows_, on_.model.block_rows()), rows = apart ? rows_ : block;
    if (keys_.bytes() < rows * kv_width_ * element_) {
      const std::vector<BufferWant> wanted = {
          {&keys_, rows * kv_width_ * element_, "keys before they join the cache", MemoryCategory::activations, kPolicyAdvice},
          {&values_, rows * kv_width_ * element_, "values before they join the cache", MemoryCategory::activations, kPolicyAdvice},
          {&landing_, block * (query_width_ + 2 * kv_width_) * element_, "rows on their way to the host", MemoryCategory::activations, kPolicyAdvice, true}};
      ATTNSCOPE_TRY(attnscope::allocate(on_.memory, wanted));
    }
    for (const auto& [buffer, count, what] : {std::tuple(&host_queries_, rows_ * query_width_, "queries that policies look at"),
                                              std::tuple(&host_keys_, rows * kv_width_, "keys that policies look at"),
                                              std::tuple(&host_values_, rows * kv_width_, "values that policies look at")}) {
      if (buffer->size() >= count) continue;
      auto memory = Buffer<float>::allocate(count, what);
      if (!memory) return memory.error();
      *buffer = memory.take();
    }
    return success();
  }

  void release() {
    for (DeviceBuffer* buffer : {&hidden_, &queries_, &attended_, &keys_, &values_, &landing_}) *buffer = {};
    for (Buffer<float>* buffer : {&host_queries_, &host_keys_, &host_values_}) *buffer = {};
  }

  /// Layers that lose nothing take what the whole sequence needs, once.
  Status reserve(std::uint32_t layer, std::size_t more, bool evicts) {
    return evicts ? cache_.reserve(layer, cache_.longest(layer) + more, false) : cache_.reserve(layer, plan_.total_tokens(), true);
  }

  /// Rotates and rounds a block's rows [begin, begin + count) and puts them where they belong, on the device and, if watched, on the host.
  Status place_block(std::uint32_t layer, const DeviceModel::Projected& projected, std::uint32_t begin, std::uint32_t count, const LayerUse& use) {
    const std::uint32_t first = first_ + begin;
    const std::uint64_t dim = model_.head_dim;
    const auto side_by_side = [&](std::byte* data, std::size_t width) { return HeadTensor{data, dim, width}; };
    std::byte* const queries = queries_.at(begin * query_width_ * element_);
    ATTNSCOPE_TRY(on_.model.place(layer, projected.q, count, model_.heads, first, side_by_side(queries, query_width_)));
    if (!use.rows) {
      const std::size_t row = cache_.length(layer, 0);
      ATTNSCOPE_TRY(on_.model.place(layer, projected.k, count, model_.kv_heads, first, cache_.keys(layer, 0, row)));
      ATTNSCOPE_TRY(on_.model.place(layer, projected.v, count, model_.kv_heads, std::nullopt, cache_.values(layer, 0, row)));
      cache_.appended_in_place(layer, count);
      return success();
    }
    const std::size_t at = use.apart ? begin * kv_width_ : 0;
    std::byte *const keys = keys_.at(at * element_), *const values = values_.at(at * element_);
    ATTNSCOPE_TRY(on_.model.place(layer, projected.k, count, model_.kv_heads, first, side_by_side(keys, kv_width_)));
    ATTNSCOPE_TRY(on_.model.place(layer, projected.v, count, model_.kv_heads, std::nullopt, side_by_side(values, kv_width_)));
    if (!use.apart) ATTNSCOPE_TRY(cache_.append(layer, keys, values, count));

    const std::size_t query_bytes = count * query_width_ * element_, kv_bytes = count * kv_width_ * element_;
    ATTNSCOPE_TRY(check(on_.device.download(landing_.data(), queries, query_bytes)));
    ATTNSCOPE_TRY(check(on_.device.download(landing_.at(query_bytes), keys, kv_bytes)));
    ATTNSCOPE_TRY(check(on_.device.download(landing_.at(query_bytes + kv_bytes), values, kv_bytes)));
    ATTNSCOPE_TRY(on_.model.check_counters());
    ATTNSCOPE_TRY(widen(landing_.data(), count, query_width_, host_queries_.data() + begin * query_width_));
    ATTNSCOPE_TRY(widen(landing_.at(query_bytes), count, kv_width_, host_keys_.data() + at));
    ATTNSCOPE_TRY(widen(landing_.at(query_bytes + kv_bytes), count, kv_width_, host_values_.data() + at));
    return use.apart ? success() : mirror(layer, 0, count);
  }

  Status widen(const void* from, std::size_t rows, std::size_t width, float* to) {
    const bool complete = on_.run.pool.parallel_for((rows + kWidenedRows - 1) / kWidenedRows, [&](std::size_t task, unsigned) {
      const std::size_t begin = task * kWidenedRows, count = std::min(kWidenedRows, rows - begin);
      to_float(plan_.vectors, static_cast<const std::byte*>(from) + begin * width * element_, count * width, to + begin * width);
    });
    return complete ? success() : Status(cancelled());
  }

  /// Adds rows of host_keys_ and host_values_ to the host's copy of the cache.
  Status mirror(std::uint32_t layer, std::size_t begin, std::size_t count) {
    const Rows keys{host_keys_.data() + begin * kv_width_, count, kv_width_, kv_width_}, values{host_values_.data() + begin * kv_width_, count, kv_width_, kv_width_};
    for (std::uint32_t h = 0; h < model_.kv_heads; ++h)
      ATTNSCOPE_TRY(mirror_.append(layer, h, head_rows(keys, h, model_.head_dim), head_rows(values, h, model_.head_dim)));
    return success();
  }

  /// Rows of a prompt whose keys are held up to position `fed`, as far as policies left them.
  Status attend_block(std::uint32_t layer, const DevicePolicyAttention::Block& block, std::uint32_t fed, std::span<const PrefillPlan> plans) {
    const bool whole = cache_.uniform(layer) && cache_.length(layer, 0) == fed;
    if (whole && block.first % PrefillPlan::block == 0) return attention_.prompt(layer, block, plans);
    std::vector<std::span<const std::uint32_t>> positions;
    for (std::uint32_t h = 0; h < model_.kv_heads; ++h) positions.push_back(mirror_.positions(layer, h));
    return attention_.held(layer, block, positions);
  }

  const Plan& plan_;
  const ModelPlan& model_;
  const PolicyDevice on_;
  const std::size_t query_width_, kv_width_, element_;
  DevicePolicyCache cache_;
  DevicePolicyAttention attention_;
  EvictingKvCache mirror_;  // of layers with policies, fp32: rounded on the device, nothing is lost, and nothing is widened again at a step
  std::vector<KvView> views_;
  std::vector<KvExpansion> expansions_;
  bool watched_ = false;
  std::uint32_t first_ = 0, rows_ = 0;
  DeviceBuffer hidden_, queries_, attended_, keys_, values_, landing_, device_logits_, logits_, residuals_;
  Buffer<float> host_queries_, host_keys_, host_values_;
};

}  // namespace

std::unique_ptr<PolicyBackend> make_device_policy_backend(const Plan& plan, const PolicyDevice& on) { return std::make_unique<DeviceBackend>(plan, on); }

}  // namespace attnscope
