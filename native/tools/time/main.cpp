// attnscope-time: the timing harness without Node. Writes a bundle (docs/format.md); attnscope import-bundle makes timings.arrow of it.
//   cmake -S native -B build/native && cmake --build build/native --target attnscope-time
//   build/native/attnscope-time --device cuda --out timings-h200
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "host/device/open_device.h"
#include "host/timing/bundle.h"
#include "host/timing/captured_files.h"
#include "host/timing/run_timings.h"
#include "host/timing/timing_options.h"

namespace {

using namespace attnscope;

Cancellation cancellation;

/// The first Ctrl-C stops between two repetitions, the second ends the program.
extern "C" void stop(int) {
  if (cancellation.requested()) std::_Exit(130);
  cancellation.request();
}

int report(const Error& error) {
  std::fprintf(stderr, "attnscope-time: %s: %s\n", error.code.c_str(), error.message.c_str());
  return 1;
}

void print_help() {
  std::printf("Times the kernels of a device and writes a bundle for attnscope import-bundle.\n\n  attnscope-time --out FOLDER [options]\n\n");
  for (const TimingOption& option : timing_options())
    std::printf("  --%s %s\n      %s\n", option.name, option.argument, option.doc);
}

class Output final : public TimingSink {
 public:
  explicit Output(TimingBundle bundle) : bundle_(std::move(bundle)) {}

  Status row(const TimingRow& row) override {
    std::printf("%-15s %-10s %9u %3u/%-3u %4u  %-9s %14.1f %14.1f %14.1f %5u  %s%s%s\n", row.op.c_str(), row.phase.c_str(), row.tokens, row.heads, row.kv_heads, row.head_dim,
                row.batching.c_str(), row.median_us, row.p10_us, row.p90_us, row.count, row.policy.c_str(), row.indices.empty() ? "" : "; ", row.indices.c_str());
    bundle_.add(row);
    return success();
  }
  void skipped(const TimingSkip& skip) override {
    std::fprintf(stderr, "left out: %s/%s, %u tokens: %s\n", skip.op.c_str(), skip.phase.c_str(), skip.tokens, skip.reason.c_str());
    bundle_.add(skip);
  }
  void progress(std::uint32_t done, std::uint32_t total, const std::string& what) override {
    if (!what.empty()) std::fprintf(stderr, "%u of %u: %s\n", done + 1, total, what.c_str());
  }
  Status group_done() override {
    std::fflush(stdout);
    return bundle_.write(false);
  }

  TimingBundle& bundle() { return bundle_; }

 private:
  TimingBundle bundle_;
};

int run(const TimingPlan& plan, const std::string& out) {
  auto device = open_device(plan.device, plan.threads);
  if (!device) return report(device.error());
  auto bundle = TimingBundle::create(out, device.value()->facts());
  if (!bundle) return report(bundle.error());
  const DeviceFacts& facts = device.value()->facts();
  std::printf("%s (%s), measured; microseconds\n%-15s %-10s %9s %7s %4s  %-9s %14s %14s %14s %5s  policy; indices\n", facts.name, facts.driver, "op", "phase", "tokens", "heads", "dim", "batching",
              "median", "p10", "p90", "count");
  Output output(bundle.take());
  std::signal(SIGINT, stop);
  std::signal(SIGTERM, stop);
  const auto outcome = run_timings(*device.value(), plan, output, cancellation);
  if (!outcome) {
    std::fprintf(stderr, "%zu rows before that are in %s\n", output.bundle().rows(), out.c_str());
    return report(outcome.error());
  }
  if (const Status status = output.bundle().write(outcome.value() == TimingOutcome::complete); !status) return report(status.error());
  std::printf("%s%zu rows in %s\n", outcome.value() == TimingOutcome::complete ? "" : "stopped; ", output.bundle().rows(), out.c_str());
  return outcome.value() == TimingOutcome::complete ? 0 : 130;
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::pair<std::string, std::string>> options;
  std::string out, captured;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--help") return print_help(), 0;
    if (!name.starts_with("--") || i + 1 == count) return report({"E_TIMING_OPTION", name + " is no option with a value; --help lists them."});
    const std::string value = arguments[++i];
    if (name == "--out") out = value;
    else if (name == "--captured") captured = value;
    else options.emplace_back(name.substr(2), value);
  }
  if (out.empty()) return report({"E_TIMING_OPTION", "no folder to write to; name one with --out."});
  auto plan = attnscope::read_timing_plan(options);
  if (!plan) return report(plan.error());
  if (!captured.empty()) {
    auto layers = attnscope::read_captured_files(captured);
    if (!layers) return report(layers.error());
    plan.value().captured = layers.take();
    plan.value().synthetic = false;
  }
  return run(plan.value(), out);
}
