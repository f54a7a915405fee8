#include "core/policy/number_text.h"

#include <charconv>
#include <cmath>

namespace attnscope {

std::string number_text(double value) {
  if (value == 0) return "0";  // -0 as well
  const double size = std::fabs(value);
  const auto format = size >= 1e-6 && size < 1e15 ? std::chars_format::fixed : std::chars_format::general;
  char text[64];  // 17 digits, a sign, a point, an exponent or at most 22 places
  const auto [end, error] = std::to_chars(text, text + sizeof text, value, format);
  return error == std::errc() ? std::string(text, end) : "nan";
}

bool parse_number(std::string_view text, double& value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end && std::isfinite(value);
}

}  // namespace attnscope
