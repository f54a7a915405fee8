// The memory model behind a C ABI for memory-model.ts.
#include "bind/memory_answers.h"
#include "bind/wasm/answer.h"
#include "bind/wasm/out_of_memory.h"

namespace attnscope::wasm {

/// Column 0: text; then the answer's columns.
EXPORT(memory_ask)
bool ask_memory(const char* name, std::uint32_t name_length, const char* implementation, std::uint32_t implementation_length, const char* policy, std::uint32_t policy_length,
                const double* config, std::uint32_t config_count, const std::uint32_t* kept, std::uint32_t kept_count, const double* options, std::uint32_t option_count) {
  auto asked = memory_answers::ask({{name, name_length}, {implementation, implementation_length}, {policy, policy_length}, {config, config_count}, {kept, kept_count}, {options, option_count}});
  if (!answer().check(asked)) return false;
  const memory_answers::Answer& held = answer().hold(asked.take());
  answer().set(0, held.text);
  for (std::size_t i = 0; i < held.columns.size(); ++i) answer().set(i + 1, held.columns[i]);
  return true;
}

}  // namespace attnscope::wasm
