#include "host/replace_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "host/failure.h"

namespace attnscope {

Error cannot_write(const std::string& path) { return failure("E_WRITE_FAILED", path, " cannot be written (", std::strerror(errno), "); check permissions and free space."); }

Status replace_file(const std::string& path, std::string_view bytes) {
  const std::string part = path + ".part";
  {
    std::ofstream file(part, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.flush();
    if (!file) return cannot_write(part);
  }
  return std::rename(part.c_str(), path.c_str()) == 0 ? success() : Status(cannot_write(path));
}

}  // namespace attnscope
