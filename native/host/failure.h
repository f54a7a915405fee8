// Building and passing on errors. Codes are stable and listed in docs/errors.md.
#pragma once
#include <string>
#include <string_view>
#include <type_traits>

#include "core/result.h"

namespace attnscope {

/// Joins strings and integers: text("layer ", 3).
template <class... Parts>
std::string text(const Parts&... parts) {
  std::string joined;
  auto add = [&](const auto& part) {
    if constexpr (std::is_integral_v<std::decay_t<decltype(part)>>) joined += std::to_string(part);
    else joined += std::string_view(part);
  };
  (add(parts), ...);
  return joined;
}

template <class... Parts>
Error failure(std::string code, const Parts&... parts) {
  return Error{std::move(code), text(parts...)};
}

}  // namespace attnscope

/// Returns the error of a Status or Result to the caller, if it is one.
#define ATTNSCOPE_TRY(expression)                                  \
  do {                                                             \
    if (auto tried = (expression); !tried.ok()) return tried.error(); \
  } while (false)
