// attnscope-run: a capture without Node. Reads a plan file, runs it, writes a bundle (docs/format.md); attnscope import-bundle makes a
// capture of it. Exit status 0: complete; 1: the plan, the machine or the disk was not up to it; 2: a fault of the program or of the
// plan's writer; 130: stopped.
//   cmake -S native -B build/native && cmake --build build/native --target attnscope-run
//   build/native/attnscope-run --plan exported/plan.txt --out bundle --device cuda
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "host/capture_bundle.h"
#include "host/device/device_capture.h"
#include "host/device/open_device.h"
#include "host/failure.h"
#include "host/machine.h"
#include "host/plan_file.h"
#include "host/replace_file.h"
#include "host/weights.h"
#include "tools/run/progress_line.h"

namespace {

using namespace attnscope;
using Clock = std::chrono::steady_clock;

constexpr const char* usage =
    "Runs the plan that `attnscope capture --export FOLDER` wrote and writes a bundle for `attnscope import-bundle`.\n\n"
    "  attnscope-run --plan FILE --out FOLDER [options]\n\n"
    "  --plan FILE             plan.txt of an export\n"
    "  --out FOLDER            where the bundle goes; made, or empty\n"
    "  --discard               instead of --out: computes everything and writes nothing, to measure the run alone\n"
    "  --device NAME           cpu, cuda or cuda:i (the plan's)\n"
    "  --weights MODE          auto, resident or streamed (the plan's)\n"
    "  --device-memory BYTES   most device memory, such as 40G, 0 for all there is (the plan's)\n"
    "  --threads N             CPU threads, 0 for all (the plan's)\n"
    "  --summary FILE          seconds by phase and peak memory, as JSON\n"
    "  --quiet                 no progress\n";

struct Command {
  std::string plan, out, summary;
  bool discard = false, quiet = false;
  std::optional<std::string> device;
  std::optional<DevicePlan::Weights> weights;
  std::optional<std::uint64_t> memory;
  std::optional<std::uint32_t> threads;
};

Cancellation cancellation;

/// The first Ctrl-C stops the run and keeps what it has, the second ends the program.
extern "C" void stop(int) {
  if (cancellation.requested()) std::_Exit(130);
  cancellation.request();
}

int report(const Error& error) {
  std::fprintf(stderr, "attnscope-run: %s: %s\n", error.code.c_str(), error.message.c_str());
  return error.code == "E_PLAN_INVALID" ? 2 : 1;
}

/// The whole of `word` as a number.
template <class T>
bool parse(const std::string& word, std::optional<T>& number) {
  T value = 0;
  const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  number = value;
  return error == std::errc() && stop == word.data() + word.size();
}

/// "80000000000" or "40G": K, M, G and T are powers of 1,024, as on the command line of attnscope.
bool parse_bytes(std::string word, std::optional<std::uint64_t>& bytes) {
  constexpr std::string_view units = "KMGTkmgt";
  std::uint64_t unit = 1;
  if (const std::size_t at = word.empty() ? units.npos : units.find(word.back()); at != units.npos) {
    unit <<= 10 * (at % 4 + 1);
    word.pop_back();
  }
  if (!parse(word, bytes) || *bytes > ~std::uint64_t{0} / unit) return false;
  bytes = *bytes * unit;
  return true;
}

Status set_option(Command& command, const std::string& name, const std::string& value) {
  const auto refuse = [&](const char* wanted) { return failure("E_RUN_OPTION", name, " is ", value, "; wanted ", wanted, "."); };
  if (name == "--plan") command.plan = value;
  else if (name == "--out") command.out = value;
  else if (name == "--summary") command.summary = value;
  else if (name == "--device") {
    if (value != "cpu" && !cuda_index(value)) return refuse("cpu, cuda or cuda:<index>");
    command.device = value;
  }
  else if (name == "--weights") {
    if (value == "auto") command.weights = DevicePlan::Weights::automatic;
    else if (value == "resident") command.weights = DevicePlan::Weights::resident;
    else if (value == "streamed") command.weights = DevicePlan::Weights::streamed;
    else return refuse("auto, resident or streamed");
  } else if (name == "--device-memory") {
    if (!parse_bytes(value, command.memory)) return refuse("a number of bytes, such as 40G");
  } else if (name == "--threads") {
    if (!parse(value, command.threads) || *command.threads > 1024) return refuse("a number from 0 to 1024");
  } else {
    return failure("E_RUN_OPTION", name, " is no option; --help lists them.");
  }
  return success();
}

Result<Command> read_command(int count, char** words) {
  Command command;
  for (int i = 1; i < count; ++i) {
    const std::string name = words[i];
    if (name == "--discard" || name == "--quiet") {
      (name == "--quiet" ? command.quiet : command.discard) = true;
      continue;
    }
    if (i + 1 == count) return failure("E_RUN_OPTION", name, " needs a value or is no option; --help lists them.");
    ATTNSCOPE_TRY(set_option(command, name, words[++i]));
  }
  if (command.plan.empty()) return failure("E_RUN_OPTION", "no plan to run; name its file with --plan.");
  if (command.out.empty() != command.discard) return failure("E_RUN_OPTION", "name a folder with --out, or --discard what is computed; one of them.");
  return command;
}

void override_plan(Plan& plan, const Command& command) {
  if (command.device) plan.device.name = *command.device;
  if (command.weights) plan.device.weights = *command.weights;
  if (command.memory) plan.device.memory_bytes = *command.memory;
  if (command.threads) plan.threads = *command.threads;
  if (plan.threads == 0) plan.threads = machine_info().threads;
}

/// What is known before the run; the rest is in its summary. `device` is null for the CPU's own runner.
BundleDevice describe(const Plan& plan, KernelDevice* device) {
  BundleDevice described;
  described.threads = plan.threads;
  if (device == nullptr) {
    const MachineInfo machine = machine_info();
    described.name = machine.cpu, described.driver = "attnscope " + machine.version + ", " + machine.simd, described.products = machine.blas;
    described.compute = "f32", described.weights = "mapped";
  } else {
    const DeviceFacts& facts = device->facts();
    described.kind = facts.kind, described.name = facts.name, described.driver = facts.driver, described.products = facts.products;
  }
  return described;
}

/// Computes and keeps nothing.
class Nowhere final : public CaptureSink {
 public:
  explicit Nowhere(std::function<void(const RunProgress&)> on_progress) : on_progress_(std::move(on_progress)) {}
  Status batch(Batch&&) override { return success(); }
  Status layer_done(Segment, std::uint32_t) override { return success(); }
  void progress(const RunProgress& progress) override { on_progress_(progress); }

 private:
  std::function<void(const RunProgress&)> on_progress_;
};

void print_summary(const CaptureSummary& summary, const BundleDevice& device, double seconds, const Command& command) {
  std::printf("%s: %u prompt tokens, %u decoded, %.2f s on %s\n", summary.cancelled ? "stopped" : "complete", summary.prefill_tokens, summary.decode_steps, seconds,
              device.name.c_str());
  for (const auto& [phase, value] : summary.seconds) std::printf("  %-8s %10.2f s\n", phase.c_str(), value);
  const auto gigabytes = [](std::uint64_t bytes) { return double(bytes) / 1e9; };
  std::printf("  memory at its peak: process %.2f GB", gigabytes(summary.peak_resident_bytes));
  if (summary.peak_device_bytes > 0) std::printf(", device %.2f GB, pinned %.2f GB", gigabytes(summary.peak_device_bytes), gigabytes(summary.peak_pinned_bytes));
  for (const auto& [category, bytes] : summary.device_bytes_at_peak) std::printf("%s %s %.2f", &category == &summary.device_bytes_at_peak[0].first ? ";" : ",", category.c_str(), gigabytes(bytes));
  std::printf("\n%s%s\n", command.discard ? "nothing was written" : "bundle in ", command.out.c_str());
}

/// Whether a bundle holds a finished layer.
bool has_layers(const std::string& bundle) {
  std::error_code error;
  return std::filesystem::exists(std::filesystem::path(bundle) / "prefill-0000.json", error);
}

int run(const Command& command) {
  auto file = read_plan_file(command.plan);
  if (!file) return report(file.error());
  Plan& plan = file.value().plan;
  override_plan(plan, command);
  if (const Status valid = validate(plan); !valid) return report(valid.error());

  // Before a folder is made: a path that is wrong costs nothing then.
  if (const auto weights = Weights::open(plan); !weights) return report(weights.error());

  std::unique_ptr<KernelDevice> gpu;
  if (plan.device.name != "cpu") {
    auto opened = open_device(plan.device.name, plan.threads);
    if (!opened) return report(opened.error());
    gpu = opened.take();
  }
  const BundleDevice device = describe(plan, gpu.get());
  ProgressLine line(!command.quiet);
  Nowhere nowhere([&](const RunProgress& progress) { line.show(progress); });
  std::unique_ptr<CaptureBundle> bundle;
  if (!command.discard) {
    auto created = CaptureBundle::create(command.out, device, file.value().sha256);
    if (!created) return report(created.error());
    bundle = created.take();
    bundle->on_progress = [&](const RunProgress& progress) { line.show(progress); };
    const auto request = std::filesystem::path(command.plan).parent_path() / "request.json";
    if (const Status copied = bundle->copy_request(request.string()); !copied) return report(copied.error());
  }
  std::signal(SIGINT, stop);
  std::signal(SIGTERM, stop);
  const auto start = Clock::now();
  CaptureSink& sink = bundle ? static_cast<CaptureSink&>(*bundle) : nowhere;
  const auto outcome = gpu ? run_capture_on(*gpu, plan, sink, cancellation) : run_capture(plan, sink, cancellation);
  if (!outcome) {
    line.end();
    if (bundle) {
      const Status kept = bundle->finish(outcome.error());
      if (kept && has_layers(command.out)) std::fprintf(stderr, "layers finished before that are in %s\n", command.out.c_str());
    }
    return report(outcome.error());
  }
  // The tables are part of the run: it ends when the last of them is written.
  const Status finished = bundle ? bundle->finish(outcome.value()) : success();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  line.end();
  if (!finished) return report(finished.error());
  const BundleDevice used = device_of(outcome.value(), device);
  print_summary(outcome.value(), used, seconds, command);
  if (!command.summary.empty())
    if (const Status written = replace_file(command.summary, describe_run(used, outcome.value(), seconds)); !written) return report(written.error());
  return outcome.value().cancelled ? 130 : 0;
}

}  // namespace

int main(int count, char** words) {
  if (count == 2 && (std::string(words[1]) == "--help" || std::string(words[1]) == "-h")) return std::printf("%s", usage), 0;
  const auto command = read_command(count, words);
  return command ? run(command.value()) : report(command.error());
}
