// Writes a script's events: gives blocks their names and remembers what phase, step and layer the next ones belong to.
#pragma once
#include <bit>

#include "core/memory/events.h"

namespace attnscope::memory {

/// Memory that a script holds; empty without bytes.
struct Block {
  std::uint64_t bytes = 0;
  std::uint32_t id = 0;
  Category category{};
  std::uint8_t stream = 0;
  bool held = false;
};

class Recorder {
 public:
  explicit Recorder(EventSink& sink) : sink_(sink) {}

  Phase phase = Phase::load;
  std::uint32_t step = 0;
  std::int16_t layer = -1;

  /// False once the sink wants no more; everything is ignored from then on.
  bool going() const { return going_; }

  Block alloc(std::uint64_t bytes, Category category, Op op, std::uint8_t stream = 0) {
    if (bytes == 0) return {};
    const Block block{bytes, ++blocks_, category, stream, true};
    put(Kind::alloc, block, op);
    return block;
  }
  void free(Block& block, Op op) {
    if (!block.held) return;
    put(Kind::free, block, op);
    block = {};
  }
  template <class... Blocks>
  void free(Op op, Blocks&... blocks) { (free(blocks, op), ...); }

  /// Pinned memory comes in powers of two from PyTorch's host allocator.
  static std::uint64_t pinned_bytes(std::uint64_t bytes) { return std::bit_ceil(bytes); }
  Block host_alloc(std::uint64_t bytes, Op op) {
    if (bytes == 0) return {};
    const Block block{pinned_bytes(bytes), ++blocks_, Category::kv, 0, true};
    put(Kind::host_alloc, block, op);
    return block;
  }
  void host_free(Block& block, Op op) {
    if (!block.held) return;
    put(Kind::host_free, block, op);
    block = {};
  }
  void copy(Kind way, std::uint64_t bytes, Op op, std::uint8_t stream = 0) {
    if (bytes > 0) put(way, Block{bytes, 0, Category::kv, stream, true}, op);
  }

 private:
  void put(Kind kind, const Block& block, Op op) {
    if (going_) going_ = sink_.on({block.bytes, block.id, step, layer, kind, block.category, phase, op, block.stream});
  }
  EventSink& sink_;
  std::uint32_t blocks_ = 0;
  bool going_ = true;
};

}  // namespace attnscope::memory
