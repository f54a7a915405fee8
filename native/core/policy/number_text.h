// Numbers as text, the same on every platform and in every locale.
#pragma once
#include <string>
#include <string_view>

namespace attnscope {

/// The shortest decimal text that reads back to the same value; without exponent from 1e-6 up to 1e15. "nan", "inf".
std::string number_text(double value);
/// The whole of `text` as one finite decimal number; false otherwise.
bool parse_number(std::string_view text, double& value);

}  // namespace attnscope
