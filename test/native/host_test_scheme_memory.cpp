// What execution schemes hold and when, by hand for a tiny model, as events, and what is said when memory or a disk ends.
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <map>

#include "scheme_case.h"

using namespace scheme_case;

namespace {

/// Most bytes held at once while `holds(event)`.
template <class Holds>
std::uint64_t peak_of(const SchemeResult& result, Holds holds) {
  std::uint64_t now = 0, most = 0;
  for (const SchemeEvent& event : result.events) {
    if (event.kind == SchemeEvent::Kind::alloc && holds(event)) most = std::max(most, now += event.bytes);
    if (event.kind == SchemeEvent::Kind::free && holds(event)) now -= event.bytes;
  }
  return most;
}

}  // namespace

TEST("peaks are what a calculation by hand says, and MOM is below the standard scheme by what is gone") {
  ModelPlan model = random_model::tiny();
  model.layers = 4, model.heads = 4, model.kv_heads = 2, model.head_dim = 16, model.hidden_size = 64, model.feed_forward_size = 160, model.vocab_size = 300;
  const Checkpoint checkpoint(model);
  constexpr std::uint64_t tokens = 200, steps = 3, all = tokens + steps, piece = 50;
  Plan plan = plan_of(checkpoint, tokens, steps, DType::bf16);

  // By hand, bf16 weights and vectors: 2 bytes, fp32 where it says 4.
  const std::uint64_t table = 300 * 64 * 2, norms = (2 * 4 + 1) * 64 * 4, matrices = 2 * (64 * 64 + 32 * 64 + 32 * 64 + 64 * 64 + 3 * 160 * 64);
  const std::uint64_t weights = 2 * table + norms + 4 * matrices, counters = (2 * 4 + 1) * 4, angles = 2 * tokens * 8 * 4, residual = tokens * 64 * 4;
  const std::uint64_t held = weights + counters + angles + residual, layer_kv = 2 * all * 32 * 2;
  const std::uint64_t all_logits = tokens * 64 * 2 + tokens * 300 * 4, whole_mlp = tokens * 64 * 2 + 2 * tokens * 160 * 2, piece_mlp = piece * 64 * 2 + 2 * piece * 160 * 2;
  // q, k, v in fp32 with the queries, beside them the normalised rows before.
  const std::uint64_t project = tokens * (64 + 32 + 32) * 4 + tokens * 64 * 2;

  const SchemeResult standard = run(plan, scheme_of({}, DType::bf16), "standard");
  CHECK_EQUAL(standard.peak.device, held + 4 * layer_kv + all_logits);
  CHECK(standard.events[standard.peak.event].op == memory::Op::lm_head && standard.events[standard.peak.event].category == memory::Category::logits);
  CHECK_EQUAL(standard.peak.device_by_category[static_cast<std::size_t>(memory::Category::kv)], 4 * layer_kv);
  CHECK_EQUAL(standard.peak.device_by_category[static_cast<std::size_t>(memory::Category::weights)], weights);
  CHECK_EQUAL(standard.peak.device_by_category[static_cast<std::size_t>(memory::Category::logits)], tokens * 300 * 4);
  CHECK_EQUAL(peak_of(standard, [](const SchemeEvent& e) { return e.category == memory::Category::norm || e.category == memory::Category::mlp; }), whole_mlp);

  Switches last_token;
  last_token.last = true;
  const SchemeResult last = run(plan, scheme_of(last_token, DType::bf16), "last token");
  CHECK_EQUAL(last.peak.device, held + 4 * layer_kv + std::max(whole_mlp, project));

  Switches mom;
  mom.last = true, mom.piece = piece, mom.unit = kLayer;
  const SchemeResult kept = run(plan, scheme_of(mom, DType::bf16), "MOM");
  CHECK_EQUAL(kept.device_peak_by_phase[1], held + 2 * layer_kv + std::max(piece_mlp, project));
  CHECK_EQUAL(kept.device_peak_by_phase[2], weights + counters + 4 * layer_kv);
  CHECK_EQUAL(standard.peak.device - kept.device_peak_by_phase[1], 2 * layer_kv + all_logits - std::max(piece_mlp, project));
  CHECK_EQUAL(kept.to_host.bytes, 4 * 2 * tokens * 32 * 2);
  CHECK_EQUAL(kept.to_device.bytes, kept.to_host.bytes);
  CHECK_EQUAL(kept.resident_tokens[7], all);
  // Host: a layer of every layer, a row of logits, counters; and while weights load, two pieces of the largest tensor.
  CHECK_EQUAL(kept.peak.host, std::max(4 * layer_kv, 2 * std::max(table, matrices)) + 300 * 4 + counters);

  mom.reload = false;
  const SchemeResult stays = run(plan, scheme_of(mom, DType::bf16), "MOM that stays");
  // A token's residual, angles, normalised row and logits.
  const std::uint64_t step = 64 * 4 + 2 * 8 * 4 + 64 * 2 + 300 * 4;
  CHECK_EQUAL(stays.device_peak_by_phase[3], weights + counters + 2 * layer_kv + step);
  CHECK_EQUAL(standard.device_peak_by_phase[3], weights + counters + 4 * layer_kv + step);
  // Every step brings all that is held and takes its own row away.
  CHECK_EQUAL(stays.to_device.bytes, 4ull * 2 * 32 * 2 * (tokens + (tokens + 1) + (tokens + 2)));
  CHECK_EQUAL(stays.to_host.bytes, 4ull * 2 * 32 * 2 * all);

  mom.disk = true;
  const SchemeResult disk = run(plan, scheme_of(mom, DType::bf16), "MOM on disk");
  CHECK_EQUAL(disk.peak.device, stays.peak.device);
  CHECK_EQUAL(disk.peak.disk, 4 * layer_kv);
  CHECK_EQUAL(disk.peak.host, 2 * std::max({table, matrices, layer_kv}) + 300 * 4 + counters);
  CHECK_EQUAL(disk.to_disk.bytes, stays.to_host.bytes);
  CHECK_EQUAL(disk.from_disk.bytes, stays.to_device.bytes);

  mom.disk = false, mom.unit = kHead;
  const SchemeResult heads = run(plan, scheme_of(mom, DType::bf16), "by head");
  CHECK_EQUAL(stays.device_peak_by_phase[0] - heads.device_peak_by_phase[0], layer_kv);
  CHECK_EQUAL(heads.to_device.bytes, stays.to_device.bytes);
}

TEST("events: every block is freed once, peaks are those that the memory model's sinks read, phases come in order") {
  const Checkpoint checkpoint(even());
  const Plan plan = plan_of(checkpoint, 130, 4, DType::f32);
  for (const Switches& s : all_switches()) {
    const SchemeResult result = run(plan, scheme_of(s, DType::f32), name_of(s).c_str());
    std::map<std::uint32_t, const SchemeEvent*> open;
    memory::Peak peak;
    memory::Phase phase = memory::Phase::load;
    std::uint64_t up = 0, down = 0;
    double before = 0;
    for (const SchemeEvent& event : result.events) {
      if (const auto seen = as_memory_event(event)) peak.on(*seen);
      using Kind = SchemeEvent::Kind;
      if (event.kind == Kind::alloc || event.kind == Kind::host_alloc) CHECK(open.emplace(event.block, &event).second);
      if (event.kind == Kind::free || event.kind == Kind::host_free) {
        const auto found = open.find(event.block);
        CHECK(found != open.end() && found->second->bytes == event.bytes && found->second->category == event.category);
        open.erase(event.block);
      }
      up += event.kind == Kind::h2d ? event.bytes : 0, down += event.kind == Kind::d2h ? event.bytes : 0;
      CHECK(event.phase >= phase && event.seconds >= before && event.what[0] != 0);
      phase = event.phase, before = event.seconds;
    }
    CHECK(open.empty());
    CHECK_EQUAL(peak.bytes, result.peak.device);
    CHECK_EQUAL(peak.host_bytes, result.peak.host);
    CHECK(peak.by_category == result.peak.device_by_category);
    CHECK_EQUAL(up, result.to_device.bytes);
    CHECK_EQUAL(down, result.to_host.bytes);
    CHECK(result.to_device.busy >= 0 && result.to_device.busy <= result.to_device.waited + 1e-9);
  }
}

TEST("memory that does not suffice: the tensor and the switch are named, and the switch helps") {
  ModelPlan model = even();
  model.layers = 5, model.vocab_size = 500;
  const Checkpoint checkpoint(model);
  Plan plan = plan_of(checkpoint, 200, 2, DType::f32);
  plan.device.weights = DevicePlan::Weights::resident;
  const auto error_of = [&](std::uint64_t limit, const Switches& s) {
    plan.device.memory_bytes = limit;
    const auto result = try_scheme(plan, scheme_of(s, DType::f32));
    return result ? Error{} : result.error();
  };
  const auto peak = [&](const Switches& s) {
    plan.device.memory_bytes = 0;
    return run(plan, scheme_of(s, DType::f32), "peak").peak.device;
  };
  const auto refuses = [&](std::uint64_t limit, const Switches& s, const char* tensor, const char* advice) {
    const Error error = error_of(limit, s);
    CHECK(error.code == "E_DEVICE_MEMORY" && error.message.find(tensor) == 0 && error.message.find(advice) != error.message.npos);
    if (error.code != "E_DEVICE_MEMORY" || error.message.find(tensor) != 0 || error.message.find(advice) == error.message.npos) std::printf("  %s %s\n", error.code.c_str(), error.message.c_str());
  };
  Switches last, mini, chunked, mom;
  last.last = true;
  mini = last, mini.piece = 25;
  chunked = last, chunked.chunk = 64;
  mom = mini, mom.unit = kLayer, mom.reload = false;
  const std::uint64_t standard = peak({});
  CHECK(error_of(standard, {}).code.empty());  // to the byte: nothing waits for reuse beyond the peak
  refuses(standard - 1, {}, "logits needs", "--logits last");
  CHECK(error_of(standard - 1, last).code.empty());
  refuses(peak(last) - 1, last, "the MLP's up projection needs", "--mini-sequence");
  CHECK(error_of(peak(last) - 1, mini).code.empty());
  CHECK(error_of(peak(mini) - 1, chunked).code.empty());
  refuses(peak(mom) - 1, mom, "values before rounding needs", "--chunk");
  CHECK(peak(mom) < peak(mini));
  refuses(1000, mom, "the token embedding needs", "--weights streamed");
  // Too little for what is not the weights alone: they come layer by layer.
  plan.device.weights = DevicePlan::Weights::automatic;
  plan.device.memory_bytes = peak(mom) - 1;
  const SchemeResult streamed = run(plan, scheme_of(mom, DType::f32), "streamed");
  CHECK(streamed.streamed_weights && streamed.peak.device < plan.device.memory_bytes);
  plan.device.memory_bytes = 0;
  CHECK(same_bits(streamed.step_logits, run(plan, scheme_of(mom, DType::f32), "resident").step_logits));
}

namespace {

/// Descriptors of the store's file, which has no name.
std::vector<std::string> store_files() {
  std::vector<std::string> found;
  DIR* folder = ::opendir("/proc/self/fd");
  while (const dirent* entry = folder != nullptr ? ::readdir(folder) : nullptr) {
    const std::string path = std::string("/proc/self/fd/") + entry->d_name;
    char target[512] = {};
    if (::readlink(path.c_str(), target, sizeof target - 1) > 0 && std::strstr(target, "attnscope-kv-") != nullptr) found.push_back(path);
  }
  if (folder != nullptr) ::closedir(folder);
  return found;
}

/// Reads and writes of the store go to another file from now on.
void replace_store(const char* file) {
  for (const std::string& path : store_files()) {
    const int other = ::open(file, O_RDWR);
    CHECK(::dup2(other, std::atoi(path.c_str() + path.rfind('/') + 1)) >= 0);
    ::close(other);
  }
}

void limit_files(rlim_t bytes) {
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = std::min(bytes, limit.rlim_max);
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

}  // namespace

TEST("a disk that is full, before the run and in it; a folder that is not there; a file that lost its end") {
  const Checkpoint checkpoint(even());
  const Plan plan = plan_of(checkpoint, 200, 4, DType::f32);
  Switches s;
  s.last = true, s.unit = kLayer, s.reload = false, s.disk = true;
  SchemePlan scheme = scheme_of(s, DType::f32);
  const auto said = [&](const char* code, const std::function<void(const RunProgress&)>& progress = {}) {
    const auto result = try_scheme(plan, scheme, progress);
    CHECK(!result.ok());
    if (result) return std::string();
    CHECK(result.error().code == code);
    CHECK(store_files().empty());
    return result.error().message;
  };
  std::signal(SIGXFSZ, SIG_IGN);
  limit_files(100000);
  CHECK(said("E_DISK_FULL").find("--offload-folder") != std::string::npos);
  limit_files(RLIM_INFINITY);
  CHECK(said("E_DISK_FULL", [](const RunProgress& at) {
          if (at.phase == Phase::prefill && at.done == 1) limit_files(1000);
        }).find("/tmp") != std::string::npos);
  limit_files(RLIM_INFINITY);
  const auto replaced_by = [](const char* file) {
    return [file](const RunProgress& at) {
      if (at.phase == Phase::decode && at.done == 1) replace_store(file);
    };
  };
  CHECK(said("E_DISK_FULL", replaced_by("/dev/full")).find("No space left") != std::string::npos);
  CHECK(said("E_OFFLOAD_READ", replaced_by("/dev/null")).find("shorter") != std::string::npos);
  scheme.folder = "/nowhere/at/all";
  CHECK(said("E_WRITE_FAILED").find("/nowhere/at/all") != std::string::npos);
}

TEST("a cancelled run has what was decoded; schemes that cannot be are refused") {
  const Checkpoint checkpoint(random_model::tiny());
  const Plan plan = plan_of(checkpoint, 50, 6, DType::f32);
  const auto device = open_cpu_device(2);
  Switches s;
  s.unit = kLayer, s.disk = true, s.reload = false;
  for (const bool in_prefill : {false, true}) {
    Cancellation cancellation;
    const auto result = run_scheme(*device, plan, scheme_of(s, DType::f32), cancellation, [&](const RunProgress& at) {
      if (in_prefill ? at.phase == Phase::prefill && at.done == 1 : at.phase == Phase::decode && at.done == 2) cancellation.request();
    });
    CHECK(result.ok() && result.value().cancelled && result.value().decoded.size() == (in_prefill ? 0u : 2u));
  }
  const auto refused = [&](const char* what, const std::function<void(SchemePlan&)>& change) {
    SchemePlan scheme = scheme_of({}, DType::f32);
    change(scheme);
    const auto result = try_scheme(plan, scheme);
    CHECK(!result.ok() && result.error().code == "E_SCHEME");
    if (result.ok() || result.error().code != "E_SCHEME") std::printf("  %s\n", what);
  };
  refused("mini-sequences of no tokens", [](SchemePlan& p) { p.scheme.mini = {MiniSequence::Mode::by_size, 0, 8, {}}; });
  refused("no mini-sequences", [](SchemePlan& p) { p.scheme.mini = {MiniSequence::Mode::by_count, 1, 0, {}}; });
  refused("last MLP alone, logits of all", [](SchemePlan& p) { p.scheme.mini = {MiniSequence::Mode::by_size, 10, 8, MiniSequence::LastMlp::last_token}; });
  refused("logits of all kept, of the last computed", [](SchemePlan& p) { p.scheme.logits.rows = memory::LogitsMode::Rows::last; });
  refused("a disk for nothing", [](SchemePlan& p) { p.store = SchemePlan::Store::disk; });
  refused("a policy that drops nothing", [](SchemePlan& p) { p.retention = choice("a-shape"); });
  refused("a policy by head", [](SchemePlan& p) { p.retention = choice("streaming-llm"), p.scheme.offload.unit = kHead; });
}

TEST("the last layer's MLP: of the last token for Llama, in pieces for Qwen2 and Mistral") {
  const Checkpoint checkpoint(even());
  const Plan plan = plan_of(checkpoint, 200, 1, DType::f32);
  Switches s;
  s.last = true, s.piece = 25;
  for (const auto family : {memory::ModelShape::Family::llama, memory::ModelShape::Family::qwen2, memory::ModelShape::Family::mistral}) {
    SchemePlan scheme = scheme_of(s, DType::f32);
    scheme.family = family;
    const SchemeResult result = run(plan, scheme, "family");
    std::size_t pieces = 0;
    for (const SchemeEvent& event : result.events)
      if (event.kind == SchemeEvent::Kind::alloc && event.category == memory::Category::mlp && event.layer == 2 && event.phase == memory::Phase::prefill) ++pieces;
    CHECK_EQUAL(pieces, family == memory::ModelShape::Family::llama ? 2 : 16);
  }
}

TEST("a policy's memory is what it holds: offloaded and not, the cache shrinks with it") {
  const Checkpoint checkpoint(even());
  const Plan plan = plan_of(checkpoint, 400, 3, DType::f32);
  const auto held_at_end = [](const SchemeResult& result, SchemeEvent::Kind takes, SchemeEvent::Kind gives) {
    std::uint64_t now = 0;
    for (const SchemeEvent& event : result.events) {
      if (event.category != memory::Category::kv || event.op == memory::Op::end) continue;
      if (event.kind == takes) now += event.bytes;
      if (event.kind == gives) now -= event.bytes;
    }
    return now;
  };
  constexpr std::uint64_t row = 2 * 2 * 16 * 4;  // K and V of both kv heads
  SchemePlan scheme = scheme_of({}, DType::f32);
  scheme.retention = choice("streaming-llm:sink=4,recent=50");
  CHECK_EQUAL(held_at_end(run(plan, scheme, "resident"), SchemeEvent::Kind::alloc, SchemeEvent::Kind::free), 3 * 64 * row);
  scheme.scheme.offload = {kLayer, false};
  const SchemeResult offloaded = run(plan, scheme, "offloaded");
  CHECK_EQUAL(held_at_end(offloaded, SchemeEvent::Kind::host_alloc, SchemeEvent::Kind::host_free), 3 * 64 * row);
  CHECK_EQUAL(offloaded.to_host.bytes, 3 * (1 + 3) * 54 * row);  // what stays after the prompt, and after every step
}
