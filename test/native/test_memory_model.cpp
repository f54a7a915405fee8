// What must hold of any configuration: the closed form is the script's peak to the byte, everything allocated has an owner, and a
// longer context never takes less.
#include <algorithm>
#include <map>
#include <string>

#include "check.h"
#include "test_memory_cases.h"

using namespace memory_cases;

namespace {

/// Pairs of allocations and releases, checked one by one.
struct Books final : EventSink {
  std::map<std::uint32_t, Event> device, host;
  std::uint64_t faults = 0;
  bool on(const Event& e) override {
    auto& held = e.kind == Kind::alloc || e.kind == Kind::free ? device : host;
    if (e.kind == Kind::alloc || e.kind == Kind::host_alloc) {
      faults += !held.emplace(e.block, e).second || e.bytes == 0;
    } else if (e.kind == Kind::free || e.kind == Kind::host_free) {
      const auto found = held.find(e.block);
      faults += found == held.end() || found->second.bytes != e.bytes || found->second.category != e.category;
      if (found != held.end()) held.erase(found);
    }
    return true;
  }
  std::uint64_t sum(Category category) const {
    std::uint64_t bytes = 0;
    for (const auto& [block, e] : device) bytes += e.category == category ? e.bytes : 0;
    return bytes;
  }
};

std::string text(const Config& c) {
  const ModelShape& m = c.model;
  const Scheme& s = c.scheme;
  char line[400];
  std::snprintf(line, sizeof line, "L%u H%u/%u hd%u d%u I%u V%u dtype%d kv%d N%u G%u chunk%u rows%d up%d mini%d:%u/%u:%d offload%d:%d cache%d kept%zu:%d",
                m.layers, m.heads, m.kv_heads, m.head_dim, m.hidden, m.feed_forward, m.vocab, int(c.dtype), int(c.kv.type), c.prompt_tokens,
                c.decode_steps, s.chunk_tokens, int(s.logits.rows), s.logits.upcast, int(s.mini.mode), s.mini.piece_tokens, s.mini.pieces,
                int(s.mini.last_mlp), int(s.offload.unit), s.offload.reload, int(s.cache), c.retention.kept.size(), int(c.retention.decode));
  return line;
}

}  // namespace

TEST("the closed form is the peak of the event list, to the byte, and its parts sum to it") {
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    const Config c = random_config(random);
    for (const Implementation& implementation : implementations()) {
      Peak script;
      CHECK(run_script(implementation, c, script).ok());
      const ClosedForm form = peak(implementation, c).value();
      CHECK_EQUAL(form.bytes, script.bytes);
      std::uint64_t sum = 0;
      for (const std::uint64_t bytes : form.by_category) sum += bytes;
      CHECK_EQUAL(sum, form.bytes);
      for (const Category category : {Category::weights, Category::workspace})
        CHECK_EQUAL(form.by_category[std::size_t(category)], script.by_category[std::size_t(category)]);
      if (form.bytes != script.bytes) {
        std::printf("    %s: %s\n    form %s layer %d, script %s layer %d %s step %u\n", implementation.id, text(c).c_str(), name_of(form.stage),
                    form.layer, name_of(script.event.op), script.event.layer, name_of(script.event.phase), script.event.step);
        return;
      }
    }
  }
}

TEST("the closed form names the moment and the holders that the script has") {
  std::mt19937 random(8);
  int compared = 0;
  for (int round = 0; round < 500; ++round) {
    const Config c = random_config(random);
    for (const Implementation& implementation : implementations()) {
      Implementation slow = implementation;
      slow.closed_form = nullptr;
      const ClosedForm fast = peak(implementation, c).value(), run = peak(slow, c).value();
      if (fast.phase != run.phase || fast.step != run.step || fast.layer != run.layer) continue;  // a tie, reached more than once
      CHECK(fast.stage == run.stage || (fast.stage == Stage::mlp && run.stage == Stage::mlp_concat));
      for (std::size_t i = 0; i < kCategories; ++i) CHECK_EQUAL(fast.by_category[i], run.by_category[i]);
      ++compared;
    }
  }
  CHECK(compared > 700);
}

TEST("every block is freed once, as it was allocated, and what stays are weights, tables, ids, the cache and the last logits") {
  std::mt19937 random(9);
  for (int round = 0; round < 500; ++round) {
    const Config c = random_config(random);
    for (const Implementation& implementation : implementations()) {
      Books books;
      CHECK(run_script(implementation, c, books).ok());
      CHECK_EQUAL(books.faults, 0);
      CHECK_EQUAL(books.sum(Category::weights), weight_bytes(c.model, c.dtype));
      CHECK_EQUAL(books.sum(Category::workspace), c.workspace_bytes);
      CHECK_EQUAL(books.sum(Category::index), c.policy.resident);
      CHECK_EQUAL(books.sum(Category::residual), 8.0 * c.prompt_tokens);
      for (const Category none : {Category::norm, Category::attention, Category::mlp}) CHECK_EQUAL(books.sum(none), 0);
      const std::uint64_t row = size_of(c.dtype) * c.model.vocab * (c.scheme.logits.upcast && size_of(c.dtype) == 2 ? 2 : 1);
      CHECK_EQUAL(books.sum(Category::logits), c.decode_steps == 0 ? 0 : row);
      if (c.retention.kept.empty() && (c.scheme.offload.unit == Offload::Unit::none || c.scheme.offload.reload)) {
        CHECK(books.host.empty());
        if (c.scheme.offload.unit == Offload::Unit::none) CHECK_EQUAL(books.sum(Category::kv), cache_bytes(c, c.prompt_tokens + c.decode_steps));
      }
    }
  }
}

TEST("a longer context never takes less, nor does a further step") {
  std::mt19937 random(10);
  for (int round = 0; round < 300; ++round) {
    Config c = random_config(random);
    c.retention = {};
    // Two schemes do take less at some lengths, as the code they follow does: pieces by count round up, so that the last one may
    // be short, and what is reloaded beside the last call's logits meets few of them where that call is short.
    if (c.scheme.mini.mode == MiniSequence::Mode::by_count) c.scheme.mini.mode = MiniSequence::Mode::by_size;
    if (c.scheme.offload.unit != Offload::Unit::none && c.scheme.chunk_tokens > 0) c.scheme.logits.rows = LogitsMode::Rows::last;
    for (const Implementation& implementation : implementations()) {
      std::uint64_t before = 0;
      for (const std::uint32_t tokens : {1u, 2u, 40u, 41u, 100u, 999u, 1000u, 1001u, 4000u}) {
        c.prompt_tokens = tokens;
        const std::uint64_t bytes = peak(implementation, c).value().bytes;
        CHECK(bytes >= before);
        before = bytes;
      }
      for (int steps = 0; steps < 3; ++steps) {
        c.decode_steps += 1;
        const std::uint64_t bytes = peak(implementation, c).value().bytes;
        CHECK(bytes >= before);
        before = bytes;
      }
    }
  }
}

TEST("weights are what the tensors of a checkpoint sum to") {
  CHECK_EQUAL(parameters(llama3_8b()), 8030261248.0);
  CHECK_EQUAL(parameters(llama32_3b()), 3212749824.0);
  ModelShape qwen{28, 28, 4, 128, 3584, 18944, 152064, false, true, ModelShape::Family::qwen2};
  CHECK_EQUAL(parameters(qwen), 7615616512.0);
  for (const ModelShape& model : {llama3_8b(), llama32_3b(), qwen}) {
    std::uint64_t bytes = 0;
    for (const WeightTensor& tensor : weight_tensors(model, attnscope::DType::bf16)) bytes += tensor.bytes;
    CHECK_EQUAL(bytes, weight_bytes(model, attnscope::DType::bf16));
  }
}

TEST("the formulas of decoding: a copy of one layer's keys, repeated keys, or nothing where the cache is written in place") {
  const std::uint32_t tokens = 60000, steps = 50;
  const double weights = double(weight_bytes(llama3_8b(), attnscope::DType::bf16)) + 8519680, all = tokens + steps, row = 256512, cache = 131072, k = 2048, q = 8192;
  const auto decode_peak = [&](const char* implementation, Scheme::Cache kind) {
    Config c = config(llama3_8b(), "last-token", tokens, steps);
    c.scheme.chunk_tokens = 20;    // so that decode is what peaks
    c.scheme.cache = kind;
    return peak(*find_implementation(implementation).value(), c).value();
  };
  const ClosedForm growing = decode_peak("hf-eager-fa2", Scheme::Cache::growing);
  CHECK(growing.phase == Phase::decode && growing.stage == Stage::append && growing.layer == 31);
  CHECK_NEAR(double(growing.bytes), weights + all * (cache + k) + 2 * row, 1e-4, 0);
  const ClosedForm repeated = decode_peak("hf-sdpa", Scheme::Cache::growing);
  CHECK(repeated.stage == Stage::attention);
  CHECK_NEAR(double(repeated.bytes), weights + all * (cache + 2 * q) + 2 * row, 5e-3, 0);
  const ClosedForm in_place = decode_peak("hf-eager-fa2", Scheme::Cache::in_place);
  CHECK_NEAR(double(in_place.bytes), weights + all * cache, 5e-3, 0);
}

TEST("a retention policy's kept tokens replace the context layer by layer, beside one layer's whole prompt") {
  const std::uint32_t tokens = 100000;
  Config c = config(llama3_8b(), "last-token", tokens, 0);
  const ClosedForm whole = peak(implementations()[0], c).value();
  std::uint64_t kept_tokens = 0;
  for (std::uint32_t layer = 0; layer < 32; ++layer) {
    c.retention.kept.push_back(2000 + 500 * layer);
    kept_tokens += layer < 31 ? c.retention.kept.back() : 0;
  }
  const ClosedForm evicting = peak(implementations()[0], c).value();
  CHECK_EQUAL(evicting.by_category[std::size_t(Category::kv)] + (evicting.stage == Stage::mlp ? 0 : 1), 4096 * (kept_tokens + c.retention.kept.back()));
  CHECK(evicting.stage == Stage::mlp && evicting.layer == 31 && evicting.bytes < whole.bytes);
  Peak script;
  CHECK(run_script(implementations()[0], c, script).ok());
  std::uint64_t left = 0;
  for (const std::uint32_t kept : c.retention.kept) left += 4096ull * kept;
  CHECK_EQUAL(script.now(Category::kv), left);
  // Steps add a token a layer, or evict one.
  c.decode_steps = 30;
  for (const bool holds : {false, true}) {
    c.retention.decode = holds ? Retention::Decode::holds : Retention::Decode::grows;
    Peak run;
    CHECK(run_script(implementations()[0], c, run).ok());
    CHECK_EQUAL(run.now(Category::kv), left + (holds ? 0 : 30 * 32 * 4096));
  }
  // A prefill policy's index lives through one layer's attention; tables stay.
  Config indexed = config(llama3_8b(), "last-token", tokens, 0);
  const std::uint64_t plain = peak(implementations()[0], indexed).value().bytes;
  indexed.policy = {1000, 5000000};
  CHECK_EQUAL(peak(implementations()[0], indexed).value().bytes, plain + 5000000);
}

TEST("int4 keys and values by KIVI's groups: less than a third of the cache, and one layer in full while attention reads it") {
  Config c = config(llama3_8b(), "last-token", 100000, 20);
  const std::uint64_t plain = cache_bytes(c, 100020);
  c.kv = {KvType::int4, {KvScales::Per::channel, 32, 2, true}, {KvScales::Per::token, 32, 2, true}};
  CHECK(cache_bytes(c, 100020) < 0.32 * double(plain));
  Peak run;
  CHECK(run_script(implementations()[0], c, run).ok());
  CHECK_EQUAL(run.now(Category::kv), cache_bytes(c, 100020));
  Config steps = c;
  steps.scheme.chunk_tokens = 100;
  const ClosedForm form = peak(implementations()[0], steps).value();
  CHECK(form.by_category[std::size_t(Category::attention)] >= 2 * 2048ull * 100000);
}

TEST("quantised keys take their bits and their scales") {
  const auto bytes = [](KvType type, KvScales scales, std::uint64_t tokens) { return stored_bytes(type, scales, 2, tokens, 8, 128); };
  CHECK_EQUAL(bytes(KvType::model, {}, 100), 2 * 100 * 1024);
  CHECK_EQUAL(bytes(KvType::int8, {KvScales::Per::token, 0, 2, true}, 100), 100 * 1024 + 100 * 8 * 4);
  CHECK_EQUAL(bytes(KvType::int8, {KvScales::Per::channel, 0, 2, false}, 100), 100 * 1024 + 1024 * 2);
  CHECK_EQUAL(bytes(KvType::int4, {KvScales::Per::token, 32, 2, true}, 100), 100 * 512 + 100 * 8 * 4 * 4);
  CHECK_EQUAL(bytes(KvType::int4, {KvScales::Per::channel, 32, 4, true}, 100), 100 * 512 + 1024 * 4 * 8);
  CHECK_EQUAL(bytes(KvType::int4, {}, 0), 0);
}

TEST("refuses what cannot be, by name") {
  const auto refused = [](auto change) {
    Config c = config(llama3_8b(), "standard", 1000, 1);
    change(c);
    const attnscope::Status status = validate(c);
    return status.ok() ? std::string() : status.error().code + ": " + status.error().message;
  };
  CHECK(refused([](Config&) {}).empty());
  CHECK(refused([](Config& c) { c.model.layers = 0; }).find("layers is 0") != std::string::npos);
  CHECK(refused([](Config& c) { c.model.kv_heads = 5; }).find("multiple of kv_heads") != std::string::npos);
  CHECK(refused([](Config& c) { c.prompt_tokens = 0; }).find("prompt_tokens") != std::string::npos);
  CHECK(refused([](Config& c) { c.retention.kept = {1, 2}; }).find("retention.kept has 2 values") != std::string::npos);
  CHECK(refused([](Config& c) { c.scheme.cache = Scheme::Cache::in_place, c.scheme.offload.unit = Offload::Unit::layer; }).find("in place") != std::string::npos);
  CHECK(!named_scheme("mum").ok() && named_scheme("mum").error().message.find("headinfer") != std::string::npos);
  CHECK(!find_implementation("vllm").ok() && find_implementation("vllm").error().message.find("hf-sdpa") != std::string::npos);
}
