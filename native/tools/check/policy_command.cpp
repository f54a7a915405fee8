#include "tools/check/policy_command.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "host/device/open_device.h"
#include "host/device/policy_device.h"
#include "host/kernels/cpu_device.h"
#include "host/machine.h"
#include "host/plan_file.h"

namespace attnscope::check_captures {
namespace policy_commands {

constexpr const char* usage =
    "attnscope-check policies --plan FILE [options]\n"
    "  --policy POLICY    a policy for all heads, as attnscope takes it; may repeat (one of every family and way of running)\n"
    "  --context N        tokens fed as the prompt, the rest one by one (all but 16)\n"
    "  --chunk N          tokens that retention policies are fed at a time (all at once)\n"
    "  --device cpu|cuda[:i]   where the first run is (the plan's)\n"
    "  --threads N        of the CPU (all)\n"
    "The second run is on the CPU's kernels in the same precisions.\n";

struct Command {
  std::string plan, device;
  std::vector<std::string> policies;
  std::uint32_t context = 0, chunk = 0, threads = 0;
};

int refuse(const std::string& sentence) {
  std::fprintf(stderr, "attnscope-check policies: %s\n", sentence.c_str());
  return 2;
}

/// Empty where the command is right, else what is wrong with it.
std::string read_command(int count, char** words, Command& command) {
  for (int i = 0; i < count; ++i) {
    const std::string word = words[i];
    std::uint32_t* number = word == "--context" ? &command.context : word == "--chunk" ? &command.chunk : word == "--threads" ? &command.threads : nullptr;
    if (number == nullptr && word != "--plan" && word != "--device" && word != "--policy") return word + " is no option; --help lists them";
    if (i + 1 == count) return word + " needs a value";
    const std::string value = words[++i];
    if (word == "--plan") command.plan = value;
    if (word == "--device") command.device = value;
    if (word == "--policy") command.policies.push_back(value);
    if (number == nullptr) continue;
    const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), *number);
    if (error != std::errc() || stop != value.data() + value.size() || *number == 0) return word + " needs a number from 1";
  }
  return command.plan.empty() ? "no plan to run; name one with --plan" : "";
}

std::optional<PolicyRunResult> run_on(KernelDevice& device, const PolicyRunPlan& plan, const DeviceRunOptions& options) {
  Cancellation cancellation;
  auto result = run_policy_on(device, plan, cancellation, {}, options);
  if (result) return result.take();
  std::printf("%s: %s\n", result.error().code.c_str(), result.error().message.c_str());
  return std::nullopt;
}

/// Root mean square: single rows may fall on either side of a 16-bit number, and a score's tie on either side of a budget.
double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return a.size() == b.size() && !a.empty() ? std::sqrt(sum / static_cast<double>(a.size())) : INFINITY;
}

/// Of log-probabilities, in nats: what rounding of activations to the precision of products makes of them.
double tolerance_of(const std::string& compute) { return compute == "f32" ? 1e-4 : compute == "f16" ? 1e-2 : 5e-2; }

/// False where the runs differ by more than rounding.
bool check(KernelDevice& device, const PolicyRunPlan& plan, const std::string& name) {
  const auto got = run_on(device, plan, {});
  if (!got) return false;
  const std::string compute = got->device ? got->device->compute : "";
  DeviceRunOptions options;
  options.compute = compute == "f16" ? DType::f16 : compute == "bf16" ? DType::bf16 : DType::f32;
  const auto cpu = open_cpu_device(plan.base.threads);
  const auto expected = run_on(*cpu, plan, options);
  if (!expected) return false;
  const double with_policy = difference(got->policy_log_probability, expected->policy_log_probability), dense = difference(got->dense_log_probability, expected->dense_log_probability);
  const bool sizes = got->resident_tokens == expected->resident_tokens, passed = sizes && with_policy <= tolerance_of(compute) && dense <= tolerance_of(compute);
  std::printf("%-44s  %zu rows  %.1e with the policy, %.1e dense (tolerance %.0e)  KL %.3g, %.3g  cache sizes %s  %.2f s and %.2f s dense  %s\n", name.c_str(),
              got->position.size(), with_policy, dense, tolerance_of(compute), got->summary.kl_mean, expected->summary.kl_mean, sizes ? "equal" : "DIFFER",
              got->summary.policy_seconds, got->summary.dense_seconds, passed ? "passed" : "FAILED");
  return passed;
}

}  // namespace policy_commands

int policy_command(int count, char** words) {
  using namespace policy_commands;
  Command command;
  if (count > 0 && std::string(words[0]) == "--help") return std::printf("%s", usage), 0;
  if (const std::string wrong = read_command(count, words, command); !wrong.empty()) return refuse(wrong);
  auto read = read_plan_file(command.plan);
  if (!read) return refuse(read.error().code + ": " + read.error().message);
  PolicyRunPlan plan;
  plan.base = read.take().plan;
  plan.base.reduce.enabled = false;
  plan.base.store = {};
  plan.base.skip_layers.clear();
  plan.base.threads = command.threads != 0 ? command.threads : machine_info().threads;
  if (!command.device.empty()) plan.base.device.name = command.device;
  if (plan.base.prompt_tokens() < 32 && command.context == 0) return refuse("the prompt has fewer than 32 tokens; say how many of them are context with --context");
  plan.schedule.context = command.context != 0 ? command.context : plan.base.prompt_tokens() - 16;
  plan.schedule.chunk = command.chunk;
  auto device = open_device(plan.base.device.name, plan.base.threads);
  if (!device) return refuse(device.error().code + ": " + device.error().message);
  if (command.policies.empty())
    command.policies = {"a-shape:n_init=16,n_local=128", "vertical-slash:v=100,s=200", "block-sparse:top_k=4", "lagkv-official:sink=4,lag=32,ratio=0.25",
                        "streaming-llm:recent=128", "random:tokens=128", "topk-exact:k=64"};
  std::printf("%s (%s), %s, %u + %u tokens\n", device.value()->facts().name, device.value()->facts().kind, device.value()->facts().products, plan.schedule.context,
              plan.base.total_tokens() - plan.schedule.context);
  bool passed = true;
  for (const std::string& text : command.policies) {
    auto policy = parse_policy(text);
    if (!policy) return refuse(policy.error().code + ": " + policy.error().message);
    plan.policies = {policy.take()};
    plan.assignment.assign(std::size_t(plan.base.model.layers) * plan.base.model.heads, 0);
    passed &= policy_commands::check(*device.value(), plan, text);
  }
  return passed ? 0 : 1;
}

}  // namespace attnscope::check_captures
