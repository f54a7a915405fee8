// A MemoryConfig of native/engine/memory.ts as an array of doubles, in the order that native/bind/memory.ts packs it.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/memory/max_context.h"

namespace attnscope::memory_numbers {

struct Request {
  const memory::Implementation* implementation = nullptr;
  memory::ConfigAt at;             // the same request over another prompt
  memory::Config config;           // as given
};

/// E_MEMORY_CONFIG names the field; `kept`: of a retention that lists what layers keep; `policy`: text of one that a policy decides.
Result<Request> read_request(std::string_view implementation, std::span<const double> numbers, std::span<const std::uint32_t> kept, std::string_view policy);
/// E_MEMORY_LENGTH where a replay would go through more events than it takes.
Status check_length(const memory::Config& config);

/// As packed: what a remedy or a named scheme looks like.
inline constexpr std::size_t scheme_numbers = 10;
std::array<double, scheme_numbers> of(const memory::Scheme& scheme);

}  // namespace attnscope::memory_numbers
