// What a policy says of itself: parameters with units, ranges and defaults, published presets, and the labels that a fair
// comparison needs. Declared here once; sliders, command-line flags, documentation and checks are made from it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace attnscope {

enum class ParameterType : std::uint8_t { integer, real, choice, flag };

/// One parameter. Values travel as doubles: a choice is the index into `choices`, a flag is 0 or 1.
struct Parameter {
  const char* name;                      // as in the paper or its code: "v", "n_init"
  ParameterType type = ParameterType::integer;
  const char* unit = "";                 // "tokens", "share of 1", "tables", ...; empty for choices and flags
  double minimum = 0, maximum = 0;       // both allowed
  double fallback = 0;                   // the published default
  const char* doc = "";                  // one line
  bool logarithmic = false;              // a slider moves in ratios
  bool scales = false;                   // a token count that scaled presets multiply by N / context of the preset
  std::vector<const char*> choices = {};
};

/// Published values. A preset with a context also has a second form, scaled to N tokens (see scaled_preset).
struct Preset {
  const char* name;
  const char* source;                    // paper, table, repository path
  std::vector<double> values;            // one a parameter, in order
  std::uint32_t context_tokens = 0;      // N it was published for; 0: does not scale
};

enum class Family : std::uint8_t { prefill, retention, retrieval };
/// Whose decision it is: heads that share a unit keep the same keys.
enum class DecisionUnit : std::uint8_t { query_head, kv_head, layer };
enum class Frees : std::uint8_t { nothing, memory, emulated };  // what happens to resident KV memory
enum class QueryAware : std::uint8_t { no, prompt, every_step };  // what the decision has seen of the queries

/// A kernel that a policy launches: once for the prompt, once after it, or at every step. Names as in the timing table
/// (data/format/timings.ts), work as in core/timing/work.h.
struct PolicyKernel {
  enum class When : std::uint8_t { prefill, build, step };
  When when;
  const char* op;
  const char* phase;
};

struct PolicyDescriptor {
  const char* id;                        // a named variant: "lagkv-official"
  const char* title;
  Family family;
  DecisionUnit unit;
  const char* granularity;               // "token", "64-token block", "64 x 64 tile + column", ...
  const char* phase;                     // "prefill", "decode", "prefill and decode"
  Frees frees;
  QueryAware query_aware;
  bool sampled = false;                  // has a parameter "seed"; results are spread over seeds
  bool needs_future = false;             // a yardstick that reads rows to come: replay only
  bool yardstick = false;                // oracle or baseline, not a method
  const char* doc = "";                  // what it keeps, in a sentence or two
  const char* source = "";               // paper and repository
  std::vector<PolicyKernel> kernels = {};  // in the order they run; none where no kernel does what it does
  const char* untimed = "";              // what it does besides, for which there is no kernel; empty where nothing
  std::vector<Parameter> parameters = {};
  std::vector<Preset> presets = {};      // the first is the default
};

/// Values of all parameters of one policy, in the descriptor's order.
struct PolicyConfig {
  std::vector<double> values;
  double operator[](std::size_t i) const { return values[i]; }
  std::uint32_t count(std::size_t i) const { return static_cast<std::uint32_t>(values[i]); }
  bool flag(std::size_t i) const { return values[i] != 0; }
};

PolicyConfig default_config(const PolicyDescriptor& policy);

/// "v=1000,s=6096" (empty: all defaults; "preset=NAME" first takes a preset). Choices by name, flags as 0 | 1. Refuses, by
/// name and range, what the policy does not know: E_POLICY_PARAMETER.
Result<PolicyConfig> parse_config(const PolicyDescriptor& policy, std::string_view text);
/// Every parameter that differs from its default as "name=value,..."; parse_config reads it back to the same values.
std::string write_config(const PolicyDescriptor& policy, const PolicyConfig& config);
/// The preset for N tokens: parameters that scale are multiplied by N / context_tokens, rounded, and kept within range.
PolicyConfig scaled_preset(const PolicyDescriptor& policy, const Preset& preset, std::uint32_t tokens);

}  // namespace attnscope
