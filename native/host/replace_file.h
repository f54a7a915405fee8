// Files that a reader sees whole or not at all.
#pragma once
#include <string>
#include <string_view>

#include "core/result.h"

namespace attnscope {

/// Writes `bytes` beside `path` and renames them into its place. E_WRITE_FAILED.
Status replace_file(const std::string& path, std::string_view bytes);

/// E_WRITE_FAILED with what errno says.
Error cannot_write(const std::string& path);

}  // namespace attnscope
