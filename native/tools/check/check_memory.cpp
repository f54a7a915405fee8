// Copies, fills, queues, the timer and the cache flush: everything else stands on them.
#include "tools/check/device_array.h"

namespace attnscope::check_kernels {

namespace {

/// Blocks that go up in one queue, are worked on in another and come down in a third, in two slots that take turns: nothing but
/// events keeps a queue from reading what another has not written yet, or writing what another still reads.
void check_queues(Session& session, std::size_t bytes) {
  constexpr std::size_t slots = 2, rounds = 7;
  const Kind kind{"memory", "queues", DType::f32, 0, false};
  const std::string what = std::to_string(rounds) + " blocks of " + std::to_string(bytes) + " bytes";
  KernelDevice& device = session.device;
  struct Slot {
    std::uint8_t *up = nullptr, *down = nullptr;  // host
    Event uploaded = nullptr, computed = nullptr, downloaded = nullptr;
  } slot[slots];
  const DeviceArray<std::uint8_t> arrived[] = {{session, bytes}, {session, bytes}}, result[] = {{session, bytes}, {session, bytes}};
  bool made = true;
  for (Slot& s : slot) {
    s.up = static_cast<std::uint8_t*>(device.allocate_host(bytes));
    s.down = static_cast<std::uint8_t*>(device.allocate_host(bytes));
    for (Event* event : {&s.uploaded, &s.computed, &s.downloaded}) made = (*event = device.create_event()) != nullptr && made;
    made = made && s.up != nullptr && s.down != nullptr;
  }
  // What the arrays were filled with in the compute queue must be done before other queues write to them.
  Outcome outcome = made ? device.synchronize() : "no host memory or event";
  const auto step = [&](Outcome next) { outcome = outcome == nullptr ? next : outcome; };
  bool right = true;
  std::vector<std::uint8_t> sent[slots];
  const auto verify = [&](std::size_t n) {
    const Slot& s = slot[n % slots];
    step(device.await(s.downloaded));
    right = right && outcome == nullptr && std::equal(sent[n % slots].begin(), sent[n % slots].end(), s.down);
  };
  for (std::size_t n = 0; n < rounds && outcome == nullptr; ++n) {
    const Slot& s = slot[n % slots];
    if (n >= slots) verify(n - slots);  // the slot's block is back: both of its host buffers are free
    sent[n % slots].resize(bytes);
    for (std::uint8_t& byte : sent[n % slots]) byte = static_cast<std::uint8_t>(session.random());
    if (outcome != nullptr) break;
    std::copy(sent[n % slots].begin(), sent[n % slots].end(), s.up);
    std::fill_n(s.down, bytes, std::uint8_t{0x33});
    step(device.wait(Queue::upload, s.computed));  // in the first rounds an event that was never recorded
    step(device.upload_in(Queue::upload, arrived[n % slots].data(), s.up, bytes));
    step(device.record(s.uploaded, Queue::upload));
    step(device.wait(Queue::compute, s.uploaded));
    step(device.wait(Queue::compute, s.downloaded));
    step(device.fill(result[n % slots].data(), 0x5A, bytes));
    step(device.copy(result[n % slots].data(), arrived[n % slots].data(), bytes));
    step(device.record(s.computed, Queue::compute));
    step(device.wait(Queue::download, s.computed));
    step(device.download_in(Queue::download, s.down, result[n % slots].data(), bytes));
    step(device.record(s.downloaded, Queue::download));
  }
  for (std::size_t n = rounds - slots; n < rounds && outcome == nullptr; ++n) verify(n);
  for (const auto& array : arrived) right = right && array.guarded();
  for (const auto& array : result) right = right && array.guarded();
  session.record(kind, right && outcome == nullptr ? 0 : infinite, 0, outcome == nullptr ? what : what + ": " + outcome);
  device.synchronize();
  for (Slot& s : slot) {
    for (const Event event : {s.uploaded, s.computed, s.downloaded})
      if (event != nullptr) device.release_event(event);
    device.release_host(s.up);
    device.release_host(s.down);
  }
}

void check_facts(Session& session) {
  const Kind kind{"memory", "facts", DType::f32, 0, false};
  const DeviceFacts& facts = session.device.facts();
  const std::uint64_t free = session.device.free_bytes();
  session.record(kind, free > 0 && free <= facts.memory_bytes ? 0 : infinite, 0, std::to_string(free) + " bytes free of " + std::to_string(facts.memory_bytes));
  session.record(kind, facts.products != nullptr && *facts.products != '\0' ? 0 : infinite, 0, "what multiplies has no name");
}

}  // namespace

void check_memory(Session& session) {
  check_facts(session);
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4097}, session.full ? std::size_t{64} << 20 : std::size_t{1} << 20}) check_queues(session, bytes);
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
