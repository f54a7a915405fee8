// The KV caches of transformers, by what they allocate: growing by concatenation, written in place, quantised, offloaded.
#pragma once
#include <vector>

#include "core/memory/config.h"
#include "core/memory/recorder.h"

namespace attnscope::memory {

/// One cache entry a layer, or a layer and kv head where heads are offloaded one by one (HeadInfer numbers its caches so). A
/// quantised entry is stored quantised alone; attention gets a copy in the model's dtype.
class HfCache {
 public:
  HfCache(const Config& config, Recorder& recorder);

  std::uint32_t parts() const { return parts_; }
  std::uint64_t tokens(std::uint32_t slot) const { return slots_[slot].tokens; }
  /// What keys and values of a call are while they are computed: the first ones of a slot become the cache itself.
  Category fresh(std::uint32_t slot) const;

  /// All entries at once, for `tokens`.
  void allocate(std::uint64_t tokens);
  /// Takes the keys and values of `added` tokens. What attention needs beside the entry lives until done().
  void append(std::uint32_t slot, Block k, Block v, std::uint64_t added);
  void done();
  /// Copies what is kept and frees the rest.
  void retain(std::uint32_t slot, std::uint64_t kept);
  /// Everything back onto the device, in slot order; an ordinary cache from then on.
  void reload();

 private:
  struct Slot {
    Block k, v, host_k, host_v;
    std::uint64_t tokens = 0;
  };
  std::uint64_t key_bytes(std::uint64_t tokens) const;
  std::uint64_t value_bytes(std::uint64_t tokens) const;
  std::uint64_t plain_bytes(std::uint64_t tokens) const;
  void evict(std::uint32_t slot);
  void fetch(std::uint32_t slot);
  Block copy_out(Block& block);
  void copy_in(Slot& slot, Op op, std::uint8_t stream);

  const Config& config_;
  Recorder& r_;
  std::uint32_t parts_ = 1;
  bool offloaded_ = false;
  std::vector<Slot> slots_;
  Block plain_k_, plain_v_;        // until done()
};

}  // namespace attnscope::memory
