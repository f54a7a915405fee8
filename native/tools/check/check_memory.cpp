// Copies, fills, the timer and the cache flush: everything else stands on them.
#include "tools/check/device_array.h"

namespace attnscope::check_kernels {

void check_memory(Session& session) {
  const Kind kind{"memory", "bytes", DType::f32, 0, false};
  KernelDevice& device = session.device;
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{63}, std::size_t{4096}, std::size_t{1000003}}) {
    const std::string what = std::to_string(bytes) + " bytes";
    auto* host = static_cast<std::uint8_t*>(device.allocate_host(bytes));
    if (host == nullptr) {
      session.record(kind, infinite, 0, what + ": no host memory");
      continue;
    }
    for (std::size_t i = 0; i < bytes; ++i) host[i] = static_cast<std::uint8_t>(session.random());
    const std::vector<std::uint8_t> sent(host, host + bytes);
    {
      const DeviceArray<std::uint8_t> first(session, bytes), second(session, bytes);
      session.run(kind, what, [&] { return device.upload(first.data(), host, bytes); });
      session.run(kind, what, [&] { return device.copy(second.data(), first.data(), bytes); });
      session.run(kind, what, [&] { return device.fill(first.data(), 0x5A, bytes); });
      std::fill_n(host, bytes, std::uint8_t{0});
      session.run(kind, what, [&] { return device.download(host, second.data(), bytes); });
      const bool filled = first.download() == std::vector<std::uint8_t>(bytes, 0x5A);
      const bool returned = std::equal(sent.begin(), sent.end(), host);
      session.record(kind, filled && returned && first.guarded() && second.guarded() ? 0 : infinite, 0, what);
    }
    device.release_host(host);
  }
  double us = -1;
  session.run(kind, "flush", [&] { return device.flush_cache(); });
  session.run(kind, "timer", [&] { return device.start_timer(); });
  session.run(kind, "flush", [&] { return device.flush_cache(); });
  session.run(kind, "timer", [&] { return device.stop_timer(&us); });
  session.record(kind, us >= 0 && us < 60e6 ? 0 : infinite, 0, "the timer shows " + std::to_string(us) + " us");
}

}  // namespace attnscope::check_kernels
