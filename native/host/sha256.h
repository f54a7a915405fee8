// SHA-256 (FIPS 180-4): what ties a bundle to the plan file it was made of.
#pragma once
#include <string>
#include <string_view>

namespace attnscope {

/// 64 hexadecimal digits.
std::string sha256(std::string_view bytes);

}  // namespace attnscope
