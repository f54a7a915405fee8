// The heavy steps of a model that runs with policies, and what policies look at between them. Consecutive tokens go through the layers
// together, as a block: the prompt first, then a block a token. The CPU's steps are in policy_cpu.cpp, a device's in
// device/policy_device.cpp.
#pragma once
#include <span>
#include <vector>

#include "core/result.h"
#include "core/views.h"
#include "host/kv_cache.h"
#include "host/policy_attention.h"

namespace attnscope {

/// What a layer's policies will do with a block.
struct LayerUse {
  bool rows = false;    // look at queries, keys and values
  bool apart = false;   // have keys and values wait until feed() adds them to the cache, some at a time
  bool evicts = false;  // drop tokens: no memory for the whole sequence shall be taken
};

class PolicyBackend {
 public:
  virtual ~PolicyBackend() = default;

  // ---- a block: begin, then every layer in order, then end ----

  /// Embeds tokens at positions first, first + 1, ...
  virtual Status begin(std::span<const std::uint32_t> ids, std::uint32_t first) = 0;
  /// Work of one layer over the block, in the units in which the steps advance the progress.
  virtual std::uint64_t layer_work() const = 0;
  /// Queries, keys and values of the block, rotated and rounded to the plan's precision; keys and values join the cache.
  virtual Status project(std::uint32_t layer, const LayerUse& use) = 0;
  /// Adds keys and values that wait: `rows` are positions and follow what was fed before.
  virtual Status feed(std::uint32_t layer, TokenRange rows) = 0;
  /// Makes views() show the layer's cache as it is.
  virtual Status refresh(std::uint32_t layer) = 0;
  /// Attention of the block's queries at positions `rows`, and the rest of the layer. All keys of these positions were fed (some may be
  /// gone); rows come in order, all of them.
  virtual Status attend(std::uint32_t layer, TokenRange rows, const LayerReads& reads) = 0;
  /// Notes the residual stream of the last row, after the layer.
  virtual Status keep_residual(std::uint32_t layer) = 0;
  /// Computes the logits of the last row and gives a prompt's memory back.
  virtual Status end() = 0;

  // ---- what policies see, in layers that use rows ----

  /// [rows][heads * head dim] at positions `rows` of the block.
  virtual Rows queries(TokenRange rows) const = 0;
  /// [kv heads], as of the last refresh().
  virtual std::span<const KvView> views() const = 0;
  /// Of the tokens that a kv head holds, ascending.
  virtual std::span<const std::uint32_t> positions(std::uint32_t layer, std::uint32_t kv_head) const = 0;
  /// No policy looks at the layer's rows any more.
  virtual void close(std::uint32_t layer) = 0;

  // ---- what they decide ----

  /// Drops cached rows by their ascending indices, slots[kv head]. E_POLICY_EVICT where one is not there.
  virtual Status evict(std::uint32_t layer, std::span<const std::vector<std::uint32_t>> slots) = 0;

  // ---- results, once end() has returned ----

  virtual std::span<const float> logits() const = 0;
  virtual std::span<const float> residual(std::uint32_t layer) const = 0;

  /// Tokens held, and ever appended, by a kv head; held by all layers and kv heads.
  virtual std::size_t length(std::uint32_t layer, std::uint32_t kv_head) const = 0;
  virtual std::size_t appended(std::uint32_t layer, std::uint32_t kv_head) const = 0;
  virtual std::uint64_t tokens() const = 0;
};

}  // namespace attnscope
