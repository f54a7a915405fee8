#include "bind/node/device_info.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "bind/node/js_error.h"
#include "bind/node/plan_reader.h"
#include "host/device/device_capture.h"
#include "host/device/open_device.h"
#include "host/kernels/open_cuda.h"

namespace attnscope::node {
namespace {

/// Small enough for any device, and more than one page.
constexpr std::size_t kTriedBytes = 1 << 20;
constexpr std::uint8_t kTriedByte = 0x5a;

/// Opening a device tells little of it: a broken driver shows when the device is given work.
Outcome try_memory(KernelDevice& device) {
  void* memory = device.allocate(kTriedBytes);
  if (memory == nullptr) return "E_CUDA_FAILED the device has no MiB of memory left; see what else uses it with `nvidia-smi`";
  std::array<std::uint8_t, 64> seen{};
  Outcome outcome = device.fill(memory, kTriedByte, kTriedBytes);
  if (outcome == nullptr) outcome = device.download(seen.data(), static_cast<std::uint8_t*>(memory) + kTriedBytes - seen.size(), seen.size());
  if (outcome == nullptr) outcome = device.synchronize();
  device.release(memory);
  if (outcome != nullptr) return outcome;
  if (!std::ranges::all_of(seen, [](std::uint8_t byte) { return byte == kTriedByte; })) return "E_CUDA_FAILED the device returns other bytes than it was given; check its driver with `nvidia-smi`";
  return nullptr;
}

}  // namespace

Napi::Value device_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto device = open_device(info[0].ToString(), 1);
  if (!device) throw js_error(env, device.error());
  if (const Outcome outcome = try_memory(*device.value()); outcome != nullptr) {
    const std::string_view said = outcome;
    const std::size_t space = std::min(said.find(' '), said.size());
    raise(env, std::string(said.substr(0, space)), std::string(said.substr(std::min(space + 1, said.size()))));
  }
  const DeviceFacts& facts = device.value()->facts();
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", facts.kind);
  object.Set("name", facts.name);
  object.Set("driver", facts.driver);
  object.Set("memoryBytes", static_cast<double>(facts.memory_bytes));
  object.Set("freeBytes", static_cast<double>(device.value()->free_bytes()));
  object.Set("units", facts.units);
  object.Set("computeCapability", facts.compute_capability);
  object.Set("clockMhz", facts.clock_mhz);
  object.Set("cacheBytes", static_cast<double>(facts.cache_bytes));
  object.Set("products", facts.products);
  object.Set("library", info[0].ToString().Utf8Value() == "cpu" ? std::string() : cuda_library_file());
  return object;
}

Napi::Value device_memory_needs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Plan plan = read_plan(info[0]);
  if (const Status status = validate(plan); !status) throw js_error(env, status.error());
  const double available = info[1].ToNumber().DoubleValue();
  const DeviceNeeds needs = device_needs(plan, {}, nullptr, available > 0 ? static_cast<std::uint64_t>(available) : 0);
  Napi::Object bytes = Napi::Object::New(env);
  for (std::size_t i = 0; i < needs.bytes.size(); ++i) bytes.Set(name_of(static_cast<MemoryCategory>(i)), static_cast<double>(needs.bytes[i]));
  Napi::Object object = Napi::Object::New(env);
  object.Set("bytes", bytes);
  object.Set("pinnedBytes", static_cast<double>(needs.pinned_bytes));
  object.Set("weights", needs.streamed_weights ? "streamed" : "resident");
  return object;
}

}  // namespace attnscope::node
