// The text form of a timing plan: one table for the plain executable and the command line.
#pragma once
#include <span>
#include <string_view>

#include "host/timing/timing_plan.h"

namespace attnscope {

struct TimingOption {
  const char* name;                        // "lengths"; --lengths on a command line
  const char* argument;                    // "LIST"
  const char* doc;
  /// False where the text is not what the option takes.
  bool (*set)(TimingPlan& plan, std::string_view value);
};

std::span<const TimingOption> timing_options();

/// Sets one option. E_TIMING_OPTION says what it takes.
Status set_timing_option(TimingPlan& plan, std::string_view name, std::string_view value);

/// The plan that an option `preset` (cpu, gpu, quick) or the kind of device begins with; others change it. Fits its time on the
/// machines named in docs/cli.md. E_TIMING_OPTION for another name.
Result<TimingPlan> preset_timing_plan(std::string_view name);

/// Options in any order; a preset among them counts first. "gpu" is the preset of device cuda, else "cpu".
Result<TimingPlan> read_timing_plan(std::span<const std::pair<std::string, std::string>> options);

}  // namespace attnscope
