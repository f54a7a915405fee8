// The scheduler behind emulation.h.
#include "cuda/device.h"

#include <ucontext.h>

#include <memory>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace attnscope::gpu::emulation {
namespace {

constexpr std::size_t kStackBytes = 256 * 1024;
/// What a GPU of the oldest target allows.
constexpr std::size_t kMostShared = 163 * 1024;
constexpr unsigned kMostThreads = 1024;

struct PendingCopy {
  void* to;
  const void* from;
  bool valid;
};

struct Fibre {
  ucontext_t context;
  std::unique_ptr<std::byte[]> stack;
  std::vector<std::vector<PendingCopy>> groups;  // committed, oldest first
  std::vector<PendingCopy> open;
  const char* waits_for = nullptr;  // name of the collective, for the report of a deadlock
  bool finished = false;
  void* fake_stack = nullptr;       // AddressSanitizer's
};

struct WarpMeeting {
  const char* name = nullptr;
  void* operands[warp_size] = {};
  unsigned arrived = 0;
};

struct Block {
  std::vector<Fibre> fibres;
  std::vector<WarpMeeting> meetings;
  std::vector<unsigned> ready;
  unsigned at_barrier = 0, finished = 0, running = 0;
  ucontext_t scheduler;
  const std::function<void()>* kernel = nullptr;
  void* scheduler_stack = nullptr;
  const void* scheduler_bottom = nullptr;
  std::size_t scheduler_size = 0;
};

Block block;
Place here;
std::string failure;
std::uint64_t order = 1, switch_count = 0;

std::uint64_t next_random() {  // xorshift64
  order ^= order << 13;
  order ^= order >> 7;
  order ^= order << 17;
  return order;
}

void before_switch([[maybe_unused]] void** save, [[maybe_unused]] const void* bottom, [[maybe_unused]] std::size_t size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(save, bottom, size);
#endif
}
void after_switch([[maybe_unused]] void* saved, [[maybe_unused]] const void** bottom, [[maybe_unused]] std::size_t* size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(saved, bottom, size);
#endif
}

/// From the running fibre to the scheduler; returns when the fibre's turn comes again, never if it is `done`.
void give_way(bool done) {
  Fibre& fibre = block.fibres[block.running];
  before_switch(done ? nullptr : &fibre.fake_stack, block.scheduler_bottom, block.scheduler_size);
  swapcontext(&fibre.context, &block.scheduler);
  after_switch(fibre.fake_stack, nullptr, nullptr);
}

void fibre_main() {
  after_switch(nullptr, &block.scheduler_bottom, &block.scheduler_size);
  (*block.kernel)();
  Fibre& fibre = block.fibres[block.running];
  if (!fibre.open.empty() || !fibre.groups.empty()) fail("a thread ends with copies it never waited for");
  fibre.finished = true;
  ++block.finished;
  give_way(true);
}

void give_turn(unsigned thread) {
  block.running = thread;
  here.thread = thread;
  Fibre& fibre = block.fibres[thread];
  ++switch_count;
  before_switch(&block.scheduler_stack, fibre.stack.get(), kStackBytes);
  swapcontext(&block.scheduler, &fibre.context);
  after_switch(block.scheduler_stack, nullptr, nullptr);
}

void explain_deadlock() {
  std::string names;
  for (unsigned thread = 0; thread < block.fibres.size() && names.size() < 200; ++thread)
    if (!block.fibres[thread].finished) names += " " + std::to_string(thread) + ":" + block.fibres[thread].waits_for;
  failure = "threads wait for each other for ever (" + std::to_string(block.finished) + " have ended):" + names;
}

void run_block(unsigned threads, std::size_t shared_bytes) {
  // Exactly as large as asked, so that AddressSanitizer sees its end.
  std::unique_ptr<std::byte[]> raw(new (std::align_val_t{128}) std::byte[shared_bytes > 0 ? shared_bytes : 1]);
  std::memset(raw.get(), 0xFF, shared_bytes);
  here.shared = raw.get();
  here.threads = threads;
  block.meetings.assign(threads / warp_size, {});
  block.ready.clear();
  block.at_barrier = block.finished = 0;
  for (unsigned thread = 0; thread < threads; ++thread) {
    Fibre& fibre = block.fibres[thread];
    fibre.finished = false;
    fibre.waits_for = "start";
    fibre.open.clear();
    fibre.groups.clear();
    fibre.fake_stack = nullptr;
    getcontext(&fibre.context);
    fibre.context.uc_stack = {.ss_sp = fibre.stack.get(), .ss_flags = 0, .ss_size = kStackBytes};
    fibre.context.uc_link = nullptr;
    makecontext(&fibre.context, fibre_main, 0);
    block.ready.push_back(thread);
  }
  // In every other block, by chance, a warp runs as far ahead of the others as it may.
  const bool ahead = next_random() % 2 == 0;
  while (failure.empty() && block.finished < threads) {
    if (block.ready.empty()) {
      explain_deadlock();
      break;
    }
    if (!ahead || next_random() % 64 == 0) std::swap(block.ready[next_random() % block.ready.size()], block.ready.back());
    const unsigned thread = block.ready.back();
    block.ready.pop_back();
    give_turn(thread);
  }
  ::operator delete[](raw.release(), std::align_val_t{128});
}

}  // namespace

const Place& place() { return here; }
void set_seed(std::uint64_t seed) { order = seed * 0x9E3779B97F4A7C15u | 1; }
std::uint64_t switches() { return switch_count; }

void fail(const char* what, const char* detail) {
  if (failure.empty())
    failure = std::string(what) + detail + " (block " + std::to_string(here.block[0]) + "," + std::to_string(here.block[1]) + "," + std::to_string(here.block[2]) + ", thread " + std::to_string(here.thread) + ")";
  give_way(true);
  __builtin_unreachable();
}

void block_barrier() {
  const auto threads = static_cast<unsigned>(block.fibres.size());
  block.fibres[block.running].waits_for = "sync_block";
  if (++block.at_barrier < here.threads) return give_way(false);
  block.at_barrier = 0;
  for (unsigned thread = 0; thread < here.threads && thread < threads; ++thread)
    if (thread != block.running) block.ready.push_back(thread);
}

void collective(const char* name, void* operand, void (*perform)(void* const (&operands)[warp_size])) {
  const unsigned thread = block.running, warp = thread / warp_size;
  WarpMeeting& meeting = block.meetings[warp];
  if (meeting.arrived == 0) meeting.name = name;
  else if (std::strcmp(meeting.name, name) != 0) fail("lanes of a warp part: one is not where the others are, but at ", name);
  meeting.operands[thread % warp_size] = operand;
  block.fibres[thread].waits_for = name;
  if (++meeting.arrived < warp_size) return give_way(false);
  perform(meeting.operands);
  meeting.arrived = 0;
  for (unsigned other = warp * warp_size; other < (warp + 1) * warp_size; ++other)
    if (other != thread) block.ready.push_back(other);
}

void copy(void* to, const void* from, bool valid) {
  check_aligned(to, "shared memory of copy_async");
  check_aligned(from, "global memory of copy_async");
  std::memset(to, 0xFF, sizeof(Chunk));  // until it is waited for anything may stand there
  block.fibres[block.running].open.push_back({to, from, valid});
}

void commit() {
  Fibre& fibre = block.fibres[block.running];
  fibre.groups.push_back(std::move(fibre.open));
  fibre.open.clear();
}

void wait(unsigned pending) {
  Fibre& fibre = block.fibres[block.running];
  while (fibre.groups.size() > pending) {
    for (const PendingCopy& each : fibre.groups.front())
      if (each.valid) std::memcpy(each.to, each.from, sizeof(Chunk));
      else std::memset(each.to, 0, sizeof(Chunk));
    fibre.groups.erase(fibre.groups.begin());
  }
}

const char* run(Grid grid, unsigned threads, std::size_t shared_bytes, const std::function<void()>& kernel) {
  failure.clear();
  if (threads == 0 || threads % warp_size != 0 || threads > kMostThreads) failure = "a block of " + std::to_string(threads) + " threads; it takes whole warps up to 1024";
  else if (shared_bytes > kMostShared) failure = std::to_string(shared_bytes) + " bytes of shared memory; a block of sm_80 holds " + std::to_string(kMostShared);
  block.kernel = &kernel;
  if (block.fibres.size() < threads && failure.empty()) block.fibres.resize(threads);
  for (unsigned thread = 0; thread < threads && failure.empty(); ++thread)
    if (!block.fibres[thread].stack) block.fibres[thread].stack = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  here = {};
  here.grid[0] = grid.x, here.grid[1] = grid.y, here.grid[2] = grid.z;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x && failure.empty(); ++x) {
        here.block[0] = x, here.block[1] = y, here.block[2] = z;
        run_block(threads, shared_bytes);
      }
  return failure.empty() ? nullptr : failure.c_str();
}

std::uint16_t f16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  const double size = std::fabs(static_cast<double>(x));
  if (std::isnan(x)) return 0x7FFF;
  if (size >= 65520) return sign | 0x7C00;  // halfway to 65536 and beyond
  // One unit of the last place is 2^(e - 10), never below 2^-24; rint rounds ties to even.
  int exponent = size > 0 ? std::ilogb(size) : -14;
  if (exponent < -14) exponent = -14;
  const auto units = static_cast<std::uint32_t>(std::rint(std::ldexp(size, 10 - exponent)));
  // Units from 1024 on carry the implicit one; adding lets 2048 move on to the next exponent.
  return static_cast<std::uint16_t>(sign | (units + static_cast<std::uint32_t>(exponent + 14) * 1024));
}

float f16_value(std::uint16_t bits) {
  const unsigned exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const float sign = bits & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  return sign * std::ldexp(static_cast<float>(exponent == 0 ? mantissa : mantissa + 1024), (exponent == 0 ? 1 : static_cast<int>(exponent)) - 25);
}

}  // namespace attnscope::gpu::emulation
