// The memory model as both bindings hand it to JavaScript: a question by name with arrays of doubles, an answer of columns of doubles
// and lines of text. native/bind/memory.ts is the other end.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace attnscope::memory_answers {

struct Question {
  std::string_view name, implementation, policy;
  std::span<const double> config;
  std::span<const std::uint32_t> kept;
  std::span<const double> options;
};

struct Answer {
  static constexpr std::size_t most_columns = 7;   // of a WebAssembly answer, beside the text
  std::vector<std::vector<double>> columns;
  std::string text;
};

/// E_MEMORY_*, E_POLICY_*.
Result<Answer> ask(const Question& question);

}  // namespace attnscope::memory_answers
