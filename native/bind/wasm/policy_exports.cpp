// Policies as text and as a catalogue behind a C ABI for policies.ts.
#include "bind/wasm/answer.h"
#include "bind/wasm/out_of_memory.h"
#include "core/policy/policy.h"

namespace attnscope::wasm {

Answer& answer() {
  static Answer instance;
  return instance;
}

namespace {

/// Columns: id, text, values.
bool answer_policy(const PolicyChoice& choice) {
  struct Parsed {
    std::string id, text;
    std::vector<double> values;
  };
  const Parsed& parsed = answer().hold(Parsed{choice.entry->descriptor.id, write_policy(choice), choice.config.values});
  answer().set(0, parsed.id);
  answer().set(1, parsed.text);
  answer().set(2, parsed.values);
  return true;
}

}  // namespace

EXPORT(answer_columns) const Answer::Column* answer_columns() { return answer().columns.data(); }

/// "CODE message" of the call that returned false (or -1), as column 0.
EXPORT(last_error)
void last_error() {
  answer().columns = {};
  answer().set(0, answer().error);
}

EXPORT(describe) void describe_catalogue() { answer().set(0, answer().hold(describe_policies())); }

EXPORT(parse)
bool parse(const char* text, std::uint32_t length) {
  const auto choice = parse_policy({text, length});
  return answer().check(choice) && answer_policy(choice.value());
}

EXPORT(scaled)
bool scaled(const char* id, std::uint32_t id_length, const char* preset, std::uint32_t preset_length, std::uint32_t tokens) {
  const auto choice = scaled_policy({id, id_length}, {preset, preset_length}, tokens);
  return answer().check(choice) && answer_policy(choice.value());
}

}  // namespace attnscope::wasm
