// Copies, fills, queues, the timer and the cache flush: everything else stands on them.
#include "tools/check/device_array.h"

namespace attnscope::check_kernels {

namespace {

/// Blocks that go up in one queue, are worked on in another and come down in a third. On the device two slots take turns, on the host
/// three, so that the host is never what waits for a slot of the device: nothing but events keeps a queue from reading what another has
/// not written yet, or from writing what another still reads.
class QueueCase {
 public:
  QueueCase(Session& session, std::size_t bytes)
      : session_(session), device_(session.device), bytes_(bytes), arrived_{{session, bytes}, {session, bytes}}, result_{{session, bytes}, {session, bytes}} {
    bool made = true;
    for (HostSlot& slot : host_) {
      slot.up = static_cast<std::uint8_t*>(device_.allocate_host(bytes));
      slot.down = static_cast<std::uint8_t*>(device_.allocate_host(bytes));
      slot.downloaded = device_.create_event();
      made = made && slot.up != nullptr && slot.down != nullptr && slot.downloaded != nullptr;
    }
    for (DeviceSlot& slot : slot_) {
      slot.uploaded = device_.create_event();
      slot.computed = device_.create_event();
      made = made && slot.uploaded != nullptr && slot.computed != nullptr;
    }
    // What the arrays were filled with in the compute queue must be done before other queues write to them.
    step(made ? device_.synchronize() : "no host memory or event");
  }
  ~QueueCase() {
    device_.synchronize();
    for (HostSlot& slot : host_) {
      if (slot.downloaded != nullptr) device_.release_event(slot.downloaded);
      device_.release_host(slot.up);
      device_.release_host(slot.down);
    }
    for (DeviceSlot& slot : slot_)
      for (const Event event : {slot.uploaded, slot.computed})
        if (event != nullptr) device_.release_event(event);
  }
  QueueCase(const QueueCase&) = delete;

  void run(std::size_t blocks) {
    for (std::size_t n = 0; n < blocks && outcome_ == nullptr; ++n) {
      if (n >= std::size(host_)) verify(n - std::size(host_));  // that block is back: its buffers are free
      send(n);
    }
    for (std::size_t n = blocks - std::size(host_); n < blocks && outcome_ == nullptr; ++n) verify(n);
    for (std::size_t i = 0; i < std::size(slot_); ++i) right_ = right_ && arrived_[i].guarded() && result_[i].guarded();
    const std::string what = std::to_string(blocks) + " blocks of " + std::to_string(bytes_) + " bytes";
    session_.record({"memory", "queues", DType::f32, 0, false}, right_ && outcome_ == nullptr ? 0 : infinite, 0, outcome_ == nullptr ? what : what + ": " + outcome_);
  }

 private:
  struct HostSlot {
    std::uint8_t *up = nullptr, *down = nullptr;
    Event downloaded = nullptr;
    std::vector<std::uint8_t> sent;
  };
  struct DeviceSlot {
    Event uploaded = nullptr, computed = nullptr;
  };

  void step(Outcome outcome) { outcome_ = outcome_ == nullptr ? outcome : outcome_; }

  void send(std::size_t n) {
    HostSlot& host = host_[n % std::size(host_)];
    const std::size_t i = n % std::size(slot_);
    host.sent.resize(bytes_);
    for (std::uint8_t& byte : host.sent) byte = static_cast<std::uint8_t>(session_.random());
    std::copy(host.sent.begin(), host.sent.end(), host.up);
    std::fill_n(host.down, bytes_, std::uint8_t{0x33});
    step(device_.wait(Queue::upload, slot_[i].computed));  // of the block before in this slot; at first never recorded
    step(device_.upload_in(Queue::upload, arrived_[i].data(), host.up, bytes_));
    step(device_.record(slot_[i].uploaded, Queue::upload));
    if (n >= std::size(slot_)) step(device_.wait(Queue::compute, host_[(n - std::size(slot_)) % std::size(host_)].downloaded));
    step(device_.wait(Queue::compute, slot_[i].uploaded));
    // Longer than a copy takes: whoever does not wait comes too early.
    for (int repeat = 0; repeat < 100; ++repeat) step(device_.fill(result_[i].data(), 0x5A, bytes_));
    step(device_.copy(result_[i].data(), arrived_[i].data(), bytes_));
    step(device_.record(slot_[i].computed, Queue::compute));
    step(device_.wait(Queue::download, slot_[i].computed));
    step(device_.download_in(Queue::download, host.down, result_[i].data(), bytes_));
    step(device_.record(host.downloaded, Queue::download));
  }

  void verify(std::size_t n) {
    const HostSlot& host = host_[n % std::size(host_)];
    step(device_.await(host.downloaded));
    right_ = right_ && outcome_ == nullptr && std::equal(host.sent.begin(), host.sent.end(), host.down);
  }

  Session& session_;
  KernelDevice& device_;
  std::size_t bytes_;
  HostSlot host_[3];
  DeviceSlot slot_[2];
  DeviceArray<std::uint8_t> arrived_[2], result_[2];
  Outcome outcome_ = nullptr;
  bool right_ = true;
};

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
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4097}, std::size_t{session.full ? 16u : 1u} << 20}) QueueCase(session, bytes).run(8);
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
