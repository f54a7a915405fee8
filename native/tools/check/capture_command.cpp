#include "tools/check/capture_command.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "host/device/device_capture.h"
#include "host/device/open_device.h"
#include "host/failure.h"
#include "host/kernels/cpu_device.h"
#include "host/machine.h"
#include "host/plan_file.h"
#include "tools/check/capture_recompute.h"

namespace attnscope::check_captures {
namespace capture_commands {

constexpr const char* usage =
    "attnscope-check capture --plan FILE [--plan FILE ...] [options]\n"
    "  --device cpu|cuda[:i]    where the first capture runs (the plan's; cpu: the same runner on the CPU's kernels)\n"
    "  --reference kernels|fp32|both   what it is compared with: the same runner and precisions on the CPU's kernels, or the CPU's own\n"
    "                           runner in fp32 (both)\n"
    "  --weights MODE           auto, resident or streamed (the plan's)\n"
    "  --threads N              of the CPU (all)\n"
    "  --markdown               print tables as Markdown\n"
    "Heads whose queries are all stored are also recomputed by the core from the captured vectors.\n";

struct Command {
  std::vector<std::string> plans;
  std::string device;
  std::string weights;
  bool kernels = true, fp32 = true, markdown = false;
  unsigned threads = 0;
};

int refuse(const std::string& sentence) {
  std::fprintf(stderr, "attnscope-check capture: %s\n", sentence.c_str());
  return 2;
}

/// Empty where the command is right, else what is wrong with it.
std::string read_command(int count, char** words, Command& command) {
  for (int i = 0; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--markdown") {
      command.markdown = true;
      continue;
    }
    if (word != "--plan" && word != "--device" && word != "--reference" && word != "--weights" && word != "--threads") return word + " is no option; --help lists them";
    if (i + 1 == count) return word + " needs a value";
    const std::string value = words[++i];
    if (word == "--plan") command.plans.push_back(value);
    if (word == "--device") command.device = value;
    if (word == "--reference") {
      if (value != "kernels" && value != "fp32" && value != "both") return "--reference is kernels, fp32 or both";
      command.kernels = value != "fp32", command.fp32 = value != "kernels";
    }
    if (word == "--weights") {
      if (value != "auto" && value != "resident" && value != "streamed") return "--weights is auto, resident or streamed";
      command.weights = value;
    }
    if (word == "--threads") {
      const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), command.threads);
      if (error != std::errc() || stop != value.data() + value.size() || command.threads == 0 || command.threads > 1024) return "--threads needs a number from 1 to 1024";
    }
  }
  return command.plans.empty() ? "no plan to run; name one with --plan" : "";
}

std::string number(double value, const char* format = "%.1e") {
  char text[32];
  std::snprintf(text, sizeof text, value == 0 ? "0" : std::isinf(value) ? "wrong" : format, value);
  return text;
}

/// What must be equal and is, in one line; every other column in one of its own.
void print(const std::vector<ColumnDifference>& columns, bool markdown) {
  std::vector<std::vector<std::string>> table{{"table", "column", "values", "measure", "difference", "rms", "tolerance", "layer", "verdict"}};
  std::size_t equal = 0;
  for (const ColumnDifference& one : columns) {
    if (one.measure == Measure::equal && one.passed()) {
      ++equal;
      continue;
    }
    table.push_back({std::string(name_of(one.segment)) + "/" + one.table, one.column, std::to_string(one.values), name_of(one.measure), number(one.difference), number(one.rms),
                     one.tolerance == 0 ? "0" : number(one.tolerance), one.layer < 0 ? "" : std::to_string(one.layer), one.passed() ? "passed" : "FAILED"});
  }
  std::vector<std::size_t> width(table[0].size());
  for (const auto& row : table)
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  for (std::size_t r = 0; r < table.size(); ++r) {
    for (std::size_t i = 0; i < table[r].size(); ++i)
      std::printf(markdown ? "| %-*s " : "%-*s  ", static_cast<int>(i + 1 < table[r].size() || markdown ? width[i] : 0), table[r][i].c_str());
    std::printf(markdown ? "|\n" : "\n");
    if (markdown && r == 0) std::printf("|---|---|---:|---|---:|---:|---:|---:|---|\n");
  }
  std::printf("%s%zu columns of addresses and counts are equal\n", markdown ? "\n" : "", equal);
}

bool all_passed(const std::vector<ColumnDifference>& columns) {
  return std::all_of(columns.begin(), columns.end(), [](const ColumnDifference& one) { return one.passed(); });
}

/// Prints one comparison. False where a column is out of its tolerance.
bool tell(const std::string& title, const std::vector<ColumnDifference>& columns, bool markdown) {
  std::printf("\n%s%s\n\n", markdown ? "### " : "", title.c_str());
  print(columns, markdown);
  const bool passed = all_passed(columns);
  const auto failed = std::count_if(columns.begin(), columns.end(), [](const ColumnDifference& one) { return !one.passed(); });
  if (passed) std::printf("%s: all %zu columns within their tolerances\n", title.c_str(), columns.size());
  else std::printf("%s: %td of %zu columns FAILED\n", title.c_str(), failed, columns.size());
  return passed;
}

class Check {
 public:
  Check(const Command& command, KernelDevice& device, Plan plan) : command_(command), device_(device), plan_(std::move(plan)) {}

  /// Exit status.
  int run() {
    Recording got;
    const auto captured = timed("the device's capture", [&](Cancellation& cancellation) { return run_capture_on(device_, plan_, got, cancellation); });
    if (!captured) return 1;
    std::printf("%u prompt tokens, %u decoded; products in %s (%s); weights %s; device memory at its peak %.3f GB\n", captured.value().prefill_tokens, captured.value().decode_steps,
                captured.value().compute.c_str(), captured.value().products.c_str(), captured.value().streamed_weights ? "streamed" : "resident",
                double(captured.value().peak_device_bytes) / 1e9);
    bool passed = true;
    if (command_.kernels) {
      Recording expected;
      const auto cpu = open_cpu_device(plan_.threads);
      DeviceRunOptions options;
      options.compute = captured.value().compute == "f16" ? DType::f16 : captured.value().compute == "bf16" ? DType::bf16 : DType::f32;
      if (!timed("the reference", [&](Cancellation& cancellation) { return run_capture_on(*cpu, plan_, expected, cancellation, options); })) return 1;
      passed &= tell(text("against ", name_of(Reference::kernels)), differences(got, expected, Reference::kernels, plan_.vectors), command_.markdown);
    }
    if (command_.fp32) {
      Recording expected;
      Plan plan = plan_;
      plan.device = DevicePlan{};
      if (!timed("the reference", [&](Cancellation& cancellation) { return run_capture(plan, expected, cancellation); })) return 1;
      passed &= tell(text("against ", name_of(Reference::fp32)), differences(got, expected, Reference::fp32, plan_.vectors), command_.markdown);
    }
    const Recomputed again = recompute(got, plan_, plan_.threads);
    if (again.heads == 0) std::printf("\nno head's queries are all stored: nothing to recompute\n");
    else passed &= tell(text("against ", name_of(Reference::recomputed), ", ", again.heads, " heads"), again.columns, command_.markdown);
    return passed ? 0 : 1;
  }

 private:
  template <class Run>
  Result<CaptureSummary> timed(const char* what, Run run) {
    const auto start = std::chrono::steady_clock::now();
    Cancellation cancellation;
    auto summary = run(cancellation);
    if (!summary) std::printf("%s FAILED: %s: %s\n", what, summary.error().code.c_str(), summary.error().message.c_str());
    else std::printf("%s: %.2f s\n", what, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return summary;
  }

  const Command& command_;
  KernelDevice& device_;
  Plan plan_;
};

/// The plan as the command wants it run.
Result<Plan> read_plan(const std::string& path, const Command& command) {
  auto file = read_plan_file(path);
  if (!file) return file.error();
  Plan& plan = file.value().plan;
  if (!command.device.empty()) plan.device.name = command.device;
  if (command.weights == "auto") plan.device.weights = DevicePlan::Weights::automatic;
  if (command.weights == "resident") plan.device.weights = DevicePlan::Weights::resident;
  if (command.weights == "streamed") plan.device.weights = DevicePlan::Weights::streamed;
  plan.threads = command.threads != 0 ? command.threads : machine_info().threads;
  ATTNSCOPE_TRY(validate(plan));
  return std::move(plan);
}

}  // namespace capture_commands

int capture_command(int count, char** words) {
  using namespace capture_commands;
  if (count == 1 && std::strcmp(words[0], "--help") == 0) return std::printf("%s", usage), 0;
  Command command;
  if (const std::string wrong = read_command(count, words, command); !wrong.empty()) return refuse(wrong);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what a run that is stopped has found so far counts
  int status = 0;
  for (const std::string& path : command.plans) {
    auto plan = read_plan(path, command);
    if (!plan) return refuse(plan.error().code + ": " + plan.error().message);
    auto device = open_device(plan.value().device.name, plan.value().threads);
    if (!device) return refuse(device.error().code + ": " + device.error().message);
    const DeviceFacts& facts = device.value()->facts();
    std::printf("%s%s on %s (%s)\n\n", command.markdown ? "## " : "", path.c_str(), facts.name, facts.driver);
    status = std::max(status, Check(command, *device.value(), plan.take()).run());
    std::printf("\n");
  }
  return status;
}

}  // namespace attnscope::check_captures
