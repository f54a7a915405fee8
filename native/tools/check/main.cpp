// attnscope-check: whether the kernels of a device compute what they should, as a table. Exit status 0: all passed; 1: something
// failed; 2: the command or the device is wrong.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "host/kernels/cpu_device.h"
#include "host/kernels/open_cuda.h"
#include "tools/check/capture_command.h"
#include "tools/check/check.h"
#include "tools/check/policy_command.h"

namespace {

using namespace attnscope;

constexpr const char* usage =
    "attnscope-check [options]           every operation of a device\n"
    "attnscope-check capture [options]   whole captures (capture --help)\n"
    "attnscope-check policies [options]  runs with policies (policies --help)\n"
    "  --device cpu|cuda[:i]   the device to check (cpu)\n"
    "  --size small|full       how many shapes, and how long (full)\n"
    "  --seed N                of the random inputs (a fresh one, printed)\n"
    "  --only OPERATION        one operation of:";

struct Command {
  std::string device = "cpu";
  check_kernels::CheckOptions options{check_kernels::Size::full, (std::uint64_t{std::random_device{}()} << 20) ^ std::random_device{}(), {}};
  unsigned threads = 0;
  bool markdown = false;
};

int refuse(const std::string& sentence) {
  std::fprintf(stderr, "%s\n", sentence.c_str());
  return 2;
}

int help() {
  std::printf("%s", usage);
  for (const std::string& name : check_kernels::checked_operations()) std::printf(" %s", name.c_str());
  std::printf("\n  --threads N             of the CPU (all)\n  --markdown              print the table as Markdown\n");
  return 0;
}

/// The whole of `text` as a number.
bool parse(const char* text, std::uint64_t& number) {
  char* end = nullptr;
  number = std::strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0';
}

/// -1: go on; otherwise the exit status.
int read_command(int count, char** words, Command& command) {
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--help") return help();
    if (word == "--markdown") {
      command.markdown = true;
      continue;
    }
    if (word != "--device" && word != "--size" && word != "--seed" && word != "--only" && word != "--threads")
      return refuse("unknown option " + word + "; --help lists them");
    if (i + 1 == count) return refuse(word + " needs a value");
    const char* value = words[++i];
    std::uint64_t number = 0;
    if (word == "--device") command.device = value;
    if (word == "--only") command.options.only = value;
    if (word == "--size") {
      if (std::strcmp(value, "small") != 0 && std::strcmp(value, "full") != 0) return refuse("--size is small or full");
      command.options.size = std::strcmp(value, "small") == 0 ? check_kernels::Size::small : check_kernels::Size::full;
    }
    if (word == "--seed" && !parse(value, command.options.seed)) return refuse("--seed needs a number");
    if (word == "--threads") {
      if (!parse(value, number) || number == 0 || number > 4096) return refuse("--threads needs a number from 1 to 4096");
      command.threads = static_cast<unsigned>(number);
    }
  }
  const auto& names = check_kernels::checked_operations();
  if (!command.options.only.empty() && std::find(names.begin(), names.end(), command.options.only) == names.end())
    return refuse("no operation is called " + command.options.only + "; --help lists them");
  return -1;
}

}  // namespace

int main(int count, char** words) {
  if (count > 1 && std::strcmp(words[1], "capture") == 0) return attnscope::check_captures::capture_command(count - 2, words + 2);
  if (count > 1 && std::strcmp(words[1], "policies") == 0) return attnscope::check_captures::policy_command(count - 2, words + 2);
  Command command;
  if (const int status = read_command(count, words, command); status >= 0) return status;
  std::unique_ptr<KernelDevice> device;
  if (command.device == "cpu") {
    device = open_cpu_device(command.threads);
  } else {
    std::uint64_t index = 0;
    const bool cuda = command.device == "cuda" || (command.device.starts_with("cuda:") && parse(command.device.c_str() + 5, index) && index < 1024);
    if (!cuda) return refuse("--device is cpu, cuda or cuda:0 to cuda:1023");
    auto opened = open_cuda_device(static_cast<std::uint32_t>(index));
    if (!opened) return refuse(opened.error().code + ": " + opened.error().message);
    device = opened.take();
  }
  const DeviceFacts& facts = device->facts();
  std::printf("%s (%s), %s, %u %s, %.1f GiB, seed %llu\n\n", facts.name, facts.kind, facts.driver, facts.units,
              std::strcmp(facts.kind, "cpu") == 0 ? "threads" : "multiprocessors", static_cast<double>(facts.memory_bytes) / (1 << 30),
              static_cast<unsigned long long>(command.options.seed));
  const check_kernels::CheckReport report = run_checks(*device, command.options);
  std::printf("%s", command.markdown ? to_markdown(report).c_str() : to_text(report).c_str());
  std::printf("\n%zu cases, error = max |got - expected| / max |expected| of a tensor or an element: %s\n", report.cases(), report.passed() ? "all passed" : "some FAILED");
  return report.passed() ? 0 : 1;
}
