#include "host/device/open_device.h"

#include <charconv>

#include "host/failure.h"
#include "host/kernels/cpu_device.h"
#include "host/kernels/open_cuda.h"

namespace attnscope {

std::optional<std::uint32_t> cuda_index(std::string_view name) {
  constexpr std::string_view cuda = "cuda";
  if (name == cuda) return 0;
  if (!name.starts_with(cuda) || name[cuda.size()] != ':') return std::nullopt;
  const std::string_view digits = name.substr(cuda.size() + 1);
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return index;
}

Result<std::unique_ptr<KernelDevice>> open_device(const std::string& name, unsigned threads) {
  if (name == "cpu") return open_cpu_device(threads);
  const std::optional<std::uint32_t> index = cuda_index(name);
  if (!index) return failure("E_DEVICE_NAME", "there is no device \"", name, "\"; give cpu, cuda or cuda:<index>");
  return open_cuda_device(*index);
}

}  // namespace attnscope
