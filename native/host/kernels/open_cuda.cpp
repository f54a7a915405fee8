#include "host/kernels/open_cuda.h"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <dlfcn.h>

#include "host/failure.h"

namespace attnscope {
namespace open_cuda {

constexpr const char* file_name = "libattnscope_cuda.so";
/// What a library of another interface says of itself (native/cuda/cuda_device.cu).
constexpr std::string_view version_mismatch = "interface version";

/// The folder of the executable or library this function was linked into; empty where the loader does not say.
std::filesystem::path module_folder() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&module_folder), &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code error;
  const std::filesystem::path path = std::filesystem::weakly_canonical(info.dli_fname, error);
  return error ? std::filesystem::path{} : path.parent_path();
}

/// Files that exist, best first; the bare name last, for the loader to look for.
std::vector<std::string> candidates(const std::filesystem::path& start) {
  std::vector<std::string> found;
  const auto add = [&](const std::filesystem::path& path) {
    std::error_code error;
    if (std::filesystem::exists(path, error)) found.push_back(path.string());
  };
  if (!start.empty()) {
    add(start / file_name);
    // The add-on lies in build/Release, a plain executable in build/<name> or deeper: build/cuda is beside one of their parents. No further
    // up: what lies there belongs to others.
    std::filesystem::path folder = start;
    while (folder.has_relative_path() && folder.filename() != "build") folder = folder.parent_path();
    if (folder.filename() == "build") add(folder / "cuda" / file_name);
  }
  found.emplace_back(file_name);
  return found;
}

/// The library's handle; `why` collects where there was none, and what the loader said of every file.
void* load(std::string& why) {
  std::vector<std::string> files;
  if (const char* named = std::getenv("ATTNSCOPE_CUDA_LIBRARY"); named != nullptr && *named != '\0') files.emplace_back(named);
  else {
    const std::filesystem::path start = module_folder();
    files = candidates(start);
    if (files.size() == 1) why = std::string("no ") + file_name + " in " + start.string() + " or in build/cuda above it";
  }
  for (const std::string& file : files) {
    if (void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    const char* said = dlerror();
    why += (why.empty() ? "" : "; ") + std::string(said != nullptr ? said : file.c_str());
  }
  return nullptr;
}

}  // namespace open_cuda

Result<std::unique_ptr<KernelDevice>> open_cuda_device(std::uint32_t index) {
  std::string why;
  void* library = open_cuda::load(why);
  if (library == nullptr)
    return failure("E_CUDA_LIBRARY", "the CUDA kernels cannot be loaded (", why,
                   "); build them with `npm run build:cuda` on a machine with the CUDA toolkit, or name the file in ATTNSCOPE_CUDA_LIBRARY");
  const auto open = reinterpret_cast<OpenCudaDevice>(dlsym(library, kOpenCudaDevice));
  if (open == nullptr)
    return failure("E_CUDA_VERSION", "the CUDA library that was found has no function ", kOpenCudaDevice,
                   "; build it again with `npm run build:cuda`");
  char reason[512] = "";
  KernelDevice* device = open(kKernelInterfaceVersion, index, reason, sizeof reason);
  if (device != nullptr) return std::unique_ptr<KernelDevice>(device);
  const std::string_view said = reason;
  if (said.find(open_cuda::version_mismatch) != said.npos)
    return failure("E_CUDA_VERSION", "the CUDA library does not fit this program: ", said, "; build it again with `npm run build:cuda`");
  return failure("E_CUDA_DEVICE", "CUDA device ", index, " cannot be used: ", said.empty() ? std::string_view("the library gives no reason") : said);
}

std::string cuda_library_file() {
  std::string why;
  void* library = open_cuda::load(why);
  Dl_info info;
  if (library == nullptr || dladdr(dlsym(library, kOpenCudaDevice), &info) == 0 || info.dli_fname == nullptr) return {};
  return info.dli_fname;
}

}  // namespace attnscope
