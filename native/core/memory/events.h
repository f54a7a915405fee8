// What happens to memory, one event after another: what liveness scripts write, and what sinks read: peaks, the allocator, a file.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace attnscope::memory {

/// What holds memory. The engine's own categories (native/host/device/device_memory.h) are among them; its `activations` are
/// residual, norm, attention and mlp where a model tells them apart.
enum class Category : std::uint8_t { weights, kv, residual, norm, attention, mlp, logits, activations, index, workspace, capture };
inline constexpr std::size_t kCategories = 11;
enum class Phase : std::uint8_t { load, prefill, reload, decode };
enum class Op : std::uint8_t { weights, inputs, embed, mask, rotary, norm, qkv, rope, append, prefetch, evict, attention, out_proj, retain, add, mlp,
                               mlp_concat, final_norm, lm_head, reload, end };
/// alloc, free: on the device. host_alloc, host_free: pinned memory. d2h, h2d: bytes over the link.
enum class Kind : std::uint8_t { alloc, free, host_alloc, host_free, d2h, h2d };

const char* name_of(Category category);
const char* name_of(Phase phase);
const char* name_of(Op op);
const char* name_of(Kind kind);

struct Event {
  std::uint64_t bytes = 0;         // as asked for
  std::uint32_t block = 0;         // alloc and free of one block share it; no two blocks do
  std::uint32_t step = 0;          // prefill call or decode step
  std::int16_t layer = -1;         // -1: none
  Kind kind = Kind::alloc;
  Category category = Category::weights;
  Phase phase = Phase::load;
  Op op = Op::weights;
  std::uint8_t stream = 0;         // 1: the side stream of prefetches
};

/// Reads events in order. Answers false once it wants no more: nothing fits any longer.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual bool on(const Event& event) = 0;
};

using Breakdown = std::array<std::uint64_t, kCategories>;

struct EventList final : EventSink {
  std::vector<Event> events;
  bool on(const Event& event) override {
    events.push_back(event);
    return true;
  }
};

/// Bytes asked for and not freed: the most at once, when, and what held them.
struct Peak final : EventSink {
  std::uint64_t bytes = 0;
  std::uint64_t at = 0;            // index of the event that reached it, the first of several
  Event event;                     // that event
  Breakdown by_category{};
  std::uint64_t host_bytes = 0;    // the most pinned memory at once
  std::uint64_t events = 0;        // seen

  bool on(const Event& event) override;
  std::uint64_t now() const { return now_; }
  std::uint64_t now(Category category) const { return used_[static_cast<std::size_t>(category)]; }

 private:
  Breakdown used_{};
  std::uint64_t now_ = 0, host_ = 0;
};

/// Hands everything to both.
struct Both final : EventSink {
  EventSink &first, &second;
  Both(EventSink& a, EventSink& b) : first(a), second(b) {}
  bool on(const Event& event) override {
    const bool more = first.on(event);
    return second.on(event) && more;
  }
};

}  // namespace attnscope::memory
